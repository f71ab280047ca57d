import AIO
import AIOCore
import ArgumentParser

/// Comma-separated names on the command line, from a fixed list.
enum NameList {
    /// Returns nil if the option was not given, and an empty array for `none`.
    static func parse<Value: Equatable>(_ text: String?, _ option: String, _ known: [(String, Value)]) throws
        -> [Value]?
    {
        guard let text else { return nil }
        if text == "none" { return [] }
        var values: [Value] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = known.first(where: { $0.0 == name })?.1 else {
                let names = known.map(\.0).joined(separator: ", ")
                throw ValidationError("\(option): unknown name '\(name)'; the names are \(names), or none")
            }
            if !values.contains(value) { values.append(value) }
        }
        return values
    }

    static func parseEngines(_ text: String?) throws -> [EngineKind]? {
        try parse(text, "--engines", EngineKind.allCases.map { ("\($0.name)", $0) })
    }
}

/// The engines to measure.
struct AvailableEngines {
    private(set) var kinds: [EngineKind] = []
    /// Which engines are not measured, and why.
    private(set) var notes: [String] = []

    /// An engine that was `asked` for by name and is not available is an error. If all are measured (nil), it becomes a
    /// note.
    init(_ asked: [EngineKind]?, queueDepth: Int) throws(Failure) {
        for engine in asked ?? EngineKind.allCases {
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(engine)
            configuration.queueDepth = queueDepth
            do {
                _ = try IOQueue(configuration)
                kinds.append(engine)
            } catch {
                if asked != nil { throw Failure("\(error)") }
                notes.append("\(engine.name) was not measured: \(error)")
            }
        }
    }
}
