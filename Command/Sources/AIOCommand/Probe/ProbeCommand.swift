import AIO
import AIOCore
import ArgumentParser
import CKernel

/// `aio probe`: the capabilities of this kernel and of the file system at a path.
struct ProbeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probe",
        abstract: "Show what this kernel and the file system at PATH support.",
        discussion: """
            Everything is tried, not looked up. In a PATH that is a directory, a temporary file without a name is \
            created; a PATH that is a file is only read.
            """)

    @Argument(help: "A file or a directory.")
    var path: String?

    mutating func run() throws {
        let features = KernelFeatures.probe()
        var report = Self.kernel(features) + "\n" + Self.engines(features) + "\n" + Self.operations(features)
        if let path { report += "\n" + (try FileSystemProbe(path).description) }
        try Console.write(report)
    }

    private static func kernel(_ features: KernelFeatures) -> String {
        let flags: [(UInt32, String)] = [
            (CK_URING_SETUP_SINGLE_ISSUER, "single issuer"), (CK_URING_SETUP_DEFER_TASKRUN, "deferred task work"),
            (CK_URING_SETUP_COOP_TASKRUN, "cooperative task work"), (CK_URING_SETUP_NO_SQARRAY, "no index array"),
        ]
        let names = flags.filter { features.ringFlags & $0.0 != 0 }.map(\.1).joined(separator: ", ")
        let linuxAIO = features.linuxAIOErrno == 0 ? "yes" : Failure.text(errno: features.linuxAIOErrno)
        return """
            kernel      Linux \(features.release), \(features.machine), \(Kernel.processorCount()) processors
            io_uring    \(names.isEmpty ? "-" : names)
            Linux AIO   \(linuxAIO)
            cachestat   \(features.hasCachestat ? "yes" : "no (needs Linux 6.5)")

            """
    }

    private static func engines(_ features: KernelFeatures) -> String {
        var text = "engines\n"
        for engine in EngineKind.allCases {
            let failure = features.failure(of: engine)
            text += "  \(pad("\(engine)", 12))\(failure.map { "not available: \(IOError($0))" } ?? "available")\n"
        }
        return text + "  automatic   \(automatic())\n"
    }

    private static func automatic() -> String {
        do throws(IOError) { return try "\(IOQueue().selection)" } catch { return "\(error)" }
    }

    /// Lists which operations the ring carries out itself. The engine gives the others to a worker thread.
    private static func operations(_ features: KernelFeatures) -> String {
        var text = "\(pad("operations", 22))\(pad("io_uring", 10))threads\n"
        for (name, operation, threads) in OperationSample.all {
            let ring =
                features.ioUringFailure != nil ? "-" : features.ringSupports(operation) ? "ring" : "worker"
            text += "  \(pad(name, 18))  \(pad(ring, 10))\(threads)\n"
        }
        return text
    }
}

func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

extension KernelFeatures {
    var release: String { Self.text(identity.release) }
    var machine: String { Self.text(identity.machine) }

    private static func text<Characters>(_ characters: Characters) -> String {
        withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
