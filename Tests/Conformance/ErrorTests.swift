import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Every engine reports the kernel's errno.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ErrorTests {
    /// A number that is not open in this process.
    private let closed: Int32 = 1_000_000

    @Test(arguments: ways)
    func everyOperationOnABadDescriptorFailsWithEBADF(_ way: Way) async throws {
        let memory = Memory(count: 64)
        let vectors = Vectors([Memory(count: 64)])
        let file = Descriptor(closed)
        let operations: [Operation] = [
            .read(memory.transfer(closed)), .write(memory.transfer(closed)),
            .readVectored(vectors.transfer(closed)), .writeVectored(vectors.transfer(closed)),
            .sync(file, .full), .sync(file, .data), .syncRange(file, offset: 0, count: 0, flags: 2),
            .close(closed), .allocate(file, mode: 0, offset: 0, count: 1), .truncate(file, size: 1),
            .advise(file, offset: 0, count: 0, advice: 0), .poll(file, events: CK_POLLIN),
        ]
        try await way.run { performer in
            for operation in operations {
                await performer.expect(operation, failsWith: EBADF)
            }
        }
        withExtendedLifetime((memory, vectors)) {}
    }

    @Test(arguments: ways, [Int32(-1), -100, .min])
    func aNegativeDescriptorFailsWithEBADF(_ way: Way, _ number: Int32) async throws {
        let memory = Memory(count: 64)
        try await way.run { performer in
            await performer.expect(.read(memory.transfer(number)), failsWith: EBADF)
            await performer.expect(.write(memory.transfer(number)), failsWith: EBADF)
            await performer.expect(.sync(Descriptor(number), .full), failsWith: EBADF)
            await performer.expect(.poll(Descriptor(number), events: CK_POLLIN), failsWith: EBADF)
            await performer.expect(.close(number), failsWith: EBADF)
        }
        withExtendedLifetime(memory) {}
    }

    @Test(arguments: ways)
    func aBadOffsetFailsWithEINVAL(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("offset", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 64)
            try await way.run { performer in
                for offset in [Int64(-2), -4096, .min] {
                    await performer.expect(.read(memory.transfer(descriptor, at: offset)), failsWith: EINVAL)
                    await performer.expect(.write(memory.transfer(descriptor, at: offset)), failsWith: EINVAL)
                }
                let file = Descriptor(descriptor)
                await performer.expect(.truncate(file, size: -1), failsWith: EINVAL)
                await performer.expect(.allocate(file, mode: 0, offset: -1, count: 1), failsWith: EINVAL)
                await performer.expect(.allocate(file, mode: 0, offset: 0, count: 0), failsWith: EINVAL)
                await performer.expect(.syncRange(file, offset: -1, count: 1, flags: 2), failsWith: EINVAL)
                await performer.expect(.syncRange(file, offset: 0, count: -1, flags: 2), failsWith: EINVAL)
            }
            withExtendedLifetime(memory) {}
        }
    }

    @Test(arguments: engines)
    func aNegativeOffsetOfAFileIsAnInvalidArgument(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(try scratch.file("negative", [1, 2, 3]))
            try await withRuntime(engine) { runtime in
                try await withFile(path, .readWrite, runtime: runtime) { file in
                    await expectError(.invalidArgument) { try await file.read(upTo: 1, at: -1) }
                    await expectError(.invalidArgument) { try await file.write([1], at: -1) }
                    await expectError(.invalidArgument) { try await file.read(upTo: -1, at: 0) }
                }
            }
            #expect(try scratch.content("negative") == [1, 2, 3])
        }
    }

    @Test(arguments: ways)
    func aWriteBeyondTheLargestFileFails(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("large"), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let memory = Memory(count: 64)
            try await way.run { performer in
                let write = Operation.write(memory.transfer(descriptor, at: .max - 32))
                #expect([EINVAL, EFBIG].contains(await performer.errno(of: write)))
            }
            withExtendedLifetime(memory) {}
        }
    }

    @Test(arguments: ways)
    func aBadPointerFailsWithEFAULT(_ way: Way) async throws {
        try await withScratch { scratch in
            let content = [UInt8](repeating: 9, count: 8192)
            let descriptor = try openDescriptor(try scratch.file("pointer", content), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let file = Descriptor(descriptor)
            let nowhere = UnsafeMutableRawPointer(bitPattern: 8)
            try await way.run { performer in
                for bad in [nil, nowhere] {
                    let transfer = Transfer(file, bad, count: 4096, offset: 0)
                    await performer.expect(.read(transfer), failsWith: EFAULT)
                    await performer.expect(.write(transfer), failsWith: EFAULT)
                    let vectored = Transfer(file, bad, count: 2, offset: 0)
                    await performer.expect(.readVectored(vectored), failsWith: EFAULT)
                    await performer.expect(.writeVectored(vectored), failsWith: EFAULT)
                }
            }
        }
    }

    /// A ring may return EAGAIN persistently for such a write at the end of a file on XFS.
    @Test(arguments: engines, FileSystem.allCases)
    func aDirectWriteOfMemoryThatIsNotThereEndsAsPwriteDoes(
        _ engine: EngineKind, _ fileSystem: FileSystem
    ) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let size = 97 * 512
            let path = try scratch.file("direct", [UInt8](repeating: 9, count: size))
            let descriptor = try openDescriptor(path, O_RDWR | Int32(CK_O_DIRECT))
            defer { closeDescriptor(descriptor) }
            let nowhere = try #require(UnsafeMutableRawPointer(bitPattern: 4096))
            try await withRuntime(engine) { runtime in
                for flags: TransferFlags in [[], .append] {
                    let written = pwrite(descriptor, nowhere, 8192, off_t(size))
                    let expected = written < 0 ? -Int(errno) : written
                    let transfer = Transfer(
                        Descriptor(descriptor, kind: .direct), nowhere, count: 8192, offset: Int64(size), flags: flags)
                    do throws(IOError) {
                        #expect(Int(try await runtime.perform(.write(transfer))) == expected)
                    } catch {
                        #expect(-Int(error.errno?.rawValue ?? 0) == expected)
                    }
                }
            }
        }
    }

    /// pwrite(2) writes what fits; a ring on Btrfs returns EINVAL. If the file system does not allow such a length,
    /// this is a plain append.
    @Test(arguments: engines, FileSystem.allCases)
    func aDirectAppendBeyondTheLongestFileEndsAsPwriteDoes(
        _ engine: EngineKind, _ fileSystem: FileSystem
    ) async throws {
        try await withScratch(on: fileSystem) { scratch in
            let bytes = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 4096)
            bytes.initializeMemory(as: UInt8.self, repeating: 7, count: 8192)
            defer { bytes.deallocate() }
            var results: [Int] = []
            for name in ["expected", "found"] {
                let descriptor = try openDescriptor(
                    try scratch.file(name, []), O_RDWR | O_APPEND | Int32(CK_O_DIRECT))
                defer { closeDescriptor(descriptor) }
                ftruncate(descriptor, off_t.max - 4095)
                if name == "expected" {
                    let written = pwrite(descriptor, bytes, 8192, 0)
                    results.append(written < 0 ? -Int(errno) : written)
                } else {
                    try await withRuntime(engine) { runtime in
                        let write = Operation.write(
                            Transfer(Descriptor(descriptor, kind: .direct), bytes, count: 8192, offset: 0))
                        do throws(IOError) {
                            results.append(Int(try await runtime.perform(write)))
                        } catch {
                            results.append(-Int(error.errno?.rawValue ?? 0))
                        }
                    }
                }
            }
            #expect(results[0] == results[1])
        }
    }

    @Test(arguments: ways)
    func aBadPathPointerFailsWithEFAULT(_ way: Way) async throws {
        let nowhere = try #require(UnsafePointer<CChar>(bitPattern: 8))
        let how = OpenArguments("/dev/null")
        let result = UnsafeMutablePointer<ck_statx>.allocate(capacity: 1)
        defer { result.deallocate() }
        try await way.run { performer in
            guard case .open(_, _, let arguments) = how.operation else {
                return #expect(Bool(false), "\(how.operation)")
            }
            let open = Operation.open(directory: CK_AT_FDCWD, path: nowhere, how: arguments)
            await performer.expect(open, failsWith: EFAULT)
            let status = Operation.status(
                directory: CK_AT_FDCWD, path: nowhere, flags: 0, mask: CK_STATX_SIZE, result: result)
            await performer.expect(status, failsWith: EFAULT)
        }
        withExtendedLifetime(how) {}
    }

    @Test(arguments: ways)
    func tooManyVectorsFailWithEINVAL(_ way: Way) async throws {
        try await withScratch { scratch in
            let descriptor = try openDescriptor(try scratch.file("vectors", [1, 2, 3]), O_RDWR)
            defer { closeDescriptor(descriptor) }
            let vectors = Vectors((0..<1025).map { _ in Memory(count: 1) })
            try await way.run { performer in
                let transfer = vectors.transfer(descriptor)
                await performer.expect(.readVectored(transfer), failsWith: EINVAL)
                await performer.expect(.writeVectored(transfer), failsWith: EINVAL)
            }
            withExtendedLifetime(vectors) {}
        }
    }

    @Test(arguments: ways)
    func writingADescriptorOpenedForReadingFailsWithEBADF(_ way: Way) async throws {
        try await withScratch { scratch in
            let path = try scratch.file("readonly", [1, 2, 3])
            let reading = try openDescriptor(path)
            let writing = try openDescriptor(path, O_WRONLY)
            defer {
                closeDescriptor(reading)
                closeDescriptor(writing)
            }
            let memory = Memory(count: 3)
            try await way.run { performer in
                await performer.expect(.write(memory.transfer(reading)), failsWith: EBADF)
                await performer.expect(.read(memory.transfer(writing)), failsWith: EBADF)
                await performer.expect(.truncate(Descriptor(reading), size: 0), failsWith: EINVAL)
                await performer.expect(.allocate(Descriptor(reading), mode: 0, offset: 0, count: 9), failsWith: EBADF)
            }
            #expect(try scratch.content("readonly") == [1, 2, 3])
        }
    }

    @Test(arguments: ways)
    func aDirectoryCanBeNeitherReadNorWritten(_ way: Way) async throws {
        try await withScratch { scratch in
            let directory = try openDescriptor(scratch.folder, O_DIRECTORY)
            defer { closeDescriptor(directory) }
            let memory = Memory(count: 64)
            try await way.run { performer in
                await performer.expect(.read(memory.transfer(directory)), failsWith: EISDIR)
                await performer.expect(.write(memory.transfer(directory)), failsWith: EBADF)
                try await performer.expect(.sync(Descriptor(directory), .full), completesWith: 0)
            }
        }
    }

    @Test(arguments: engines)
    func opensThatFailSayWhyAndWhere(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let file = try scratch.file("plain", [1])
            try await withRuntime(engine) { runtime in
                let missing = Path(scratch.path("missing"))
                let error = await expectError(.notFound) { try await File.open(missing, runtime: runtime) }
                #expect(error?.path == missing)
                #expect(error?.errno?.rawValue == ENOENT)
                #expect(error?.description == "open \(missing): No such file or directory (ENOENT)")
                await expectError(.notDirectory) {
                    try await File.open(Path(file), options: .directory, runtime: runtime)
                }
                await expectError(.notDirectory) { try await File.open(Path(file + "/x"), runtime: runtime) }
                await expectError(.isDirectory) {
                    try await File.open(Path(scratch.folder), .write, runtime: runtime)
                }
                await expectError(.alreadyExists) {
                    try await File.open(Path(file), .write, options: [.create, .exclusive], runtime: runtime)
                }
                await expectError(.invalidArgument) {
                    try await File.open(Path(bytes: [0x61, 0, 0x62]), runtime: runtime)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aFileOnAReadOnlyFileSystemCannotBeOpenedForWriting(_ engine: EngineKind) async throws {
        let mount = try DetachedMount.orSkip("tmpfs", [("ro", "")])
        defer { mount.release() }
        try await withRuntime(engine) { runtime in
            let path = Path(mount.root + "/new")
            let error = await expectError(.readOnly) {
                try await File.open(path, .write, options: .create, runtime: runtime)
            }
            #expect(error?.errno?.rawValue == EROFS && error?.path == path)
        }
    }
}
