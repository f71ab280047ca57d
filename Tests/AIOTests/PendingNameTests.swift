import AIOCore
import CKernel
import Foundation
import Testing

@testable import AIO

/// How a copy is published under a name that already exists. Few machines have a file system on which two names of a
/// tree collide, so the rule is tested here.
@Suite struct PendingNameTests {
    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = "/var/tmp/aio-pending-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try body(folder)
    }

    /// Publishes a file with this content as `copy` in the folder, as a copy of `source`.
    private func publish(_ content: String, _ folder: String, _ made: MadeNames?, replaces: Bool = true) throws {
        let source = try #require(CopyPlace(Path("\(folder)/source"), CK_O_PATH))
        let name = try PendingName(for: #require(CopyPlace(Path("\(folder)/copy"), CK_O_PATH)))
        let opened = try name.make {
            CopyCalls.open($0, in: name.directory, CK_O_WRONLY | CK_O_CREAT | CK_O_EXCL, permissions: 0o600)
        }
        defer { Kernel.close(Int32(opened)) }
        #expect(Kernel.write(Int32(opened), content, content.utf8.count) == content.utf8.count)
        let from = try source.openDirectory()
        var status = ck_statx()
        #expect(CopyCalls.status(of: source.name, in: from, &status) == 0)
        try name.publish(CopyOrigin(place: source, directory: from, status: status), made, replaces: replaces)
    }

    private func content(_ folder: String) throws -> String {
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count <= 2)
        return try String(contentsOfFile: "\(folder)/copy", encoding: .utf8)
    }

    @Test func inAFolderThatIsNewNothingIsReplaced() throws {
        try withFolder { folder in
            try Data().write(to: URL(filePath: "\(folder)/source"))
            let made = MadeNames(isAll: true)
            try publish("first", folder, made)
            let error = #expect(throws: IOError.self) { try publish("second", folder, made) }
            #expect(error?.code == .alreadyExists && error?.advice?.contains("just created") == true)
            #expect(try content(folder) == "first")
        }
    }

    @Test func inAFolderThatWasThereOnlyWhatWasNotMadeJustNowIsReplaced() throws {
        try withFolder { folder in
            for name in ["source", "copy"] { try Data("old".utf8).write(to: URL(filePath: "\(folder)/\(name)")) }
            let made = MadeNames(isAll: false)
            try publish("first", folder, made)
            #expect(throws: IOError.self) { try publish("second", folder, made) }
            #expect(try content(folder) == "first")
            // A separate copy operation may replace it.
            try publish("third", folder, MadeNames(isAll: false))
            #expect(try content(folder) == "third")
            #expect(throws: IOError.self) { try publish("fourth", folder, nil, replaces: false) }
            #expect(try content(folder) == "third")
        }
    }
}
