import AIO
import AIOCore

/// Who takes part in which section.
struct Lineup {
    private(set) var sections: [Section] = []
    /// Who does not, and why.
    private(set) var notes: [String] = []

    init(_ plan: Plan) throws {
        let engines = try availableEngines(plan)
        var cold = Lineup.peers(plan)
        for engine in engines {
            cold.append(Queue(plan, engine))
            cold.append(Await(plan, engine, taskCount: plan.taskCount))
        }
        sections = [Section(cache: .cold, rows: cold.map(Row.init))]
        guard !plan.isDirect else { return }
        var cached = cold
        if plan.taskCount > 1 { cached += engines.map { Await(plan, $0, taskCount: 1) } }
        sections.append(Section(cache: .cached, rows: cached.map(Row.init)))
    }

    /// The engines to measure. One asked for by name that is not available is an error; of all, it is a note.
    private mutating func availableEngines(_ plan: Plan) throws(Failure) -> [EngineKind] {
        var available: [EngineKind] = []
        for engine in plan.engines ?? EngineKind.allCases {
            var configuration = IOQueue.Configuration()
            configuration.engine = .forced(engine)
            configuration.queueDepth = plan.depth
            do {
                _ = try IOQueue(configuration)
                available.append(engine)
            } catch {
                if plan.engines != nil { throw Failure("\(error)") }
                notes.append("\(engine.name) was not measured: \(error)")
            }
        }
        return available
    }

    private static func peers(_ plan: Plan) -> [any Contestant] {
        plan.peers.compactMap { peer in
            switch peer {
            case .pread: return Pread(plan)
            case .posixAIO: return PosixAIO(plan)
            case .linuxAIO:
                // With --direct, linux-aio-direct is the same.
                if plan.isDirect, plan.peers.contains(.linuxAIODirect) { return nil }
                return LinuxAIO(plan, direct: plan.isDirect)
            case .linuxAIODirect: return LinuxAIO(plan, direct: true)
            }
        }
    }
}
