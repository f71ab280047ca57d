import AIOCore
import CKernel
import Testing
import UnitSupport

@testable import AIOSimulation

/// Random sequences of calls on the simulated file system and on a real one.
struct DifferentialFileTests {
    @Test(arguments: 0..<4) func randomCallsHaveTheResultsOfTheRealKernel(part: Int) throws {
        let path = try #require(newDirectory(in: "/var/tmp"))
        let real = FileCaller.real
        defer { _ = real.unlink(path, Int(CK_AT_REMOVEDIR)) }
        let top = real.open(path, CK_O_RDONLY | CK_O_DIRECTORY)
        defer { real.close(top) }
        guard real.call(CK_NR_geteuid) == 0, FileDifference.isComparable(real, top) else {
            try Test.cancel("\(skipped("the comparison needs root, and ext4 at /var/tmp"))")
        }
        for seed in UInt64(part * 500)..<UInt64((part + 1) * 500) {
            let difference = FileDifference.first(real, top, seed)
            #expect(difference == nil, "seed \(seed): \(difference ?? "")")
            if difference != nil { break }
        }
    }
}
