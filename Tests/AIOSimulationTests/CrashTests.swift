import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// What a crash leaves under the two sets of rules.
struct CrashTests {
    static let rules: [CrashRules] = [.posix, .ordered]
    static let seeds: Range<UInt64> = 0..<400

    private static func block(_ byte: UInt8, _ count: Int = 4096) -> [UInt8] { [UInt8](repeating: byte, count: count) }

    /// A host whose directory /data is durable.
    private static func host() -> (kernel: SimulatedKernel, calls: FileCaller) {
        let (kernel, calls) = SimulatedKernel.fresh()
        precondition(calls.makeDirectory("/data") == 0 && calls.sync("/") == 0)
        return (kernel, calls)
    }

    /// What a file contains after each of the crashes; nil where it is gone.
    private static func outcomes(
        _ kernel: SimulatedKernel, _ rules: CrashRules, _ path: String, _ seeds: Range<UInt64> = seeds
    ) -> [[UInt8]?] {
        seeds.map { kernel.crashed(rules, seed: $0).content(path) }
    }

    // MARK: What is durable

    @Test(arguments: rules) func syncedContentIsNeverLost(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        let content = Self.block(1, 1500)
        calls.put("/data/file", content, sync: true)
        #expect(calls.sync("/data") == 0)
        // Much else goes on, unsynced.
        calls.put("/data/other", Self.block(2))
        #expect(calls.rename("/data/other", "/data/third") == 0)
        #expect(calls.makeDirectory("/data/folder") == 0)
        for seed in UInt64(0)..<10_000 {
            if kernel.crashed(rules, seed: seed).content("/data/file") != content {
                Issue.record("lost with seed \(seed)")
                return
            }
        }
    }

    @Test(arguments: rules) func aTreeIsWholeAfterASyncOfEverything(rules: CrashRules) {
        for seed in UInt64(0)..<100 {
            let (kernel, calls) = SimulatedKernel.fresh(seed: seed)
            _ = calls.makeDirectory("/work")
            let directory = calls.open("/work", CK_O_RDONLY | CK_O_DIRECTORY)
            var sequence = RandomFileCalls(calls, in: directory, seed: seed)
            sequence.run(60)
            kernel.fileSystem.syncAll()
            let before = RandomFileCalls.tree(calls, directory)
            let crashed = kernel.crashed(rules, seed: seed)
            let after = RandomFileCalls.tree(crashed, crashed.open("/work", CK_O_RDONLY | CK_O_DIRECTORY))
            #expect(before == after, "seed \(seed)")
        }
    }

