import AIO
import AIOCore
import ArgumentParser
import CKernel

/// `aio serve`: serves a folder over HTTP.
struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Serve the files in a directory over HTTP/1.1.",
        discussion: """
            No path leads out of the directory, neither through `..` nor through symbolic links. Files in the page \
            cache are sent without waiting, and a request that waits for a device delays no other. On SIGTERM or \
            SIGINT the server completes the requests in progress and exits. ADDRESS is, for example, 0.0.0.0:8080, \
            [::]:8080, localhost:8080 or unix:/run/name; with port 0 the system chooses the port.
            """)

    @Argument(help: ArgumentHelp("The directory to serve.", valueName: "dir"))
    var folder: String

    @Option(help: ArgumentHelp("The address to listen on.", valueName: "address"))
    var listen = "127.0.0.1:8080"

    @Option(help: "Threads (default: the number of processors).")
    var loops: Int?

    @Option(help: "The engine: io_uring, threads, linux-aio or readahead (default: the best available).")
    var engine: String?

    @Flag(help: "List directories that have no index.html.")
    var listing = false

    @Flag(help: "Write a line for each request to standard output, in the common log format.")
    var accessLog = false

    @OptionGroup(title: "Limits")
    var limits: ServeLimitOptions

    func validate() throws {
        guard (1...256).contains(loops ?? 1) else { throw ValidationError("--loops must be 1 to 256") }
        if let engine, EngineKind(engine) == nil {
            let names = EngineKind.allCases.map { "\($0)" }.joined(separator: ", ")
            throw ValidationError("unknown engine '\(engine)'; the engines are \(names)")
        }
    }

    func run() async throws {
        Interruption.unblock()
        let limits = try limits.resolved()
        do {
            let runtime = try makeRuntime(limits)
            // Everything from here on runs on a loop.
            try await Task(executorPreference: runtime.loops[0]) {
                try await serve(RawArguments.paths([folder])[0], limits, runtime)
            }.value
        } catch let error as IOError {
            throw Failure("\(error)")
        }
    }

    private func makeRuntime(_ limits: ServeLimits) throws(IOError) -> IORuntime {
        var configuration = IORuntime.Configuration()
        configuration.engine = engine.flatMap { EngineKind($0) }.map { .forced($0) } ?? .automatic
        configuration.loops = loops ?? min(Kernel.processorCount(), 256)
        // Every waiting connection takes a slot; the listener, the signals and the log take others.
        configuration.waitingLimit = limits.connections + 16
        configuration.log = { Console.complain($0) }
        return try IORuntime(configuration)
    }

    /// Serves the folder. Closes the listener and the folder, also after an error.
    private func serve(_ path: Path, _ limits: ServeLimits, _ runtime: IORuntime) async throws {
        // Before anything is created that a signal would leave behind.
        let signals = try Signals(Set(Interruption.signals), runtime: runtime)
        let folder = try await ServedFolder(path, runtime)
        do {
            let listener = try await ListenAddress.listen(on: ListenAddress.resolve(listen, runtime), runtime)
            let log = accessLog ? AccessLog(to: .standardOutput(runtime: runtime)) : nil
            let server = Server(Service(folder, limits, listsFolders: listing, log, runtime), listener)
            do {
                try greet(path, try listener.localAddress(), limits, runtime)
            } catch {
                await server.stop()
                throw error
            }
            try await server.run(until: signals)
        } catch {
            try? await folder.file.close()
            throw error
        }
        try? await folder.file.close()
    }

    private func greet(
        _ path: Path, _ place: SocketAddress, _ limits: ServeLimits, _ runtime: IORuntime
    ) throws(Failure) {
        let url = place.port == nil ? "\(place)" : "http://\(place)/"
        let loops = runtime.loops.count == 1 ? "1 loop" : "\(runtime.loops.count) loops"
        try Console.write(
            "aio: serving \(path) at \(url) with \(loops), at most \(limits.connections) connections; "
                + "engine \(runtime.selection.engine): \(runtime.selection.reason)\n")
    }
}
