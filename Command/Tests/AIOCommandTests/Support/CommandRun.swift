import Foundation
import Testing
import UnitSupport

/// The outcome of a program that ran to its end.
struct CommandRun {
    var status: Int32
    var output: [UInt8]
    var errors: String

    var lines: [String] { String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init) }

    /// Runs a program in `folder`. `aio` is the command that was just built; in shell scripts it is `$AIO`.
    init(_ arguments: [String], in folder: String, input: [UInt8] = []) throws {
        let process = Process()
        process.executableURL = arguments[0] == "aio" ? Self.aio : URL(filePath: "/usr/bin/env")
        process.arguments = arguments[0] == "aio" ? Array(arguments.dropFirst()) : arguments
        process.currentDirectoryURL = URL(filePath: folder)
        process.environment = ProcessInfo.processInfo.environment.merging(["AIO": Self.aio.path]) { $1 }
        let (output, errors, source) = (Pipe(), Pipe(), Pipe())
        (process.standardOutput, process.standardError) = (output, errors)
        process.standardInput = source
        try process.run()
        // The program may write output before it has read all of its input.
        let writer = TestThread { Self.write(input, to: source.fileHandleForWriting) }
        let written = contents(of: output, errors)
        writer.join()
        process.waitUntilExit()
        self.output = [UInt8](written.output)
        self.errors = String(decoding: written.errors, as: UTF8.self)
        status = process.terminationStatus
    }

    /// On a separate thread, which ends with a SIGPIPE that it blocks: the program may not read its input.
    private static func write(_ input: [UInt8], to pipe: FileHandle) {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        try? pipe.write(contentsOf: input)
        try? pipe.close()
    }

    /// The command in the tests' folder.
    static var aio: URL {
        URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(
            path: "aio")
    }
}

/// Everything that a process writes to two pipes. Both are read at the same time, since the process waits while either
/// is full.
func contents(of output: Pipe, _ errors: Pipe) -> (output: Data, errors: Data) {
    let errorHandle = errors.fileHandleForReading
    let complaint = Locked(Data())
    let reader = TestThread {
        let bytes = errorHandle.readDataToEndOfFile()
        complaint.withLock { $0 = bytes }
    }
    let text = output.fileHandleForReading.readDataToEndOfFile()
    reader.join()
    return (text, complaint.withLock { $0 })
}

/// Copies `tree` to `copy` in a folder, and interrupts that once a file is complete. Returns the messages and the names
/// in `copy`. If the signal comes after the last file, it tries again.
func interruptedCopy(in folder: String) throws -> (complaint: String, names: [String]) {
    let copy = "\(folder)/copy"
    for _ in 0..<20 {
        let process = Process()
        process.executableURL = CommandRun.aio
        process.arguments = ["copy", "--sync", "tree", "copy"]
        process.currentDirectoryURL = URL(filePath: folder)
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let names = { (try? FileManager.default.contentsOfDirectory(atPath: copy)) ?? [] }
        #expect(eventually { !process.isRunning || names().contains { !$0.hasPrefix(".") } })
        kill(process.processIdentifier, SIGINT)
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus == 130 { return (complaint, names()) }
        try #require(process.terminationStatus == 0, "\(complaint)")
        try FileManager.default.removeItem(atPath: copy)
    }
    throw Unavailable(reason: "each copy was complete before its interruption")
}

/// Runs `body` with a new folder.
func withCommandFolder(_ body: (String) throws -> Void) throws {
    let folder = "/var/tmp/aio-command-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    // rm(1) also removes what has lost its permissions.
    defer { _ = try? CommandRun(["rm", "-rf", folder], in: "/") }
    try body(folder)
}