    @Test(arguments: rules) func aSurvivorCountsItsLinksAndBlocks(rules: CrashRules) {
        for seed in UInt64(0)..<100 {
            let (kernel, calls) = SimulatedKernel.fresh(seed: seed)
            _ = calls.makeDirectory("/work")
            var sequence = RandomFileCalls(
                calls, in: calls.open("/work", CK_O_RDONLY | CK_O_DIRECTORY), seed: seed)
            sequence.run(60)
            let survivor = kernel.fileSystem.crash(rules, seed: seed)
            let again = survivor.crash(rules, seed: seed + 1)
            #expect(again.inodesInUse == survivor.inodesInUse && again.blocksInUse == survivor.blocksInUse)
            let crashed = FileCaller(SimulatedKernel(host: "host", in: kernel.world, fileSystem: survivor))
            let crashedAgain = FileCaller(SimulatedKernel(host: "host", in: kernel.world, fileSystem: again))
            let root = crashed.open("/", CK_O_RDONLY | CK_O_DIRECTORY)
            let rootAgain = crashedAgain.open("/", CK_O_RDONLY | CK_O_DIRECTORY)
            #expect(
                RandomFileCalls.tree(crashed, root) == RandomFileCalls.tree(crashedAgain, rootAgain), "seed \(seed)")
        }
    }

    @Test(arguments: rules, [CK_O_DSYNC, CK_O_SYNC]) func aSynchronousWriteIsDurable(rules: CrashRules, flag: UInt64) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", [], sync: true)
        #expect(calls.sync("/data") == 0)
        let file = calls.open("/data/file", CK_O_WRONLY | flag)
        #expect(calls.write(file, Self.block(3)) == 4096)
        #expect(Self.outcomes(kernel, rules, "/data/file").allSatisfy { $0 == Self.block(3) })
    }

    @Test(arguments: rules, [CK_RWF_DSYNC, CK_RWF_SYNC]) func aWriteWithASyncFlagIsDurable(
        rules: CrashRules, flag: UInt32
    ) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", [], sync: true)
        #expect(calls.sync("/data") == 0)
        #expect(calls.write(calls.open("/data/file"), Self.block(3), at: 0, flags: flag) == 4096)
        #expect(Self.outcomes(kernel, rules, "/data/file").allSatisfy { $0 == Self.block(3) })
    }

    @Test func nothingIsCachedAfterACrash() {
        let (kernel, calls) = SimulatedKernel.fresh()
        calls.put("/file", Self.block(1), sync: true)
        let crashed = kernel.crashed(.ordered, seed: 1)
        let file = crashed.open("/file")
        #expect(crashed.read(file, 10, at: 0, flags: CK_RWF_NOWAIT).result == -Int(EAGAIN))
        var range = ck_cachestat_range(offset: 0, count: 0)
        var status = ck_cachestat()
        #expect(crashed.read(file, 10, at: 0).result == 10)
        let result = withUnsafePointer(to: &range) { range in
            withUnsafeMutablePointer(to: &status) {
                crashed.call(CK_NR_cachestat, file, Int(bitPattern: range), Int(bitPattern: $0), 0)
            }
        }
        #expect(result == 0 && status.cached == 1 && status.dirty == 0)
    }

    @Test(arguments: rules) func devicesAndProcSurvive(rules: CrashRules) {
        let calls = SimulatedKernel.fresh().kernel.crashed(rules, seed: 1)
        let device = calls.open("/dev/zero")
        let folder = calls.open("/proc/self/fd", CK_O_RDONLY | CK_O_DIRECTORY)
        #expect(calls.read(device, 4).bytes == [0, 0, 0, 0])
        #expect(calls.names(folder).names == ["\(device)", "\(folder)"])
    }

    // MARK: What is not

    @Test(arguments: rules) func anOverwriteOfSyncedDataMayBeTornAtSectors(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0)
        #expect(calls.write(calls.open("/data/file"), Self.block(2), at: 0) == 4096)
        var torn = 0
        for content in Self.outcomes(kernel, rules, "/data/file") {
            #expect(content?.count == 4096)
            let sectors = stride(from: 0, to: 4096, by: 512).map { Set(content![$0..<$0 + 512]) }
            #expect(sectors.allSatisfy { $0 == [1] || $0 == [2] })
            if Set(sectors).count == 2 { torn += 1 }
        }
        #expect(torn > 0)
    }

    @Test(arguments: rules) func aSyncedRangeMayBeLost(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0)
        let file = calls.open("/data/file")
        #expect(calls.write(file, Self.block(2), at: 0) == 4096)
        #expect(calls.call(CK_NR_sync_file_range, file, 0, 0, 7) == 0)
        #expect(Self.outcomes(kernel, rules, "/data/file").contains(Self.block(1)))
    }

    @Test(arguments: rules) func anEarlierVersionOfAPageMaySurvive(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0)
        let file = calls.open("/data/file")
        for byte in [2, 3] as [UInt8] { #expect(calls.write(file, Self.block(byte), at: 0) == 4096) }
        let outcomes = Self.outcomes(kernel, rules, "/data/file")
        for byte in [1, 2, 3] as [UInt8] { #expect(outcomes.contains(Self.block(byte))) }
    }

    @Test func aNameIsDurableWithItsFileOnlyByTheJournal() {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(Self.outcomes(kernel, .posix, "/data/file").contains(nil))
        #expect(Self.outcomes(kernel, .ordered, "/data/file").allSatisfy { $0 == Self.block(1) })
    }

    @Test(arguments: rules) func anUnsyncedRemovalMayBeUndone(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0 && calls.unlink("/data/file") == 0)
        let outcomes = Self.outcomes(kernel, rules, "/data/file")
        #expect(outcomes.contains(nil) && outcomes.contains(Self.block(1)))
        #expect(calls.sync("/data") == 0)
        #expect(Self.outcomes(kernel, rules, "/data/file").allSatisfy { $0 == nil })
    }

    // MARK: Renames

    /// The usual fault: a new file is written and renamed over the old one, without a sync.
    private static func replaceWithoutSync() -> SimulatedKernel {
        let (kernel, calls) = host()
        calls.put("/data/file", block(1, 6000), sync: true)
        precondition(calls.sync("/data") == 0)
        calls.put("/data/new", block(2, 6000))
        precondition(calls.rename("/data/new", "/data/file") == 0)
        return kernel
    }

    @Test func aReplacementWithoutASyncMayBeEmptyOrPartByPOSIX() {
        let outcomes = Self.outcomes(Self.replaceWithoutSync(), .posix, "/data/file")
        #expect(outcomes.contains(Self.block(1, 6000)) && outcomes.contains(Self.block(2, 6000)))
        #expect(outcomes.contains([]))
        #expect(outcomes.contains { content in content.map { 0 < $0.count && $0.count < 6000 } ?? false })
        #expect(!outcomes.contains(nil))
    }

    @Test func aReplacementWithoutASyncIsOldOrNewByTheJournal() {
        let outcomes = Self.outcomes(Self.replaceWithoutSync(), .ordered, "/data/file")
        #expect(outcomes.contains(Self.block(1, 6000)) && outcomes.contains(Self.block(2, 6000)))
        #expect(outcomes.allSatisfy { $0 == Self.block(1, 6000) || $0 == Self.block(2, 6000) })
    }

    @Test(arguments: rules) func aNewNameWithoutASyncMayBeEmpty(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        calls.put("/data/new", Self.block(2))
        #expect(calls.rename("/data/new", "/data/file") == 0)
        #expect(Self.outcomes(kernel, rules, "/data/file").contains([]))
    }

    @Test func anUnsyncedRenameLeavesOneNameBothOrNoneByPOSIX() {
        let (kernel, calls) = Self.host()
        calls.put("/data/a", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0 && calls.rename("/data/a", "/data/b") == 0)
        func found(_ rules: CrashRules) -> Set<[Bool]> {
            Set(
                Self.seeds.map { seed in
                    let crashed = kernel.crashed(rules, seed: seed)
                    return ["/data/a", "/data/b"].map { crashed.content($0) == Self.block(1) }
                })
        }
        #expect(found(.posix) == [[true, false], [false, true], [true, true], [false, false]])
        #expect(found(.ordered) == [[true, false], [false, true]])
    }

    @Test func anExchangeIsOneTransaction() {
        let (kernel, calls) = Self.host()
        calls.put("/data/a", Self.block(1), sync: true)
        calls.put("/data/b", Self.block(2), sync: true)
        #expect(calls.sync("/data") == 0 && calls.rename("/data/a", "/data/b", CK_RENAME_EXCHANGE) == 0)
        let found = Set(
            Self.seeds.map { seed in
                let crashed = kernel.crashed(.ordered, seed: seed)
                return ["/data/a", "/data/b"].map { crashed.content($0)?.first }
            })
        #expect(found == [[1, 2], [2, 1]])
    }

    // MARK: Order

    @Test func ofTheJournalAPrefixSurvives() {
        let (kernel, calls) = Self.host()
        for name in ["a", "b", "c", "d"] { #expect(calls.makeDirectory("/data/\(name)") == 0) }
        func found(_ rules: CrashRules) -> Set<[String]> {
            Set(
                Self.seeds.map { seed in
                    let crashed = kernel.crashed(rules, seed: seed)
                    return crashed.names(crashed.open("/data", CK_O_RDONLY | CK_O_DIRECTORY)).names
                })
        }
        #expect(found(.ordered) == [[], ["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]])
        #expect(found(.posix).contains(["b", "d"]))
    }

    @Test func aSyncCommitsWhatCameBeforeInTheJournal() {
        let (kernel, calls) = Self.host()
        #expect(calls.makeDirectory("/data/before") == 0)
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.makeDirectory("/data/after") == 0)
        for seed in Self.seeds {
            #expect(kernel.crashed(.ordered, seed: seed).status("/data/before").result == 0)
        }
        #expect(Self.seeds.contains { kernel.crashed(.posix, seed: $0).status("/data/before").result != 0 })
    }

    @Test func anAppendedSizeComesWithItsDataByTheJournal() {
        let (kernel, calls) = Self.host()
        calls.put("/data/log", Self.block(1, 1000), sync: true)
        let log = calls.open("/data/log", CK_O_WRONLY | CK_O_APPEND)
        for byte in 2...9 as ClosedRange<UInt8> { #expect(calls.write(log, Self.block(byte, 1000)) == 1000) }
        let whole = (1...9).flatMap { Self.block($0, 1000) }
        let outcomes = Self.outcomes(kernel, .ordered, "/data/log")
        for content in outcomes { #expect(content.map { whole.starts(with: $0) && $0.count >= 1000 } ?? false) }
        #expect(Set(outcomes.map { $0?.count }).count > 2)
        // POSIX does not promise it: there are holes.
        #expect(Self.outcomes(kernel, .posix, "/data/log").contains { !whole.starts(with: $0 ?? []) })
    }

    @Test(arguments: rules) func bytesBehindATruncationDoNotComeBackWithALaterExtension(rules: CrashRules) {
        let (kernel, calls) = Self.host()
        let file = calls.open("/data/file", CK_O_RDWR | CK_O_CREAT)
        #expect(calls.write(file, Self.block(1, 3000), at: 0) == 3000)
        #expect(calls.call(CK_NR_ftruncate, file, 100) == 0 && calls.call(CK_NR_fsync, file) == 0)
        #expect(calls.sync("/data") == 0)
        #expect(calls.call(CK_NR_ftruncate, file, 3000) == 0)
        for content in Self.outcomes(kernel, rules, "/data/file") {
            #expect(content?.dropFirst(100).allSatisfy { $0 == 0 } ?? false)
        }
    }

    @Test func aTruncatedAndRewrittenFileIsSavedByItsCloseWithTheJournal() {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        calls.put("/data/file", Self.block(2))
        // The rewriting's transactions are committed with a later change that is synced.
        calls.put("/data/other", [], sync: true)
        #expect(Self.outcomes(kernel, .ordered, "/data/file").allSatisfy { $0 == Self.block(2) })
        #expect(Self.outcomes(kernel, .posix, "/data/file").contains([]))
    }

    // MARK: Failures

    @Test(arguments: rules) func whatAFailedSyncLostTheNextOneDoesNotSave(rules: CrashRules) throws {
        let (kernel, calls) = Self.host()
        calls.put("/data/file", Self.block(1), sync: true)
        #expect(calls.sync("/data") == 0)
        let (file, other) = (calls.open("/data/file"), calls.open("/data/file"))
        #expect(calls.write(file, Self.block(2), at: 0) == 4096)
        let sync = SystemCall(CK_NR_fsync, file)
        #expect(kernel.failFileCall(sync, with: EIO) == -Int(EIO))
        // The error is reported once to each description; the data still seems to be there.
        #expect(calls.call(CK_NR_fsync, file) == 0)
        #expect(calls.call(CK_NR_fdatasync, other) == -Int(EIO) && calls.call(CK_NR_fdatasync, other) == 0)
        #expect(calls.content("/data/file") == Self.block(2))
        #expect(Self.outcomes(kernel, rules, "/data/file").allSatisfy { $0 != Self.block(2) })
    }

    @Test func theSameSeedLeavesTheSame() {
        for rules in Self.rules {
            let kernel = Self.replaceWithoutSync()
            #expect(
                Self.outcomes(kernel, rules, "/data/file")
                    == Self.outcomes(Self.replaceWithoutSync(), rules, "/data/file"))
        }
    }
}

extension SimulatedKernel {
    /// The calls of the host after a crash.
    func crashed(_ rules: CrashRules, seed: UInt64) -> FileCaller {
        FileCaller(SimulatedKernel(host: host, in: world, fileSystem: fileSystem.crash(rules, seed: seed)))
    }
}
