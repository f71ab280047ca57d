import AIOCore
import CKernel

@testable import AIOSimulation

/// Compares the simulated file system with a real one.
enum FileDifference {
    /// The first difference, with what came before; nil without one.
    static func first(_ real: FileCaller, _ top: Int, _ seed: UInt64) -> String? {
        let (kernel, simulated) = SimulatedKernel.fresh(seed: seed)
        kernel.umask = umask(real, top)
        // As mkdtemp(3) makes it.
        _ = simulated.at(CK_NR_mkdirat, "/top", 0o700)
        let simulatedTop = simulated.open("/top", CK_O_RDONLY | CK_O_DIRECTORY)
        let (log, tree) = run(simulated, simulatedTop, seed)
        let (realLog, realTree) = run(real, top, seed)
        RandomFileCalls.clear(real, top)
        if let index = log.indices.first(where: { log[$0] != realLog[$0] }) {
            let before = log[..<index].filter { !$0.isEmpty }.joined(separator: "\n    ")
            return "\n    \(before)\n  simulated: \(log[index])\n  real:      \(realLog[index])"
        }
        guard tree != realTree else { return nil }
        let calls = log.joined(separator: "\n    ")
        let trees = [tree, realTree].map { $0.joined(separator: "\n    ") }
        return "\n    \(calls)\n  simulated:\n    \(trees[0])\n  real:\n    \(trees[1])"
    }

    /// Whether the directory is on ext4, whose limits the simulation has.
    static func isComparable(_ real: FileCaller, _ top: Int) -> Bool {
        var status = ck_statfs()
        let result = withUnsafeMutablePointer(to: &status) {
            real.call(CK_NR_fstatfs, top, Int(bitPattern: $0))
        }
        return result == 0 && status.type == 0xef53
    }

    /// The real process's, which only a new file tells without a change.
    private static func umask(_ real: FileCaller, _ top: Int) -> UInt16 {
        _ = real.at(CK_NR_mkdirat, "probe", 0o777, in: top)
        defer { _ = real.unlink("probe", Int(CK_AT_REMOVEDIR), in: top) }
        return ~real.status("probe", in: top).status.mode & 0o777
    }

    private static func run(_ calls: FileCaller, _ top: Int, _ seed: UInt64) -> (log: [String], tree: [String]) {
        _ = calls.makeDirectory("work", in: top)
        let directory = calls.open("work", CK_O_RDONLY | CK_O_DIRECTORY, in: top)
        defer { calls.close(directory) }
        var sequence = RandomFileCalls(calls, in: directory, seed: seed)
        sequence.run(40)
        return (sequence.log, RandomFileCalls.tree(calls, top))
    }
}
