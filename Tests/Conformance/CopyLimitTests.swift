import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Copies with few descriptors, of trees with thousands of levels, and of files that misreport their size.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct CopyLimitTests {
    private let content = KnownContent(seed: 1147)

    /// Their reported size is a page.
    @Test(.notSimulated(.mounts), arguments: engines)
    func filesThatGiveLessThanTheySayAreCopiedWithWhatTheyGive(_ engine: EngineKind) async throws {
        let path = "/sys/devices/system/cpu/online"
        guard access(path, R_OK) == 0 else { try Test.cancel("\(skipped("no sysfs"))") }
        try await withTreeScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await Paths.copy(Path(path), to: Path(scratch.path("copy")), runtime: runtime)
                let descriptor = try openDescriptor(path)
                defer { closeDescriptor(descriptor) }
                let expected = readToEnd(descriptor)
                #expect(try scratch.content("copy") == expected && !expected.isEmpty && expected.count < 4096)
            }
        }
    }

    /// Slightly more descriptors than `cp` needs, besides those of the runtime.
    @Test(.notSimulated(.process), arguments: engines.map(\.description), [10, 40])
    func withFewDescriptorsATreeIsCopiedWalkedAndRemovedAllTheSame(_ name: String, _ free: Int) async {
        await #expect(processExitsWith: .success) { [name = name as String, free = free as Int] in
            try OwnPool.install()
            let engine = try #require(engines.first { $0.description == name })
            let content = KnownContent(seed: 1147)
            try await withTreeScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                for folder in 0..<12 {
                    _ = try scratch.makeFolder("tree/\(folder)")
                    for file in 0..<50 { _ = try scratch.file("tree/\(folder)/\(file)", [UInt8(file)]) }
                }
                for file in 0..<4 { _ = try scratch.file("tree/large-\(file)", content.bytes(count: 5 << 20, at: 0)) }
                _ = try makeDeepTree(tree + "/1", levels: 40)
                var options = CopyOptions()
                options.sharesBlocks = false
                try await withRuntime(engine) { [options] runtime in
                    // Everything that is created on first use exists now.
                    try await Paths.copy(
                        Path(tree + "/large-0"), to: Path(scratch.path("first")), options: options, runtime: runtime)
                    var before = rlimit()
                    let resource = __rlimit_resource_t(UInt32(CK_RLIMIT_NOFILE))
                    try #require(getrlimit(resource, &before) == 0)
                    let highest = rlim_t((openDescriptors().max() ?? 2) + 1 + Int32(free))
                    var limit = rlimit(rlim_cur: highest, rlim_max: before.rlim_max)
                    try #require(setrlimit(resource, &limit) == 0)
                    let summary = try await Paths.copy(
                        Path(tree), to: Path(scratch.path("copy")), options: options, runtime: runtime
                    ) { Issue.record("\($0)") }
                    var walked = 0
                    for try await item in Paths.walk(Path(tree), runtime: runtime) {
                        if case .entry = item { walked += 1 }
                    }
                    try await Paths.removeRecursively(Path(tree + "/1"), runtime: runtime)
                    try #require(setrlimit(resource, &before) == 0)
                    #expect(!scratch.has("tree/1"))
                    #expect(summary.files == 604 && summary.directories == 53)
                    #expect(walked == 604 + 53)
                    #expect(runs(["rm", "-r", forOthers(scratch.path("copy/1"))]))
                    #expect(runs(["diff", "-r", forOthers(tree), forOthers(scratch.path("copy"))]))
                }
            }
        }
    }

    /// Time quadratic in the depth would be minutes.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aTreeOfThousandsOfLevelsIsCopiedWalkedAndRemoved(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(engines.first { $0.description == name })
            try await withTreeScratch { scratch in
                let tree = try scratch.makeFolder("tree")
                let levels = try makeDeepTree(tree, levels: 5000)
                try await withRuntime(engine) { runtime in
                    let before = openDescriptors()
                    let summary = try await Paths.copy(
                        Path(tree), to: Path(scratch.path("copy")), runtime: runtime
                    ) { Issue.record("\($0)") }
                    #expect(summary.directories == levels + 1 && summary.failures == 0)
                    var count = 0
                    for try await _ in Paths.walk(Path(scratch.path("copy")), runtime: runtime) { count += 1 }
                    #expect(count == levels + 1)
                    for name in ["tree", "copy"] {
                        try await Paths.removeRecursively(Path(scratch.path(name)), runtime: runtime)
                    }
                    #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
                }
            }
        }
    }
}
