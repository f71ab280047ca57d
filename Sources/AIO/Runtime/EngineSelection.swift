public import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The requested engine.
public enum EngineChoice: Sendable, Hashable {
    /// The best engine that is available. The environment variable AIO_ENGINE forces one.
    case automatic
    /// This engine; it is an error if it is not available.
    case forced(EngineKind)
}

/// The selected engine and the reason.
public struct EngineSelection: Sendable, CustomStringConvertible {
    /// The selected engine.
    public let engine: EngineKind
    /// Why, on one line.
    public let reason: String

    /// The engine's name, with the reason in parentheses.
    public var description: String { "\(engine) (\(reason))" }
}

extension EngineKind: CustomStringConvertible {
    /// The engine's name, for example "io_uring".
    public var description: String { "\(name)" }

    /// The engine of this name, for example "io_uring" or "threads"; nil for any other string.
    public init?(_ name: String) {
        guard let kind = EngineKind.allCases.first(where: { "\($0.name)" == name }) else { return nil }
        self = kind
    }
}

extension EngineChoice {
    /// Selects the engine and calls `make` with it. `configuration` applies to every engine.
    func select<Made>(
        _ configuration: EngineConfiguration,
        _ make: (EngineKind, EngineConfiguration) throws(EngineFailure) -> Made
    ) throws(IOError) -> (EngineSelection, Made) {
        switch self {
        case .forced(let kind):
            return try (EngineSelection(engine: kind, reason: "requested"), Self.make(kind, configuration, make))
        case .automatic:
            if let kind = try Self.fromEnvironment() {
                let made = try Self.make(kind, configuration, make)
                return (EngineSelection(engine: kind, reason: "requested by AIO_ENGINE"), made)
            }
            return try Self.best(configuration, make)
        }
    }

    private static func best<Made>(
        _ configuration: EngineConfiguration,
        _ make: (EngineKind, EngineConfiguration) throws(EngineFailure) -> Made
    ) throws(IOError) -> (EngineSelection, Made) {
        do throws(EngineFailure) {
            let made = try make(.ioUring, configuration)
            return (EngineSelection(engine: .ioUring, reason: "the kernel offers it"), made)
        } catch {
            // An error in the configuration does not mean that io_uring is unavailable.
            if error.step == .configuration { throw IOError(error) }
            let reason = "io_uring is not available: \(IOError(error))"
            var configuration = configuration
            // Linux AIO is better for direct I/O, and has no effect on anything else.
            configuration.sendsDirectToLinuxAIO = true
            let made = try self.make(.threads, configuration, make)
            return (EngineSelection(engine: .threads, reason: reason), made)
        }
    }

    private static func make<Made>(
        _ kind: EngineKind, _ configuration: EngineConfiguration,
        _ make: (EngineKind, EngineConfiguration) throws(EngineFailure) -> Made
    ) throws(IOError) -> Made {
        do throws(EngineFailure) { return try make(kind, configuration) } catch { throw IOError(error) }
    }

    private static func fromEnvironment() throws(IOError) -> EngineKind? {
        guard let value = getenv("AIO_ENGINE").map({ String(cString: $0) }), !value.isEmpty, value != "auto"
        else { return nil }
        guard let kind = EngineKind(value) else {
            let names = EngineKind.allCases.map { "\($0)" }.joined(separator: ", ")
            throw IOError(.invalidArgument, "AIO_ENGINE=\(value.visible)", advice: "the engines are auto, \(names)")
        }
        return kind
    }
}
