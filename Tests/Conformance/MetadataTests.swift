import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Metadata of files: reading and setting.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct MetadataTests {
    @Test(arguments: engines)
    func statusTellsWhatStatDoes(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("file", [1, 2, 3])
            var expected = Glibc.stat()
            try #require(stat(path, &expected) == 0)
            try await withRuntime(engine) { runtime in
                let status = try await Paths.status(of: Path(path), runtime: runtime)
                #expect(status.size == 3 && status.isRegularFile)
                #expect(status.inode == expected.st_ino)
                #expect(status.mode == UInt16(expected.st_mode))
                #expect(
                    status.modificationTime == .seconds(expected.st_mtim.tv_sec)
                        + .nanoseconds(expected.st_mtim.tv_nsec))
                // If the file system has a birth time, it is not after the last change.
                if let birth = status.birthTime { #expect(birth <= status.changeTime && birth > .zero) }
                let error = await expectError(.notFound) {
                    try await Paths.status(of: Path(path + "-not"), runtime: runtime)
                }
                #expect(error?.operation == "statx" && error?.path == Path(path + "-not"))
            }
        }
    }

    @Test(arguments: engines)
    func timesAreSetToTheNanosecondAlsoBefore1970(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            let early = Duration.seconds(-1000) - .nanoseconds(1)
            let late = Duration.seconds(2_000_000_000) + .nanoseconds(123_456_789)
            try await withRuntime(engine) { runtime in
                try await Paths.setTimes(of: path, access: .at(late), modification: .at(early), runtime: runtime)
                var status = try await Paths.status(of: path, runtime: runtime)
                #expect(status.accessTime == late && status.modificationTime == early)
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.setTimes(modification: .at(late))
                    let status = try await file.status()
                    #expect(status.accessTime == late && status.modificationTime == late)
                    try await file.setTimes(access: .now)
                }
                status = try await Paths.status(of: path, runtime: runtime)
                #expect(status.accessTime < late && status.accessTime > early && status.modificationTime == late)
            }
        }
    }

    @Test(arguments: engines)
    func timesOfALinkAreItsOwn(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            _ = try scratch.file("file")
            let link = Path(scratch.path("link"))
            try await withRuntime(engine) { runtime in
                try await Paths.makeSymbolicLink(at: link, to: "file", runtime: runtime)
                let time = Duration.seconds(86400)
                try await Paths.setTimes(of: link, modification: .at(time), followLinks: false, runtime: runtime)
                let own = try await Paths.status(of: link, followLinks: false, runtime: runtime)
                #expect(own.modificationTime == time)
                #expect(try await Paths.status(of: link, runtime: runtime).modificationTime != time)
            }
        }
    }

    @Test(arguments: engines)
    func permissionsAreSetByPathAndByFile(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                try await Paths.setPermissions(0o601, of: path, runtime: runtime)
                #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o601)
                try await withFile(path, runtime: runtime) { file in
                    try await file.setPermissions(0o4640)
                    let permissions = try await file.status().permissions
                    #expect(permissions == 0o4640)
                }
                let link = Path(scratch.path("link"))
                try await Paths.makeSymbolicLink(at: link, to: "file", runtime: runtime)
                await expectError(.notSupported) {
                    try await Paths.setPermissions(0o777, of: link, followLinks: false, runtime: runtime)
                }
                #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o4640)
            }
        }
    }

    @Test(arguments: engines)
    func theOwnerIsSetOrLeftAsItIs(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                // Anyone may set the owner to oneself.
                try await Paths.setOwner(of: path, userID: geteuid(), runtime: runtime)
                try await withFile(path, runtime: runtime) { file in
                    try await file.setOwner(groupID: getegid())
                    try await file.setOwner()
                    let status = try await file.status()
                    #expect(status.userID == geteuid() && status.groupID == getegid())
                }
            }
        }
    }

    @Test(arguments: engines)
    func rootGivesAFileToOthers(_ engine: EngineKind) async throws {
        guard geteuid() == 0 else { try Test.cancel("\(skipped("only root gives files to others"))") }
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            try await withRuntime(engine) { runtime in
                try await Paths.setOwner(of: path, userID: 12_345, groupID: 54_321, runtime: runtime)
                let status = try await Paths.status(of: path, runtime: runtime)
                #expect(status.userID == 12_345 && status.groupID == 54_321)
            }
        }
    }

    @Test(arguments: engines)
    func statisticsAreThoseOfStatfs(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("file"))
            var expected = Glibc.statvfs()
            try #require(statvfs(scratch.folder, &expected) == 0)
            try await withRuntime(engine) { runtime in
                let statistics = try await Paths.statistics(of: path, runtime: runtime)
                #expect(statistics.type > 0)
                #expect(statistics.size == Int64(expected.f_blocks) * Int64(expected.f_frsize))
                #expect(statistics.nameLengthMax == 255)
                #expect(statistics.availableSize <= statistics.freeSize && statistics.freeSize <= statistics.size)
                #expect(!statistics.isReadOnly)
                try await withFile(path, runtime: runtime) { file in
                    let same = try await file.fileSystemStatistics()
                    #expect(same.size == statistics.size && same.type == statistics.type)
                }
            }
        }
    }

    // MARK: Extended attributes

    @Test(arguments: engines)
    func attributesAreSetReadListedAndRemoved(_ engine: EngineKind) async throws {
        try await withAttributes { scratch, path in
            try await withRuntime(engine) { runtime in
                #expect(try await Paths.extendedAttribute("user.none", of: path, runtime: runtime) == nil)
                let bytes: [UInt8] = [0, 255, 10, 0]
                try await Paths.setExtendedAttribute("user.bytes", to: bytes, of: path, runtime: runtime)
                // Longer than the buffer that is tried first.
                let long = KnownContent(seed: 5).bytes(count: 2000, at: 0)
                let name = AttributeName(bytes: Array("user.".utf8) + [0xff, 0x0a])
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    try await file.setExtendedAttribute(name, to: long)
                    try await file.setExtendedAttribute("user.empty", to: [])
                    #expect(try await file.extendedAttribute("user.bytes") == bytes)
                    #expect(try await file.extendedAttribute("user.empty") == [])
                    #expect(try await file.extendedAttribute("user.none") == nil)
                    #expect(
                        Set(try await file.extendedAttributes()).isSuperset(of: ["user.bytes", "user.empty", name]))
                    try await file.removeExtendedAttribute("user.empty")
                }
                #expect(try await Paths.extendedAttribute(name, of: path, runtime: runtime) == long)
                try await Paths.removeExtendedAttribute("user.bytes", of: path, runtime: runtime)
                let names = try await Paths.extendedAttributes(of: path, runtime: runtime)
                #expect(names.contains(name) && !names.contains("user.bytes") && !names.contains("user.empty"))
            }
        }
    }

    @Test(arguments: engines)
    func anAttributeIsCreatedOrReplacedAsAsked(_ engine: EngineKind) async throws {
        try await withAttributes { scratch, path in
            try await withRuntime(engine) { runtime in
                let none = await expectError(.other) {
                    try await Paths.setExtendedAttribute("user.a", to: [1], of: path, mode: .replace, runtime: runtime)
                }
                #expect(none?.errno?.rawValue == ENODATA && none?.path == path && none?.operation == "setxattr")
                try await Paths.setExtendedAttribute("user.a", to: [1], of: path, mode: .create, runtime: runtime)
                await expectError(.alreadyExists) {
                    try await Paths.setExtendedAttribute("user.a", to: [2], of: path, mode: .create, runtime: runtime)
                }
                try await Paths.setExtendedAttribute("user.a", to: [3], of: path, mode: .replace, runtime: runtime)
                #expect(try await Paths.extendedAttribute("user.a", of: path, runtime: runtime) == [3])
                await expectError(.invalidArgument) {
                    try await Paths.extendedAttribute("user.\0", of: path, runtime: runtime)
                }
            }
        }
    }

    @Test(arguments: engines)
    func anAttributeOfALinksTargetIsNotTheLinks(_ engine: EngineKind) async throws {
        try await withAttributes { scratch, path in
            let link = Path(scratch.path("link"))
            try await withRuntime(engine) { runtime in
                try await Paths.makeSymbolicLink(at: link, to: path, runtime: runtime)
                try await Paths.setExtendedAttribute("user.a", to: [1], of: link, runtime: runtime)
                #expect(try await Paths.extendedAttribute("user.a", of: path, runtime: runtime) == [1])
                // Symbolic links have no attributes in this namespace.
                await expectError(.permissionDenied) {
                    try await Paths.setExtendedAttribute(
                        "user.a", to: [1], of: link, followLinks: false, runtime: runtime)
                }
                let names = try await Paths.extendedAttributes(of: link, followLinks: false, runtime: runtime)
                #expect(!names.contains("user.a"))
            }
        }
    }

    /// A file on a file system with extended attributes.
    private func withAttributes(_ body: (Scratch, Path) async throws -> Void) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("file", [1])
            let probe = path.withCString { path in
                "user.probe".withCString { name in
                    SystemCall.call(CK_NR_setxattr, address(path), address(name), 0, 0, 0)
                }
            }
            guard probe == 0 else {
                try Test.cancel("\(skipped("/tmp keeps no extended attributes: errno \(-probe)"))")
            }
            try await body(scratch, Path(path))
        }
    }
}
