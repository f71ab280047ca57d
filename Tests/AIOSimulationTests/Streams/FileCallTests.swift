import AIO
import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// Calls that are for files, on streams: with the real kernel's errnos.
struct FileCallTests {
    private static let calls: [(Int, Int, Int, Int)] = [
        (Int(CK_NR_fsync), 0, 0, 0), (Int(CK_NR_fdatasync), 0, 0, 0), (Int(CK_NR_ftruncate), 0, 0, 0),
        (Int(CK_NR_readahead), 0, 10, 0), (Int(CK_NR_fallocate), 0, 0, 10), (Int(CK_NR_fallocate), 0, 0, 0),
        (Int(CK_NR_fallocate), 1 << 20, 0, 10), (Int(CK_NR_fadvise64), 0, 0, 0), (Int(CK_NR_fadvise64), 0, 0, 9),
        (Int(CK_NR_sync_file_range), 0, 0, 0), (Int(CK_NR_sync_file_range), 0, 0, 8), (Int(CK_NR_lseek), 0, 0, 0),
    ]

    private func results(_ caller: Caller, _ numbers: [Int]) -> [Int] {
        numbers.flatMap { number in Self.calls.map { caller.call(SystemCall($0.0, number, $0.1, $0.2, $0.3)) } }
    }

    private func descriptors(_ caller: Caller) -> [Int] {
        let pipe = caller.pipe()
        let pair = caller.pair(CK_SOCK_STREAM)
        return [
            pipe.read, pipe.write, pair.one, pair.other, caller.socket(CK_AF_INET, CK_SOCK_STREAM),
            caller.call(SystemCall(Int(CK_NR_eventfd2))),
        ]
    }

    @Test func streamsRefuseCallsForFilesAsTheKernels() {
        let kernel = SimulatedKernel(host: "a", in: World(seed: 1))
        let real = descriptors(.real)
        defer { for number in real { Caller.real.close(number) } }
        let simulated = descriptors(.simulated(kernel))
        #expect(results(.simulated(kernel), simulated) == results(.real, real))
        #expect(results(.simulated(kernel), [-1]) == results(.real, [-1]))
    }

    @Test func theBytesThatCanBeReadAreCounted() {
        let kernel = SimulatedKernel(host: "a", in: World(seed: 1))
        for caller in [Caller.simulated(kernel), .real] {
            let pair = caller.pair(CK_SOCK_STREAM)
            caller.send(pair.one, [1, 2, 3])
            var count: Int32 = 0
            let result = withUnsafeMutablePointer(to: &count) {
                caller.call(SystemCall(Int(CK_NR_ioctl), pair.other, Int(CK_FIONREAD), Int(bitPattern: $0)))
            }
            #expect(result == 0 && count == 3)
            caller.close(pair.one)
            caller.close(pair.other)
        }
    }
}
