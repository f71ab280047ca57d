import AIOCore

/// Who takes part in which section.
struct Lineup {
    private(set) var sections: [Section] = []
    /// Who does not, and why.
    private(set) var notes: [String] = []

    init(_ plan: Plan) throws {
        let contestants = Lineup.peers(plan) + (plan.engines ?? EngineKind.allCases).map { Queue(plan, $0) }
        sections = [Section(cache: .cold, rows: contestants.map(Row.init))]
        guard !plan.isDirect else { return }
        sections.append(Section(cache: .cached, rows: contestants.map(Row.init)))
    }

    private static func peers(_ plan: Plan) -> [any Contestant] {
        plan.peers.compactMap { peer in
            switch peer {
            case .pread: Pread(plan)
            case .posixAIO: PosixAIO(plan)
            // With --direct the one below is the same.
            case .linuxAIO: plan.isDirect && plan.peers.contains(.linuxAIODirect) ? nil : LinuxAIO(plan, direct: plan.isDirect)
            case .linuxAIODirect: LinuxAIO(plan, direct: true)
            }
        }
    }
}
