import AIOCore
import CKernel
import Foundation

/// The file that `--json` names.
enum JSONFile {
    /// Checks before the measurement that the file can be written.
    static func check(_ path: String) throws(Failure) {
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue {
            throw Failure("\(path.quoted): is a directory")
        }
        let directory = (path as NSString).deletingLastPathComponent
        let parent = directory.isEmpty ? "." : directory
        if access(parent, W_OK | X_OK) != 0 { throw Failure("write \(path.quoted)", result: -Int(errno)) }
    }

    /// Replaces the file atomically: a reader finds the old report or the new one.
    static func write(_ report: some Encodable, to path: String) throws(Failure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
            try encoder.encode(report).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            throw Failure("write \(path.quoted): \(error.localizedDescription)")
        }
    }
}
