import CKernel
import Foundation
import Testing
import UnitSupport

/// A system library that one of ours replaces.
struct Library: Sendable {
    /// The file name of our library.
    let name: String
    /// The system's names, with which programs may be linked. Empty if it is part of libc.
    let systemNames: [String]

    static let libaio = Library(name: "libaio.so.1", systemNames: ["libaio.so.1", "libaio.so.1t64"])
    static let posixaio = Library(name: "libposixaio.so", systemNames: [])

    /// The system's file; nil if it is not installed, or is libc itself.
    var systemPath: String? {
        let machine = "\(Self.machine)-linux-gnu"
        let folders = ["/usr/lib/\(machine)", "/lib/\(machine)", "/usr/lib64", "/lib64", "/usr/lib", "/lib"]
        return systemNames.lazy.flatMap { name in folders.map { "\($0)/\(name)" } }
            .first { FileManager.default.fileExists(atPath: $0) }
    }

    /// Our library, built once for all tests. `DROPINS_UNDER_TEST` names a folder of libraries to test instead.
    func path() async throws -> String {
        if let folder = Environment.inherited["DROPINS_UNDER_TEST"] {
            // Absolute, since programs run in other folders. The dynamic linker would go on without a missing file.
            let path = URL(filePath: "\(folder)/\(name)").standardizedFileURL.path
            guard FileManager.default.fileExists(atPath: path) else { throw Unavailable(reason: "there is no \(path)") }
            return path
        }
        return try await Self.build.value.first { $0.hasSuffix("/\(name)") }
            ?? { throw Unavailable(reason: "Scripts/build-dropins did not print a path of \(name)") }()
    }

    /// Our library with assertions, which also takes faults from the environment.
    func pathWithFaults() async throws -> String {
        try await Self.buildWithFaults.value.first { $0.hasSuffix("/\(name)") }
            ?? { throw Unavailable(reason: "Scripts/build-dropins debug did not print a path of \(name)") }()
    }

    private static let build = Task { try await built() }
    private static let buildWithFaults = Task {
        // One at a time, for the memory that a build takes.
        _ = try? await build.value
        return try await built("debug")
    }

    private static func built(_ kind: String...) async throws -> [String] {
        let script = "\(Environment.root)/Scripts/build-dropins"
        var command = Command([script] + kind)
        command.limit = .seconds(900)
        let outcome = try await command.run()
        guard outcome.succeeded else {
            throw Unavailable(reason: "\(script) \(outcome.ending):\n\(outcome.output)\(outcome.errors)")
        }
        return outcome.output.split(separator: "\n").map(String.init)
    }

    #if arch(arm64)
        private static let machine = "aarch64"
    #else
        private static let machine = "x86_64"
    #endif
}

/// How a program is made to use our library, and with which engine.
enum Way: Hashable, Sendable, CustomTestStringConvertible {
    case preloaded(engine: String?)
    /// Under the system's own name, in a folder that the loader searches first.
    case inPlace

    var testDescription: String {
        switch self {
        case .preloaded(let engine): "preloaded, \(engine ?? "automatic")"
        case .inPlace: "in place"
        }
    }

    static let preloads: [Way] = ([nil] + engines).map { .preloaded(engine: $0) }
    /// Without the automatic choice, which is one of them.
    static let forced: [Way] = engines.map { .preloaded(engine: $0) }
    /// In place the choice is automatic.
    static let all = isSecondRun ? preloads : forced + [.inPlace]

    private static let engines = isSecondRun ? ["threads"] : ["io_uring", "threads", "linux-aio", "readahead"]

    /// `DROPINS_SECOND_RUN=1`: other libraries of the same source have been tested in all ways. What may differ is no
    /// matter of the engine, so the automatic choice and `threads` are enough.
    static let isSecondRun = Environment.inherited["DROPINS_SECOND_RUN"] == "1"

    /// The environment variables for a program.
    func environment(for library: Library) async throws -> [String: String] {
        try environment(for: library, at: await library.path())
    }

    /// The same for our library in another file.
    func environment(for library: Library, at path: String) throws -> [String: String] {
        switch self {
        case .preloaded(let engine):
            return ["LD_PRELOAD": path].merging(engine.map { ["AIO_ENGINE": $0] } ?? [:]) { $1 }
        case .inPlace:
            let folder = "\(Environment.lasting)/in-place"
            try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            for name in library.systemNames where !FileManager.default.fileExists(atPath: "\(folder)/\(name)") {
                try FileManager.default.createSymbolicLink(atPath: "\(folder)/\(name)", withDestinationPath: path)
            }
            return ["LD_LIBRARY_PATH": folder]
        }
    }

    /// Skips the test, with the reason, if this kernel lacks the engine.
    func requireEngine() throws {
        if case .preloaded("io_uring") = self, !Self.kernelHasIOUring {
            try Test.cancel("\(skipped("the kernel does not let this process have an io_uring"))")
        }
    }

    private static let kernelHasIOUring: Bool = {
        var parameters = ck_uring_parameters()
        let ring = withUnsafeMutablePointer(to: &parameters) {
            ck_system_call_6(CK_NR_io_uring_setup, 1, Int(bitPattern: $0), 0, 0, 0, 0)
        }
        guard ring >= 0 else { return false }
        close(Int32(ring))
        return true
    }()
}
