public import AIOCore
internal import CDropIns

/// Which engine carries a library's operations, and why that one.
public struct EngineChoice: Sendable {
    public enum Reason: Sendable {
        /// The kernel offers io_uring.
        case offered
        /// AIO_ENGINE asks for it.
        case forced
        /// io_uring could not be made.
        case unavailable(EngineFailure)
        /// valgrind holds the lock under which one thread runs at a time while it is in io_uring_enter(2).
        case onValgrind
    }

    public var engine: EngineKind
    public var reason: Reason
}

extension Carrier {
    /// Starts a carrier on the engine that AIO_ENGINE asks for, or else on the best that works here.
    public static func startChosen(
        queueDepth: Int = 1024
    ) throws(EngineFailure) -> (carrier: Carrier, choice: EngineChoice) {
        do throws(EngineFailure) {
            let started = try startBest(queueDepth)
            Statistics.note(started.choice)
            return started
        } catch {
            Statistics.note(error)
            throw error
        }
    }

    private static func startBest(
        _ queueDepth: Int
    ) throws(EngineFailure) -> (carrier: Carrier, choice: EngineChoice) {
        if let forced = forcedEngine() {
            return (try start(forced, queueDepth: queueDepth), EngineChoice(engine: forced, reason: .forced))
        }
        if drop_in_is_on_valgrind() {
            return (try start(.threads, queueDepth: queueDepth), EngineChoice(engine: .threads, reason: .onValgrind))
        }
        do throws(EngineFailure) {
            return (try start(.ioUring, queueDepth: queueDepth), EngineChoice(engine: .ioUring, reason: .offered))
        } catch {
            return (
                try start(.threads, queueDepth: queueDepth), EngineChoice(engine: .threads, reason: .unavailable(error))
            )
        }
    }
}

/// Whether AIO_ENGINE asks for an engine by name.
public func isEngineForced() -> Bool {
    guard let value = getenv("AIO_ENGINE") else { return false }
    return value.pointee != 0 && strcmp(value, "auto") != 0
}

/// What AIO_ENGINE says: nil for "auto" and for nothing, and for what is no engine, which is reported.
private func forcedEngine() -> EngineKind? {
    guard let value = getenv("AIO_ENGINE"), value.pointee != 0, strcmp(value, "auto") != 0 else { return nil }
    for kind in EngineKind.allCases where strcmp(value, kind.name.cString) == 0 { return kind }
    report(
        "aio: AIO_ENGINE: unknown engine; the engines are auto, io_uring, threads, linux-aio, readahead: using auto\n"
    )
    return nil
}

/// Writes a line to standard error.
public func report(_ line: StaticString) {
    _ = Kernel.write(2, line.utf8Start, line.utf8CodeUnitCount)
}

extension StaticString {
    /// As C wants it: a static string is followed by a zero byte.
    public var cString: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
