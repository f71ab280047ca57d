/// Why an engine could not be created.
public struct EngineFailure: Error, BitwiseCopyable, Sendable {
    /// The step that failed.
    public enum Step: UInt8, BitwiseCopyable, Sendable {
        /// A value of the configuration is out of range.
        case configuration
        /// io_uring_setup(2).
        case ringSetup
        /// mmap(2) of the ring.
        case ringMapping
        /// The kernel's io_uring lacks a required feature; it is older than 5.15.
        case ringFeatures
        /// io_setup(2).
        case linuxAIOSetup
        /// epoll_create1(2), eventfd(2) or timerfd_create(2).
        case descriptors
        /// pthread_create(3).
        case thread
        /// The first operation, a nop.
        case firstOperation
    }

    /// The engine that was asked for.
    public var engine: EngineKind
    /// The step that failed.
    public var step: Step
    /// The errno, positive, or 0 if no system call failed.
    public var errno: Int32
}
