import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Copies while descriptors run out again and again.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct DescriptorScarcityTests {
    /// Each shortage is short. All of them together last longer than a single one may.
    private static let shortageCount = 60

    @Test(.notSimulated(.process)) func aCopyOutlastsAnyNumberOfShortShortages() async {
        await #expect(processExitsWith: .success) {
            try await withTreeScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                for index in 0..<DescriptorScarcityTests.shortageCount / 4 {
                    _ = try scratch.makeFolder("tree/\(index)")
                    for file in 0..<4 { _ = try scratch.file("tree/\(index)/\(file)", [UInt8(file)]) }
                }
                let (progress, copy) = (CopyProgress(), scratch.path("copy"))
                var summary = CopySummary?.none
                try await Shortages.with(while: { progress.files }) {
                    summary = try await Paths.copy(Path(tree), to: Path(copy), progress: progress) {
                        Issue.record("\($0)")
                    }
                }
                #expect(summary?.files == DescriptorScarcityTests.shortageCount)
                #expect(runs(["diff", "-r", forOthers(tree), forOthers(copy)]))
            }
        }
    }
}

/// Shortages of descriptors, by RLIMIT_NOFILE. For child processes only.
private enum Shortages {
    /// Runs `body`. From its first progress on, another thread lets descriptors run out, again and again, and waits for
    /// more progress after each shortage.
    static func with(while progress: @escaping @Sendable () -> Int, _ body: () async throws -> Void) async throws {
        try OwnPool.install()
        let resource = __rlimit_resource_t(UInt32(CK_RLIMIT_NOFILE))
        var before = rlimit()
        try #require(getrlimit(resource, &before) == 0)
        let (usual, isOver) = (before, Flag())
        let thread = TestThread {
            var (usual, none) = (usual, rlimit(rlim_cur: 0, rlim_max: usual.rlim_max))
            // The start does not wait for descriptors.
            _ = eventually { isOver.isSet || progress() > 0 }
            while !isOver.isSet {
                setrlimit(resource, &none)
                // Several pauses, which nothing tells of. The outcome does not depend on their number, as long as it is
                // less than a single shortage may have.
                let end = Deadline.after(.milliseconds(100))
                _ = eventually { end.hasPassed }
                let count = progress()
                setrlimit(resource, &usual)
                _ = eventually { isOver.isSet || progress() != count }
            }
        }
        defer {
            isOver.set()
            thread.join()
        }
        try await body()
    }
}
