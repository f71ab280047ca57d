import Foundation

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
        // The input fits into the pipe, or the program may not read it.
        signal(SIGPIPE, SIG_IGN)
        try? source.fileHandleForWriting.write(contentsOf: input)
        try? source.fileHandleForWriting.close()
        // Standard error is short, but the output may fill the pipe.
        self.output = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
        self.errors = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        status = process.terminationStatus
    }

    /// The command in the tests' folder.
    static var aio: URL {
        URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(
            path: "aio")
    }
}

/// Runs `body` with a new folder.
func withCommandFolder(_ body: (String) throws -> Void) throws {
    let folder = "/var/tmp/aio-command-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    // rm(1) also removes what has lost its permissions.
    defer { _ = try? CommandRun(["rm", "-rf", folder], in: "/") }
    try body(folder)
}
