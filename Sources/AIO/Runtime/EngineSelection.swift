public import AIOCore
internal import Glibc

/// Which engine is asked for.
public enum EngineChoice: Sendable, Hashable {
    /// The best that works here and now; the environment variable AIO_ENGINE forces one.
    case automatic
    /// This one, or an error.
    case forced(EngineKind)
}

/// Which engine was taken, and why.
public struct EngineSelection: Sendable, CustomStringConvertible {
    public let engine: EngineKind
    public let reason: String

    public var description: String { "\(engine) (\(reason))" }
}

extension EngineKind: CustomStringConvertible {
    public var description: String { "\(name)" }

    /// By the name that it has everywhere: "io_uring", "threads".
    public init?(_ name: String) {
        guard let kind = EngineKind.allCases.first(where: { "\($0.name)" == name }) else { return nil }
        self = kind
    }
}

extension EngineChoice {
    /// Makes something with the engine that this choice comes down to.
    func select<Made>(
        _ make: (EngineKind) throws(EngineFailure) -> Made
    ) throws(IOError) -> (EngineSelection, Made) {
        switch self {
        case .forced(let kind):
            return try (EngineSelection(engine: kind, reason: "asked for"), Self.make(kind, make))
        case .automatic:
            if let kind = try Self.fromEnvironment() {
                return try (EngineSelection(engine: kind, reason: "forced by AIO_ENGINE"), Self.make(kind, make))
            }
            return try Self.best(make)
        }
    }

    private static func best<Made>(
        _ make: (EngineKind) throws(EngineFailure) -> Made
    ) throws(IOError) -> (EngineSelection, Made) {
        do throws(EngineFailure) {
            let made = try make(.ioUring)
            return (EngineSelection(engine: .ioUring, reason: "the kernel offers it"), made)
        } catch {
            // A mistake in the configuration is not the engine's fault.
            if error.step == .configuration { throw IOError(error) }
            let reason = "io_uring is not available: \(IOError(error))"
            return try (EngineSelection(engine: .threads, reason: reason), self.make(.threads, make))
        }
    }

    private static func make<Made>(
        _ kind: EngineKind, _ make: (EngineKind) throws(EngineFailure) -> Made
    ) throws(IOError) -> Made {
        do throws(EngineFailure) { return try make(kind) } catch { throw IOError(error) }
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
