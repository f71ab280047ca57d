import Foundation
import Testing
import UnitSupport

/// Short runs of Scripts/power-loss, which says how it works.
@Suite(
    .enabled(if: getenv("AIO_TEST_POWER_LOSS") != nil, "the recordings take minutes; AIO_TEST_POWER_LOSS=1 runs them"),
    .serialized, .timeLimit(.minutes(5))
) struct PowerLossTests {
    @Test(arguments: ["ext4", "xfs", "btrfs"])
    func whatWasReplacedDurablySurvivesAPowerFailure(_ fileSystem: String) async throws {
        let run = try await PowerLoss.run(fileSystem, "replace", images: 20)
        #expect(run.status == 0, "\(run.output)")
        #expect(run.output.contains(" 0 images with 0 violations"), "\(run.output)")
    }

    /// Otherwise the test above could pass because the images are wrong, or nothing is read.
    @Test(arguments: ["no-sync", "no-directory-sync"])
    func aReplacementWithTooFewSyncsIsFound(_ version: String) async throws {
        let run = try await PowerLoss.run("ext4", "replace", images: 10, "--wrong", version)
        #expect(run.status == 1, "\(run.output)")
    }

    @Test func acknowledgedLinesSurviveAPowerFailure() async throws {
        let run = try await PowerLoss.run("ext4", "log-writer", images: 20)
        #expect(run.status == 0, "\(run.output)")
    }

    @Test func linesThatAreAcknowledgedBeforeTheirSyncAreMissed() async throws {
        let run = try await PowerLoss.run("ext4", "log-writer", images: 10, "--wrong", "no-sync")
        #expect(run.status == 1, "\(run.output)")
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
    func nothingIsLeftOfARunThatASignalEnds(_ signal: Int32) async throws {
        let process = try PowerLoss.start("ext4", "replace", images: 100_000)
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        let own = process.processIdentifier
        // A file system is mounted: the recording's, or that of an image.
        try await eventually { PowerLoss.children(of: own).contains { PowerLoss.mounts(of: $0).contains("/dev/loop") } }
        let children = PowerLoss.children(of: own)
        kill(own, signal)
        await PowerLoss.end(of: process)
        #expect(process.terminationStatus == (signal == SIGKILL ? SIGKILL : 128 + signal))
        // The namespace's first process takes the others, the mounts and the loop devices with it.
        try await eventually { children.allSatisfy { access("/proc/\($0)", F_OK) != 0 } }
        #expect(access("/mnt/power-loss", F_OK) != 0)
        try await eventually { !PowerLoss.backingFiles.contains { $0.contains("power-loss") } }
    }
}

private func eventually(_ condition: () -> Bool) async throws {
    while !condition() {
        // The time limit of the test ends the wait.
        try Task.checkCancellation()
        await Task.yield()
    }
}

private struct PowerLoss {
    var status: Int32
    var output: String

    /// Runs the script to its end. The test is skipped if the script says that the machine lacks something.
    static func run(_ fileSystem: String, _ program: String, images: Int, _ more: String...) async throws -> PowerLoss {
        let pipe = Pipe()
        let process = try start(fileSystem, program, images: images, more, pipe)
        let output = await onThread { String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) }
        await end(of: process)
        if process.terminationStatus == 77 { try Test.cancel("\(skipped(output))") }
        return PowerLoss(status: process.terminationStatus, output: output)
    }

    /// Over the engine `threads`, which every machine has.
    static func start(
        _ fileSystem: String, _ program: String, images: Int, _ more: [String] = [], _ output: Pipe? = nil
    ) throws -> Process {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("no power loss: only root can mount"))") }
        guard runs("python3"), runs("gcc") else {
            try Test.cancel("\(skipped("no power loss: python3 or gcc is not installed"))")
        }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        let script = #filePath.replacing("Tests/PowerLoss/Tests/PowerLossTests.swift", with: "Scripts/power-loss")
        let binaries = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        process.arguments =
            ["python3", script, "--file-system", fileSystem, "--program", program, "--engine", "threads"]
            + ["--images", "\(images)", "--binaries", binaries] + more
        process.standardOutput = output ?? FileHandle.nullDevice
        process.standardError = output ?? FileHandle.nullDevice
        try process.run()
        return process
    }

    static func end(of process: Process) async {
        await onThread { process.waitUntilExit() }
    }

    /// The process that the script has forked.
    static func children(of process: Int32) -> [Int32] {
        text("/proc/\(process)/task/\(process)/children").split(separator: " ").compactMap { Int32($0) }
    }

    static func mounts(of process: Int32) -> String { text("/proc/\(process)/mounts") }

    /// What loop devices are over.
    static var backingFiles: [String] {
        let devices = (try? FileManager.default.contentsOfDirectory(atPath: "/sys/block")) ?? []
        return devices.map { text("/sys/block/\($0)/loop/backing_file") }
    }

    private static func text(_ path: String) -> String {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static func runs(_ tool: String) -> Bool {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        return path.split(separator: ":").contains { access("\($0)/\(tool)", X_OK) == 0 }
    }

    /// Blocks a thread of its own, and none of the tasks' threads.
    private static func onThread<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: body()) }
        }
    }
}
