import CKernel
import Foundation
import Glibc
import UnitSupport

/// The environment of this process, and the location of the repository.
enum Environment {
    static let inherited = ProcessInfo.processInfo.environment
    /// Continuous integration runs longer tests.
    static let isContinuousIntegration = inherited["CI"] == "true"

    /// The first folder above this file (to which the command's tests have a link) that contains the scripts.
    static let root: String = {
        var folder = URL(filePath: #filePath).deletingLastPathComponent().standardizedFileURL
        while folder.path != "/", access(folder.appending(path: "Scripts/build-dropins").path, F_OK) != 0 {
            folder.deleteLastPathComponent()
        }
        return folder.standardizedFileURL.path
    }()
    static let programs = "\(root)/Tests/DropIns/Programs"

    /// The path of a tool. Administration tools are not in every user's PATH.
    static func path(ofTool name: String) -> String? {
        let folders = (inherited["PATH"] ?? "").split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// A folder on a disk file system: direct I/O and cold pages mean little on tmpfs.
    static let diskFolder: String = {
        let tmpfs = 0x0102_1994
        var state = ck_statfs()
        let temporary = "/tmp"
        let result = withUnsafeMutablePointer(to: &state) { state in
            temporary.withCString {
                ck_system_call_6(CK_NR_statfs, Int(bitPattern: $0), Int(bitPattern: state), 0, 0, 0, 0)
            }
        }
        if result == 0, Int(state.type) != tmpfs { return temporary }
        let build = "\(root)/.build/dropin-tests"
        try? FileManager.default.createDirectory(atPath: build, withIntermediateDirectories: true)
        return build
    }()

    /// Runs `body` with a new folder in `diskFolder`, which is removed afterwards.
    static func withScratch<R>(_ body: (String) async throws -> R) async throws -> R {
        let folder = try makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try await body(folder)
    }

    /// A folder that is removed when this process exits.
    static let lasting: String = {
        let folder = (try? makeFolder()) ?? "/nonexistent"
        atexit { try? FileManager.default.removeItem(atPath: Environment.lasting) }
        return folder
    }()

    /// The same in memory, if there is such a file system: for files that stand for no disk.
    static let memoryFolder: String = {
        let folder = (try? makeFolder(in: access("/dev/shm", W_OK) == 0 ? "/dev/shm" : diskFolder)) ?? "/nonexistent"
        atexit { try? FileManager.default.removeItem(atPath: Environment.memoryFolder) }
        return folder
    }()

    private static func makeFolder(in folder: String = diskFolder) throws -> String {
        guard let made = newDirectory(in: folder) else { throw Unavailable(reason: "no folder in \(folder)") }
        return made
    }
}
