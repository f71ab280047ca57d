import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Changes of watched files and directories.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ChangeTests {
    @Test(arguments: engines)
    func whatHappensInAFolderIsToldInOrder(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let folder = Path(scratch.folder)
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [folder], runtime: runtime) { changes in
                    _ = try scratch.file("one", [1, 2])
                    #expect(chmod(scratch.path("one"), 0o600) == 0)
                    #expect(Glibc.rename(scratch.path("one"), scratch.path("two")) == 0)
                    _ = try scratch.makeFolder("below")
                    // Not reported: only the folder itself is watched, not those below.
                    _ = try scratch.file("below/deep", [1])
                    unlink(scratch.path("below/deep"))
                    rmdir(scratch.path("below"))
                    unlink(scratch.path("two"))
                    var told = try await tell(changes, 9)
                    let cookies = told.compactMap { change -> UInt32? in
                        switch change.kind {
                        case .movedFrom(let cookie), .movedTo(let cookie): cookie
                        default: nil
                        }
                    }
                    #expect(cookies.count == 2 && cookies.first == cookies.last && cookies.first != 0)
                    let cookie = cookies.first ?? 0
                    #expect(told.allSatisfy { $0.path == folder })
                    #expect(told.filter(\.isDirectory).map(\.name) == ["below", "below"])
                    // Reported when the last descriptor is closed: a child that another test has just forked may hold
                    // one until its exec.
                    #expect(told.count { $0.kind == .closedAfterWriting } == 1)
                    told.removeAll { $0.isDirectory || $0.kind == .closedAfterWriting }
                    #expect(
                        told.map(\.kind) == [
                            .created, .modified, .attributesChanged, .movedFrom(cookie: cookie),
                            .movedTo(cookie: cookie), .deleted,
                        ])
                    #expect(told.map(\.name) == ["one", "one", "one", "one", "two", "two"])
                    await expectError(.deadlineExceeded) { try await changes.next(deadline: .soon) }
                }
            }
        }
    }

    @Test(arguments: engines)
    func whoWaitsIsWokenByAChange(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [Path(scratch.folder)], .created, runtime: runtime) { changes in
                    for index in 0..<20 {
                        let next = Task { try await changes.next() }
                        try await eventually { runtime.inFlightCount == 1 }
                        _ = try scratch.file("\(index)", [1])
                        #expect(try await next.value?.name == Path("\(index)"))
                    }
                }
            }
        }
    }

    @Test(arguments: engines, unusualNames)
    func namesAreToldByteByByte(_ engine: EngineKind, _ name: [UInt8]) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [Path(scratch.folder)], [.created, .deleted], runtime: runtime) { changes in
                    let path = scratch.path(bytes: name)
                    try await Paths.writeFile(path, [1], runtime: runtime)
                    try await Paths.unlink(path, runtime: runtime)
                    for kind in [Change.Kind.created, .deleted] {
                        let change = try await changes.next()
                        #expect(change?.kind == kind && change?.name?.bytes == name)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func eachChangeNamesWhatIsWatched(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let one = Path(try scratch.file("one"))
            let two = Path(try scratch.file("two"))
            #expect(symlink("one", scratch.path("link")) == 0)
            let link = Path(scratch.path("link"))
            try await withRuntime(engine) { runtime in
                // The link leads to a file that is already watched.
                try await withChanges(of: [one, two, link], .modified, runtime: runtime) { changes in
                    for path in [two, one, two] { try await Paths.writeFile(path, [1], options: [], runtime: runtime) }
                    let told = try await tell(changes, 3)
                    #expect(told.map(\.path) == [two, one, two])
                    #expect(told.allSatisfy { $0.name == nil && $0.kind == .modified })
                }
                try await withChanges(
                    of: [link], .attributesChanged, followLinks: false, runtime: runtime
                ) { changes in
                    // Both times: for a change of one alone, the kernel reports an access or a modification.
                    try await Paths.setTimes(of: one, access: .now, modification: .now, runtime: runtime)
                    try await Paths.setTimes(
                        of: link, access: .now, modification: .now, followLinks: false, runtime: runtime)
                    #expect(try await tell(changes, 1).map(\.path) == [link])
                    await expectError(.deadlineExceeded) { try await changes.next(deadline: .soon) }
                }
            }
        }
    }

    @Test(arguments: engines)
    func theSequenceEndsWhenAllThatIsWatchedIsGone(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let one = Path(try scratch.file("one"))
            let two = Path(try scratch.file("two"))
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [one, two], [.selfDeleted, .selfMoved], runtime: runtime) { changes in
                    #expect(Glibc.rename(scratch.path("one"), scratch.path("moved")) == 0)
                    unlink(scratch.path("moved"))
                    unlink(scratch.path("two"))
                    var told: [Change] = []
                    for try await change in changes { told.append(change) }
                    #expect(told.filter { $0.path == one }.map(\.kind) == [.selfMoved, .selfDeleted, .ignored])
                    #expect(told.filter { $0.path == two }.map(\.kind) == [.selfDeleted, .ignored])
                    #expect(try await changes.next() == nil)
                }
            }
        }
    }

    /// The limit is the kernel's. A lost event is reported, at its place in the sequence.
    @Test(.notSimulated(.mounts), arguments: engines)
    func anOverflowIsToldAndWhatFollowsToo(_ engine: EngineKind) async throws {
        let limit = try await Paths.readFile("/proc/sys/fs/inotify/max_queued_events")
        let events = try #require(Int(String(decoding: limit.dropLast(), as: UTF8.self)))
        guard events <= 100_000 else { try Test.cancel("\(skipped("max_queued_events is \(events)"))") }
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [Path(scratch.folder)], [.created, .deleted], runtime: runtime) { changes in
                    try await withScratch { other in
                        // Links instead of new files: ext4 creates files slowly after many were removed.
                        let file = try other.file("file")
                        for _ in 0...(events / 2) {
                            try #require(link(file, scratch.path("file")) == 0)
                            unlink(scratch.path("file"))
                        }
                    }
                    var count = 0
                    var last = try await changes.next()
                    while last?.kind != .overflow {
                        #expect(last?.kind == (count % 2 == 0 ? .created : .deleted))
                        count += 1
                        last = try await changes.next()
                    }
                    #expect(count == events && last?.path == nil && last?.name == nil)
                    _ = try scratch.file("after")
                    #expect(try await changes.next()?.name == "after")
                }
            }
        }
    }

    // MARK: Waiting

    @Test(arguments: engines)
    func aCancelOrADeadlineLosesNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [Path(scratch.folder)], .created, runtime: runtime) { changes in
                    let next = Task { try await changes.next() }
                    try await eventually { runtime.inFlightCount == 1 }
                    next.cancel()
                    await expectError(.cancelled) { try await next.value }
                    await expectError(.deadlineExceeded) { try await changes.next(deadline: .soon) }
                    _ = try scratch.file("one")
                    _ = try scratch.file("two")
                    let cancelled = Task {
                        while !Task.isCancelled { await Task.yield() }
                        return try await changes.next()
                    }
                    cancelled.cancel()
                    await expectError(.cancelled) { try await cancelled.value }
                    let loop = Task {
                        while !Task.isCancelled { await Task.yield() }
                        for try await change in changes { Issue.record("\(change)") }
                    }
                    loop.cancel()
                    try await loop.value
                    #expect(try await tell(changes, 2).map(\.name) == ["one", "two"])
                }
            }
        }
    }

    @Test(arguments: engines)
    func waitingTakesNoWorker(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine, { $0.workerLimit = 1 }) { runtime in
                var all: [Changes] = []
                for _ in 0..<5 { all.append(try await Paths.changes(of: path, .modified, runtime: runtime)) }
                let waiting = all.map { changes in Task { try await changes.next() } }
                try await eventually { runtime.inFlightCount == 5 }
                #expect(try await Paths.readFile(path, runtime: runtime) == [1])
                try await Paths.writeFile(path, [2], options: [], runtime: runtime)
                for task in waiting { #expect(try await task.value?.kind == .modified) }
                for changes in all { try await changes.close() }
            }
        }
    }

    @Test(arguments: engines)
    func onlyOneTaskAsksAtATime(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                try await withChanges(of: [Path(scratch.folder)], runtime: runtime) { changes in
                    let first = Task { try await changes.next() }
                    try await eventually { runtime.inFlightCount == 1 }
                    await expectError(.invalidArgument) { try await changes.next() }
                    _ = try scratch.file("file")
                    #expect(try await first.value?.kind == .created)
                }
            }
        }
    }

    // MARK: The end

    @Test(arguments: engines)
    func aCloseEndsTheSequenceForWhoWaits(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                for _ in 0..<20 {
                    let changes = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                    let loop = Task {
                        var count = 0
                        for try await _ in changes { count += 1 }
                        return count
                    }
                    await Task.yield()
                    try await changes.close()
                    #expect(try await loop.value == 0)
                    #expect(try await changes.next() == nil)
                    await expectError(.fileClosed) { try await changes.close() }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aShutdownEndsTheWaiting(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let changes = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                let next = Task { try await changes.next() }
                try await eventually { runtime.inFlightCount == 1 }
                await runtime.shutdown(.cancel)
                await expectError(.cancelled) { try await next.value }
                _ = await expectError(.runtimeShutDown) { try await changes.close() }
            }
        }
    }

    @Test(arguments: engines)
    func oneThatIsDroppedIsClosedAndLogged(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let lines = LogLines()
            try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                _ = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                try await eventually { !lines.all.isEmpty && runtime.inFlightCount == 0 }
            }
            #expect(lines.all.count == 1 && lines.all.first?.contains(scratch.folder) == true, "\(lines.all)")
        }
    }

    @Test(arguments: engines)
    func whatCannotBeWatchedIsNamed(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let file = Path(try scratch.file("file"))
            let missing = Path(scratch.path("missing"))
            try await withRuntime(engine) { runtime in
                let error = await expectError(.notFound) {
                    try await Paths.changes(of: [file, missing], runtime: runtime)
                }
                #expect(error?.path == missing && error?.operation == "inotify")
                await expectError(.invalidArgument) { try await Paths.changes(of: [Path](), runtime: runtime) }
                await expectError(.invalidArgument) { try await Paths.changes(of: file, [], runtime: runtime) }
                await expectError(.invalidArgument) {
                    try await Paths.changes(of: Path(bytes: [65, 0, 65]), runtime: runtime)
                }
            }
        }
    }

    /// In an exit test, where nothing else opens descriptors.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func everyDescriptorIsClosedOnce(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try await withScratch { scratch in
                let lines = LogLines()
                try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
                    try await withChanges(of: [Path(scratch.folder)], runtime: runtime) { _ in }
                    let before = openDescriptors()
                    let changes = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                    #expect(openDescriptors().count == before.count + 1)
                    try await changes.close()
                    #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
                    // The number now belongs to another file, which must stay open.
                    let other = try openDescriptor("/dev/null")
                    await expectError(.fileClosed) { try await changes.close() }
                    #expect(isOpen(other))
                    closeDescriptor(other)
                    await expectError(.notFound) {
                        try await Paths.changes(of: [Path(scratch.folder), "/missing"], runtime: runtime)
                    }
                    #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
                    _ = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                    try await eventually { openDescriptors() == before }
                    let open = try await Paths.changes(of: Path(scratch.folder), runtime: runtime)
                    await runtime.shutdown()
                    await expectError(.runtimeShutDown) { try await open.close() }
                    #expect(openDescriptors().isSubset(of: before), "\(descriptorChanges(since: before))")
                }
                #expect(lines.all.count == 1)
            }
        }
    }

    /// Returns the next `count` changes.
    private func tell(_ changes: Changes, _ count: Int) async throws -> [Change] {
        var told: [Change] = []
        while told.count < count {
            told.append(try #require(try await changes.next(deadline: .after(.seconds(30))), "the sequence has ended"))
        }
        return told
    }
}
