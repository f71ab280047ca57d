public import AIOCore
internal import CDropIns

/// The engine that carries a library's operations, and the reason for the choice.
public struct EngineChoice: Sendable {
    public enum Reason: Sendable {
        /// The kernel supports io_uring.
        case offered
        /// AIO_ENGINE requests the engine.
        case forced
        /// An io_uring could not be created.
        case unavailable(EngineFailure)
        /// valgrind runs one thread at a time, and keeps its lock during io_uring_enter(2).
        case onValgrind
    }

    public var engine: EngineKind
    public var reason: Reason
}

extension Carrier {
    /// Starts a carrier on the engine that AIO_ENGINE requests, or else on the best one that is available.
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

/// Whether AIO_ENGINE requests an engine by name.
public func isEngineForced() -> Bool {
    guard let value = getenv("AIO_ENGINE") else { return false }
    return value.pointee != 0 && strcmp(value, "auto") != 0
}

/// The engine that AIO_ENGINE requests; nil if the variable is unset, empty or "auto". An unknown name is reported and
/// also treated as "auto".
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
    /// As a C string: a static string is followed by a zero byte.
    public var cString: UnsafePointer<CChar> { UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self) }
}
