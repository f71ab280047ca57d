import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Waiting syncs of a file share the next one. The device counts what really happens: each fsync of a block device is
/// one flush.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SharedSyncTests {
    @Test(arguments: engines)
    func allWhoWaitForARunningSyncShareOneMoreFlush(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            let before = try device.flushCount()
            try await device.holdingASync { file in
                let syncs = (0..<20).map { index in Task { try await file.sync(index == 7 ? .full : .data) } }
                try await eventually { file.syncWaiterCount == 20 }
                #expect(try device.flushCount() == before, "none has begun")
                return syncs
            }
            // One flush for the sync that was held, and one for the twenty that came after its start.
            #expect(try device.flushCount() == before + 2)
        }
    }

    @Test(arguments: engines)
    func aSyncAloneIsOneFlush(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            let before = try device.flushCount()
            for _ in 0..<5 { try await device.file.sync(.data) }
            #expect(try device.flushCount() == before + 5)
        }
    }

    @Test(arguments: engines)
    func aCancelledCallerLeavesTheSyncToTheOthers(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            let before = try device.flushCount()
            try await device.holdingASync { file in
                let cancelled = Task { try await file.sync() }
                let stays = Task { try await file.sync() }
                try await eventually { file.syncWaiterCount == 2 }
                cancelled.cancel()
                await expectError(.cancelled) { try await cancelled.value }
                #expect(file.syncWaiterCount == 1)
                return [stays]
            }
            #expect(try device.flushCount() == before + 2)
        }
    }

    @Test(arguments: engines)
    func aCallersDeadlineEndsItsWaitAlone(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            try await device.holdingASync { file in
                let stays = Task { try await file.sync() }
                let other = Task { try await file.sync(deadline: .farAway) }
                let early = Task { try await file.sync(deadline: .soon) }
                let error = await expectError(.deadlineExceeded) { try await early.value }
                #expect(error?.operation == "fsync")
                #expect(error?.path == device.file.path)
                try await eventually { file.syncWaiterCount == 2 }
                return [stays, other]
            }
        }
    }

    @Test(arguments: engines)
    func aSyncThatEverybodyHasLeftDoesNotHappen(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            let before = try device.flushCount()
            try await device.holdingASync { file in
                let syncs = (0..<3).map { _ in Task { try await file.sync() } }
                try await eventually { file.syncWaiterCount == 3 }
                for sync in syncs { sync.cancel() }
                for sync in syncs { await expectError(.cancelled) { try await sync.value } }
                return []
            }
            #expect(try device.flushCount() == before + 1)
        }
    }

    @Test(arguments: engines)
    func aCloseWaitsForTheSyncsThatWereCalledBefore(_ engine: EngineKind) async throws {
        try await withDevice(engine) { device in
            let before = try device.flushCount()
            try await device.holdingASync { file in
                let syncs = (0..<3).map { _ in Task { try await file.sync() } }
                try await eventually { file.syncWaiterCount == 3 }
                let close = Task { try await file.close() }
                // Operations are refused as soon as the close has begun.
                while (try? await file.read(upTo: 0, at: 0)) != nil { await Task.yield() }
                return syncs + [close]
            }
            #expect(try device.flushCount() == before + 2)
        }
    }

    @Test(arguments: engines)
    func underManyTasksEveryWriteIsSyncedByALaterFlush(_ engine: EngineKind) async throws {
        try await withDevice(engine, queueDepth: 64) { device in
            let before = try device.flushCount()
            let file = device.file
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<16 {
                    group.addTask {
                        for round in 0..<20 {
                            try await file.writeAll([UInt8(round)], at: Int64(writer) * 4096)
                            try await file.sync(.data)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let flushes = try device.flushCount() - before
            #expect(flushes <= 320)
            #expect(flushes >= 20)
            #expect(file.syncWaiterCount == 0)
        }
    }

    /// A loop device over a file in memory, and a runtime with few slots.
    private func withDevice(
        _ engine: EngineKind, queueDepth: Int = 1, _ body: (SyncedDevice) async throws -> Void
    ) async throws {
        try needs(.mounts)
        try await withScratch(in: "/dev/shm") { scratch in
            let backing = try openDescriptor(try scratch.file("backing"), O_RDWR)
            defer { closeDescriptor(backing) }
            try #require(ftruncate(backing, 1 << 20) == 0)
            let loop: LoopDevice
            do { loop = try LoopDevice(over: backing) } catch let error as Unavailable {
                try Test.cancel("\(skipped("no loop device: \(error.reason)"))")
            }
            try await run(engine, queueDepth, on: loop.path, body)
            _ = consume loop
        }
    }

    private func run(
        _ engine: EngineKind, _ queueDepth: Int, on path: String, _ body: (SyncedDevice) async throws -> Void
    ) async throws {
        try await withRuntime(engine, { $0.queueDepth = queueDepth }) { runtime in
            let file = try await File.open(Path(path), .readWrite, runtime: runtime)
            try await body(SyncedDevice(path: path, file: file, runtime: runtime))
            // One of the cases has closed it already.
            try? await file.close()
        }
    }
}

/// A block device with a count of its flushes.
private struct SyncedDevice: Sendable {
    let path: String
    let file: File
    let runtime: IORuntime

    /// Completed flushes: the 16th number in the device's stat file (Documentation/block/stat.rst, 5.5).
    func flushCount() throws -> Int {
        let name = path.split(separator: "/").last ?? ""
        let descriptor = try openDescriptor("/sys/block/\(name)/stat")
        defer { closeDescriptor(descriptor) }
        let numbers = String(decoding: readToEnd(descriptor), as: UTF8.self).split(whereSeparator: \.isWhitespace)
        return try #require(numbers.count > 15 ? Int(numbers[15]) : nil)
    }

    /// Runs `body` while a sync has its turn and cannot begin, since a waiting read occupies the only slot. Then
    /// completes the read, and waits for the sync and for the tasks that `body` returns.
    func holdingASync(_ body: (File) async throws -> [Task<Void, any Error>]) async throws {
        try await Ends.with { ends in
            let reading = ends.reading
            let runtime = runtime
            let read = Task {
                let memory = Memory(count: 1)
                return try await runtime.perform(.read(memory.transfer(reading)))
            }
            try await eventually { runtime.inFlightCount == 1 }
            let file = file
            let held = Task { try await file.sync(.data) }
            try await eventually { file.isSyncing }
            let tasks = try await body(file)
            ends.put([1])
            #expect(try await read.value == 1)
            try await held.value
            for task in tasks { try await task.value }
        }
    }
}
