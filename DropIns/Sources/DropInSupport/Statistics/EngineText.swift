internal import AIOCore
internal import CDropIns

extension EngineChoice {
    /// The choice in one word, so that one store records it. Never 0.
    var packed: UInt64 {
        let (reason, step, errno): (UInt64, UInt8, Int32) =
            switch reason {
            case .offered: (1, 0, 0)
            case .forced: (2, 0, 0)
            case .unavailable(let failure): (3, failure.step.rawValue, failure.errno)
            case .onValgrind: (4, 0, 0)
            }
        return Self.packed(reason, engine, step, errno)
    }

    /// The same for an engine that could not start.
    static func packed(_ failure: EngineFailure) -> UInt64 {
        packed(failed, failure.engine, failure.step.rawValue, failure.errno)
    }

    fileprivate static var failed: UInt64 { 9 }

    private static func packed(_ reason: UInt64, _ engine: EngineKind, _ step: UInt8, _ errno: Int32) -> UInt64 {
        reason << 56 | UInt64(engine.rawValue) << 48 | UInt64(step) << 40 | UInt64(UInt32(bitPattern: errno))
    }

    /// nil if no running engine was recorded.
    static func engine(ofPacked packed: UInt64) -> EngineKind? {
        packed == 0 || packed >> 56 == failed ? nil : EngineKind(rawValue: UInt8(truncatingIfNeeded: packed >> 48))
    }
}

extension TextBuffer {
    /// Appends the engine and the reason, decoded from `EngineChoice.packed`.
    mutating func append(packedChoice packed: UInt64) {
        guard packed >> 56 != EngineChoice.failed else {
            append("none: it could not start: ")
            return append(
                EngineFailure.Step(rawValue: UInt8(truncatingIfNeeded: packed >> 40)),
                errno: Int32(truncatingIfNeeded: packed & 0xFFFF_FFFF))
        }
        guard let engine = EngineChoice.engine(ofPacked: packed) else {
            return append("none: it was not needed")
        }
        append(engine.name)
        switch packed >> 56 {
        case 1: append(": the kernel offers it")
        case 2: append(": requested by AIO_ENGINE")
        case 4: append(": the program runs under valgrind, which io_uring would block")
        default:
            append(": io_uring is not available: ")
            append(
                EngineFailure.Step(rawValue: UInt8(truncatingIfNeeded: packed >> 40)),
                errno: Int32(truncatingIfNeeded: packed & 0xFFFF_FFFF))
        }
    }

    private mutating func append(_ step: EngineFailure.Step?, errno: Int32) {
        switch (step, errno) {
        case (.ringSetup, EPERM):
            return append("disabled by the sysctl kernel.io_uring_disabled or a seccomp profile")
        case (.ringSetup, ENOSYS):
            return append("this kernel has no io_uring, or a seccomp profile hides it")
        case (.ringFeatures, _):
            return append("the kernel is older than Linux 5.15")
        case (.ringSetup, _): append("io_uring_setup: ")
        case (.ringMapping, _): append("mmap of the ring: ")
        case (.linuxAIOSetup, _): append("io_setup: ")
        case (.thread, _): append("starting a thread: ")
        case (.firstOperation, _): append("the first operation: ")
        case (.descriptors, _), (.configuration, _), (nil, _): append("setting up: ")
        }
        guard let text = drop_in_error_text(errno) else { return append(UInt64(UInt32(bitPattern: errno))) }
        append(cString: text, limit: 80)
    }
}
