import AIO
import Foundation
import Testing
import UnitSupport

/// `aio serve`, run as a program on a new folder, which is removed with this object.
final class ServeProcess {
    let folder: String
    private let process = Process()
    private let output = Foundation.Pipe()
    private let errors = Foundation.Pipe()
    /// The first line of its output.
    private(set) var greeting = ""
    private(set) var port: UInt16 = 0

    /// The engines that are available here.
    static let engines: [EngineKind] = EngineKind.allCases.filter { engine in
        var configuration = IOQueue.Configuration()
        configuration.engine = .forced(engine)
        configuration.queueDepth = 1
        return (try? IOQueue(configuration)) != nil
    }

    /// The command in the tests' folder.
    static var program: URL {
        URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent().appending(
            path: "aio")
    }

    /// `prepare` fills the folder, whose parent folder belongs to the test as well.
    init(
        _ engine: EngineKind, _ options: [String] = [], listen: String = "127.0.0.1:0",
        prepare: (String) throws -> Void = { _ in }
    ) throws {
        let parent = "/var/tmp/aio-serve-\(UUID().uuidString)"
        folder = "\(parent)/site"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try prepare(folder)
        process.executableURL = Self.program
        process.arguments = ["serve", "--engine", "\(engine)", "--listen", listen] + options + ["site"]
        process.currentDirectoryURL = URL(filePath: parent)
        (process.standardOutput, process.standardError) = (output, errors)
        try process.run()
        greeting = try #require(readLine(), "it did not begin: \(complaints)")
        if listen.hasPrefix("127") {
            let end = try #require(greeting.split(separator: "/ ").first?.split(separator: ":").last)
            port = try #require(UInt16(end))
        }
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: URL(filePath: folder).deletingLastPathComponent().path)
    }

    var identifier: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }

    /// Reads a line of its standard output.
    func readLine() -> String? {
        var line: [UInt8] = []
        while let byte = try? output.fileHandleForReading.read(upToCount: 1)?.first {
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
        return nil
    }

    /// Everything that it wrote to standard error; to be called after its end.
    var complaints: String {
        String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    func signal(_ number: Int32) { kill(identifier, number) }

    /// Waits for its end. Returns the exit status, or a negative signal number.
    func wait() -> Int32 {
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus
    }

    /// Ends it with SIGTERM; it must exit with 0 and without messages.
    func stop() {
        signal(SIGTERM)
        #expect(wait() == 0)
        #expect(complaints == "")
    }

    /// The number of its open descriptors.
    var descriptorCount: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(identifier)/fd").count) ?? 0
    }

    /// Its anonymous memory in bytes.
    var memory: Int {
        let status = (try? String(contentsOfFile: "/proc/\(identifier)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("RssAnon:") } ?? ""
        return 1024 * (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0)
    }

    func connect() throws -> HTTPClient { try HTTPClient(port: port) }

    /// The response to one request on a new connection.
    func ask(_ request: String) throws -> HTTPReply {
        let client = try connect()
        try client.send(request)
        return try client.readReply(isHead: request.hasPrefix("HEAD"))
    }

    /// The response to a GET with some fields.
    func get(_ target: String, _ fields: [String] = [], method: String = "GET") throws -> HTTPReply {
        try ask(HTTPClient.request(target, fields, method: method))
    }
}
