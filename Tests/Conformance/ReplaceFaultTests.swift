import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// A failure at each step of a replacement leaves the old content, no temporary file, and no descriptor.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ReplaceFaultTests {
    /// The folder takes no new names, so the temporary file cannot be created.
    @Test(arguments: engines)
    func whereNothingCanBeMadeNothingChanges(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            guard Immutable.set(scratch.folder, true) else {
                try Test.cancel("\(skipped("files cannot be made immutable here"))")
            }
            defer { _ = Immutable.set(scratch.folder, false) }
            try await withRuntime(engine) { runtime in
                await expectError(.permissionDenied) { try await Paths.replaceFile(path, [2], runtime: runtime) }
                await expectError(.permissionDenied) {
                    try await Paths.replaceFile(path, runtime: runtime) { _ in Issue.record("it was made") }
                }
            }
            #expect(try scratch.content("file") == [1])
            #expect(try scratch.names() == ["file"])
        }
    }

    /// The replaced file cannot be unlinked, so the rename fails.
    @Test(arguments: engines)
    func whereTheNameCannotBeHadNothingChanges(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            guard Immutable.set(scratch.path("file"), true) else {
                try Test.cancel("\(skipped("files cannot be made immutable here"))")
            }
            defer { _ = Immutable.set(scratch.path("file"), false) }
            try await withRuntime(engine) { runtime in
                let error = await expectError(.permissionDenied) {
                    try await Paths.replaceFile(path, [2], runtime: runtime)
                }
                #expect(error?.path == path && error?.operation == "replace")
                await expectError(.permissionDenied) {
                    try await Paths.replaceFile(path, runtime: runtime) { try await $0.writeAll([2], at: 0) }
                }
            }
            #expect(try scratch.content("file") == [1])
            #expect(try scratch.names() == ["file"])
        }
    }

    /// The disk is full, so a write fails.
    @Test(arguments: engines)
    func onAFullDiskNothingChanges(_ engine: EngineKind) async throws {
        let mount = try DetachedMount.orSkip("tmpfs", [("size", "1m")])
        defer { mount.release() }
        try await withScratch(in: mount.root) { scratch in
            let path = Path(try scratch.file("file", [1]))
            try await withRuntime(engine) { runtime in
                let tooMuch = [UInt8](repeating: 2, count: 2 << 20)
                await expectError(.noSpace) { try await Paths.replaceFile(path, tooMuch, runtime: runtime) }
                await expectError(.noSpace) {
                    try await Paths.replaceFile(path, runtime: runtime) { try await $0.writeAll(tooMuch, at: 0) }
                }
                #expect(try scratch.content("file") == [1])
                #expect(try scratch.names() == ["file"])
                // The space is free again.
                let much = [UInt8](repeating: 3, count: 900 << 10)
                try await Paths.replaceFile(path, much, runtime: runtime)
                #expect(try scratch.content("file") == much)
            }
        }
    }

    /// Descriptors run out before the folder, the temporary file, or the old file could be opened.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func withoutDescriptorsNothingChangesAndNoneIsLost(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try await withScratch { scratch in
                let path = Path(try scratch.file("file", [1]))
                try await withRuntime(engine) { runtime in
                    try await Paths.replaceFile(path, [2], runtime: runtime)
                    var held = try Limits.useUpDescriptors()
                    for _ in 0..<2 {
                        await expectError(.tooManyOpenFiles) {
                            try await Paths.replaceFile(path, [3], runtime: runtime)
                        }
                        closeDescriptor(held.removeLast())
                    }
                    for descriptor in held { closeDescriptor(descriptor) }
                    #expect(try scratch.content("file") == [2])
                    #expect(try scratch.names() == ["file"])
                    let before = openDescriptors()
                    try await Paths.replaceFile(path, [3], runtime: runtime)
                    #expect(openDescriptors() == before, "\(descriptorChanges(since: before))")
                }
            }
        }
    }

    @Test(arguments: engines)
    func whatHappensToTheFolderMeanwhileDoesNoHarm(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.makeFolder("folder")
            _ = try scratch.file("folder/file", [1])
            let path = Path(scratch.path("folder/file"))
            try await withRuntime(engine) { runtime in
                // The folder is moved away and another one takes its path: the file in the original folder is replaced.
                try await Paths.replaceFile(path, runtime: runtime) { file in
                    try await file.writeAll([2], at: 0)
                    #expect(Glibc.rename(scratch.path("folder"), scratch.path("moved")) == 0)
                    _ = try scratch.makeFolder("folder")
                }
                #expect(try scratch.content("moved/file") == [2])
                #expect(try scratch.names(in: "folder") == [])
                // Another program removes the temporary file.
                let moved = Path(scratch.path("moved/file"))
                await expectError(.notFound) {
                    try await Paths.replaceFile(moved, runtime: runtime) { file in
                        for name in try scratch.names(in: "moved") where name != "file" {
                            unlink(scratch.path("moved/\(name)"))
                        }
                    }
                }
                #expect(try scratch.content("moved/file") == [2])
                // The folder is removed as well, for which network file systems return another errno.
                let error = await #expect(throws: IOError.self) {
                    try await Paths.replaceFile(moved, runtime: runtime) { file in
                        for name in try scratch.names(in: "moved") { unlink(scratch.path("moved/\(name)")) }
                        rmdir(scratch.path("moved"))
                    }
                }
                #expect(error?.code == .notFound || error?.errno?.rawValue == ESTALE, "\(String(describing: error))")
                rmdir(scratch.path("folder"))
            }
        }
    }

    @Test(arguments: engines)
    func aCancelOrDeadlineBeforeTheRenameChangesNothing(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file", [1]))
            let large = [UInt8](repeating: 2, count: 64 << 20)
            try await withRuntime(engine) { runtime in
                await expectError(.deadlineExceeded) {
                    try await Paths.replaceFile(path, large, runtime: runtime, deadline: .soon)
                }
                #expect(try scratch.content("file") == [1])
                let isThrough = Flag()
                let task = Task {
                    defer { isThrough.set() }
                    try await Paths.replaceFile(path, large, durability: .none, runtime: runtime)
                }
                try await eventually { runtime.inFlightCount > 0 || isThrough.isSet }
                task.cancel()
                // Unless the replacement had finished by then, with all of the content.
                switch await task.result {
                case .success: #expect(try scratch.content("file") == large)
                case .failure(let error):
                    #expect((error as? IOError)?.code == .cancelled, "\(error)")
                    #expect(try scratch.content("file") == [1])
                }
                #expect(try scratch.names() == ["file"])
            }
        }
    }
}
