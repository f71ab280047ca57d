/// The contestants of each section.
struct Lineup {
    private(set) var sections: [Section] = []
    /// Which engines are not measured, and why.
    private(set) var notes: [String] = []

    init(_ plan: Plan) throws {
        let available = try AvailableEngines(plan.engines, queueDepth: plan.depth)
        let engines = available.kinds
        notes = available.notes
        // All contestants share the memory: only one runs at a time.
        let memory = BlockMemory(blockSize: plan.blockSize, count: max(plan.depth, plan.taskCount))
        var cold = Lineup.peers(plan, memory)
        for engine in engines {
            cold.append(Queue(plan, memory, engine))
            cold.append(Await(plan, memory, engine, taskCount: plan.taskCount))
        }
        sections = [Section(cache: .cold, rows: cold.map(Row.init))]
        guard !plan.isDirect else { return }
        var cached = cold
        if plan.taskCount > 1 { cached += engines.map { Await(plan, memory, $0, taskCount: 1) } }
        sections.append(Section(cache: .cached, rows: cached.map(Row.init)))
    }

    private static func peers(_ plan: Plan, _ memory: BlockMemory) -> [any Contestant] {
        plan.peers.compactMap { peer in
            switch peer {
            case .pread: return Pread(plan, memory)
            case .posixAIO: return PosixAIO(plan, memory)
            case .linuxAIO:
                // With --direct, linux-aio-direct is the same contestant.
                if plan.isDirect, plan.peers.contains(.linuxAIODirect) { return nil }
                return LinuxAIO(plan, memory, direct: plan.isDirect)
            case .linuxAIODirect: return LinuxAIO(plan, memory, direct: true)
            }
        }
    }
}
