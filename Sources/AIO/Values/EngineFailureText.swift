public import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

extension IOError {
    /// Describes why an engine could not be started, and what to do about it.
    public init(_ failure: EngineFailure) {
        let errno = failure.errno == 0 ? nil : Errno(rawValue: failure.errno)
        self.init(failure.code, failure.step.phrase(failure.engine), errno: errno, advice: failure.advice)
    }
}

extension EngineFailure.Step {
    fileprivate func phrase(_ engine: EngineKind) -> String {
        switch self {
        case .configuration: "engine \(engine): configuration"
        case .ringSetup: "io_uring_setup"
        case .ringMapping: "mmap of the io_uring"
        case .ringFeatures: "the kernel's io_uring is older than 5.15"
        case .linuxAIOSetup: "io_setup"
        case .descriptors: "engine \(engine): epoll and eventfd"
        case .thread: "engine \(engine): starting a thread"
        case .firstOperation: "engine \(engine): the first operation"
        }
    }
}

extension EngineFailure {
    fileprivate var code: IOError.Code {
        switch step {
        case .configuration: .invalidArgument
        case .ringFeatures: .engineUnavailable
        default: errno == EPERM || errno == ENOSYS ? .engineUnavailable : IOError.Code(errno: errno)
        }
    }

    fileprivate var advice: String? {
        switch (step, errno) {
        case (.configuration, _):
            "queueDepth must be 1 to \(EngineConfiguration.queueDepthMax), workerLimit 1 to 4096, waitingLimit 0 to"
                + " \(EngineConfiguration.waitingLimitMax)"
        case (.ringSetup, EPERM):
            "io_uring is disabled by the sysctl kernel.io_uring_disabled or by the container's seccomp profile;"
                + " use the engine threads, or allow io_uring_setup"
        case (.ringSetup, ENOSYS):
            "this kernel has no io_uring, or a seccomp profile hides it; use the engine threads"
        case (.linuxAIOSetup, EAGAIN):
            "the contexts of all processes have reached the limit; raise the sysctl fs.aio-max-nr or lower queueDepth"
        case (.linuxAIOSetup, ENOSYS), (.linuxAIOSetup, EPERM):
            "this kernel has no Linux AIO, or a seccomp profile hides it; use the engine threads"
        case (_, ENOMEM):
            "the limit of locked memory is reached; raise RLIMIT_MEMLOCK (ulimit -l) or lower queueDepth"
        case (_, EMFILE):
            "this process has too many open files; raise RLIMIT_NOFILE (ulimit -n)"
        case (_, ENFILE):
            "the system has too many open files; raise the sysctl fs.file-max"
        case (.thread, EAGAIN):
            "the limit of threads is reached; raise RLIMIT_NPROC (ulimit -u) or the container's pids limit"
        default:
            nil
        }
    }
}
