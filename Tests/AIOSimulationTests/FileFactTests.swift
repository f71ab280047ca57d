import AIOCore
import CKernel
import Testing

@testable import AIOSimulation

/// Facts of the simulated file system that the comparison with a real one does not show.
struct FileFactTests {
    private static func block(_ byte: UInt8, _ count: Int = 4096) -> [UInt8] { [UInt8](repeating: byte, count: count) }

    // MARK: Limits

    @Test func aWriteIsShortWhereTheSpaceEndsAndThenFails() {
        let (kernel, calls) = SimulatedKernel.fresh()
        kernel.fileSystem.limits.blocks = 3
        let file = calls.open("/file", CK_O_RDWR | CK_O_CREAT)
        #expect(calls.write(file, Self.block(1, 5 * 4096)) == 3 * 4096)
        #expect(calls.write(file, [1]) == -Int(ENOSPC))
        // What is allocated can be overwritten, and what is removed is free again.
        #expect(calls.write(file, [1], at: 0) == 1)
        #expect(calls.call(CK_NR_ftruncate, file, 0) == 0 && calls.write(file, [1]) == 1)
        #expect(calls.call(CK_NR_fallocate, file, 0, 0, 5 * 4096) == -Int(ENOSPC))
    }

    @Test func aRemovedFileKeepsItsBlocksUntilItIsClosed() {
        let (kernel, calls) = SimulatedKernel.fresh()
        let (blocks, inodes) = (kernel.fileSystem.blocksInUse, kernel.fileSystem.inodesInUse)
        let file = calls.open("/file", CK_O_RDWR | CK_O_CREAT)
        #expect(calls.write(file, Self.block(1)) == 4096 && calls.unlink("/file") == 0)
        #expect(kernel.fileSystem.blocksInUse == blocks + 1)
        #expect(calls.read(file, 10, at: 0).bytes == Self.block(1, 10))
        #expect(calls.close(file) == 0)
        #expect(kernel.fileSystem.blocksInUse == blocks && kernel.fileSystem.inodesInUse == inodes)
    }

    @Test func withoutFreeInodesNothingIsCreated() {
        let (kernel, calls) = SimulatedKernel.fresh()
        kernel.fileSystem.limits.inodes = kernel.fileSystem.inodesInUse
        #expect(calls.open("/file", CK_O_RDWR | CK_O_CREAT) == -Int(ENOSPC))
        #expect(calls.makeDirectory("/folder") == -Int(ENOSPC))
        #expect(calls.open("/tmp", CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY) == -Int(ENOSPC))
    }

    @Test func atTheLimitOfDescriptorsAnOpenFailsAndCreatesNothing() {
        let (kernel, calls) = SimulatedKernel.fresh()
        kernel.descriptors.limit = 1
        let file = calls.open("/tmp", CK_O_RDONLY)
        #expect(file >= 0 && calls.open("/new", CK_O_RDWR | CK_O_CREAT) == -Int(EMFILE))
        calls.close(file)
        #expect(calls.status("/new").result == -Int(ENOENT))
    }

    @Test func behindTheLargestOffsetAFileIsTooLarge() {
        let calls = SimulatedKernel.fresh().calls
        let file = calls.open("/file", CK_O_RDWR | CK_O_CREAT)
        let largest = Int(SimulatedFileSystem.maximumSize)
        #expect(calls.write(file, [1, 2], at: largest - 1) == 1)
        #expect(calls.write(file, [1], at: largest) == -Int(EFBIG))
        #expect(calls.call(CK_NR_ftruncate, file, largest + 1) == -Int(EFBIG))
    }

    // MARK: The page cache

    @Test func aReadThatMustNotWaitReturnsWhatIsCached() {
        let calls = SimulatedKernel.fresh().calls
        calls.put("/file", Self.block(1, 3 * 4096), sync: true)
        let file = calls.open("/file")
        #expect(calls.call(CK_NR_fadvise64, file, 4096, 4096, Int(CK_FADV_DONTNEED)) == 0)
        #expect(calls.read(file, 3 * 4096, at: 0, flags: CK_RWF_NOWAIT).result == 4096)
        #expect(calls.read(file, 10, at: 4096, flags: CK_RWF_NOWAIT).result == -Int(EAGAIN))
        #expect(calls.read(file, 10, at: 3 * 4096, flags: CK_RWF_NOWAIT).result == 0)
        #expect(calls.call(CK_NR_readahead, file, 4096, 4096) == 0)
        #expect(calls.read(file, 3 * 4096, at: 0, flags: CK_RWF_NOWAIT).result == 3 * 4096)
    }

    @Test func directTransfersAreAligned() {
        let calls = SimulatedKernel.fresh().calls
        let file = calls.open("/file", CK_O_RDWR | CK_O_CREAT | CK_O_DIRECT)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 5)
        let start = Int(bitPattern: buffer.baseAddress)
        #expect(calls.call(CK_NR_pwrite64, file, start, 4096, 0) == 4096)
        #expect(calls.call(CK_NR_pwrite64, file, start, 4096, 100) == -Int(EINVAL))
        #expect(calls.call(CK_NR_pwrite64, file, start, 100, 0) == -Int(EINVAL))
        #expect(calls.call(CK_NR_pread64, file, start + 1, 512, 0) == -Int(EINVAL))
        #expect(calls.call(CK_NR_pread64, file, start, 512, 4096) == 0)
    }

    // MARK: Directories

    @Test func entriesThatStayAreListedOnceWhileOthersComeAndGo() {
        let calls = SimulatedKernel.fresh().calls
        #expect(calls.makeDirectory("/folder") == 0)
        for number in 0..<200 { calls.put("/folder/\(number)", []) }
        let folder = calls.open("/folder", CK_O_RDONLY | CK_O_DIRECTORY)
        var seen: [String] = []
        var buffer = [UInt8](repeating: 0, count: 256)
        var turn = 0
        while true {
            let filled = buffer.withUnsafeMutableBytes {
                calls.call(CK_NR_getdents64, folder, Int(bitPattern: $0.baseAddress), $0.count)
            }
            guard filled > 0 else { break }
            var start = 0
            while start < filled {
                let size = Int(buffer[start + 16]) | Int(buffer[start + 17]) << 8
                seen.append(String(decoding: buffer[start + 19..<start + size].prefix { $0 != 0 }, as: UTF8.self))
                start += size
            }
            // The odd ones are removed, and new ones come.
            if turn < 100 { _ = calls.unlink("/folder/\(2 * turn + 1)") }
            calls.put("/folder/new \(turn)", [])
            turn += 1
        }
        let even = seen.filter { Int($0).map { $0 % 2 == 0 } ?? false }
        #expect(even.count == 100 && Set(even).count == 100)
        #expect(Set(seen).count == seen.count)
    }

    @Test func aFileWithoutANameGetsOneThroughProc() {
        let calls = SimulatedKernel.fresh().calls
        let file = calls.open("/tmp", CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY)
        #expect(calls.write(file, [1, 2, 3]) == 3)
        let link = calls.at(CK_NR_linkat, "/proc/self/fd/\(file)", to: "/tmp/named", Int(CK_AT_SYMLINK_FOLLOW))
        #expect(link == 0 && calls.content("/tmp/named") == [1, 2, 3])
        let private_ = calls.open("/tmp", CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY | CK_O_EXCL)
        let refused = calls.at(CK_NR_linkat, "/proc/self/fd/\(private_)", to: "/tmp/other", Int(CK_AT_SYMLINK_FOLLOW))
        #expect(refused == -Int(ENOENT))
    }

    @Test func procListsTheOpenDescriptors() {
        let calls = SimulatedKernel.fresh().calls
        let file = calls.open("/tmp", CK_O_RDONLY)
        let folder = calls.open("/proc/self/fd", CK_O_RDONLY | CK_O_DIRECTORY)
        #expect(calls.names(folder).names == ["\(file)", "\(folder)"])
        #expect(calls.readLink("/proc/self/fd/\(file)").target == "/tmp")
    }

    // MARK: Memory

    @Test func anAddressWhereNoMemoryCanBeIsRefused() {
        let calls = SimulatedKernel.fresh().calls
        calls.put("/file", [1, 2, 3])
        let file = calls.open("/file")
        #expect(calls.call(CK_NR_pread64, file, 8, 1, 0) == -Int(EFAULT))
        #expect(calls.call(CK_NR_unlinkat, Int(CK_AT_FDCWD), 8, 0) == -Int(EFAULT))
        // A number that is no address.
        #expect(calls.call(CK_NR_fcntl, file, Int(CK_F_SETFL), Int(CK_O_NONBLOCK)) == 0)
        #expect(calls.call(CK_NR_fcntl, file, Int(CK_F_GETFL), 0) & Int(CK_O_NONBLOCK) != 0)
    }

    // MARK: Locks

    @Test func aLockThatWaitsIsGrantedAfterTheRelease() {
        let (kernel, calls) = SimulatedKernel.fresh()
        calls.put("/file", [])
        let (one, other) = (calls.open("/file"), calls.open("/file"))
        func lock(_ file: Int, _ command: Int, _ type: Int16) -> Int {
            var range = ck_flock()
            range.type = type
            return withUnsafeMutablePointer(to: &range) { calls.call(CK_NR_fcntl, file, command, Int(bitPattern: $0)) }
        }
        let (set, wait) = (Int(CK_F_OFD_SETLK), 38)
        #expect(lock(one, set, CK_F_WRLCK) == 0 && lock(other, set, CK_F_RDLCK) == -Int(EAGAIN))
        #expect(lock(other, wait, CK_F_RDLCK) == SimulatedKernel.wouldBlock)
        var wasWoken = false
        _ = kernel.blockedOn.first?.addWaiter { wasWoken = true }
        // The close of the last descriptor releases the lock.
        #expect(calls.close(one) == 0 && wasWoken)
        #expect(lock(other, wait, CK_F_RDLCK) == 0)
    }

    // MARK: Changes

    @Test func aFullQueueOfChangesEndsWithAnOverflow() {
        let (kernel, calls) = SimulatedKernel.fresh()
        kernel.fileSystem.limits.queuedChanges = 4
        let changes = calls.call(CK_NR_inotify_init1, Int(CK_IN_NONBLOCK))
        let watch = "/tmp".withCString {
            calls.call(CK_NR_inotify_add_watch, changes, Int(bitPattern: $0), Int(CK_IN_CREATE))
        }
        #expect(watch == 1 && calls.read(changes, 4096).result == -Int(EAGAIN))
        for number in 0..<10 { calls.put("/tmp/\(number)", []) }
        let (count, bytes) = calls.read(changes, 4096)
        let last = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: count - 16, as: ck_inotify_event.self) }
        #expect(count == 4 * 32 + 16 && last.watch == -1 && last.mask == CK_IN_Q_OVERFLOW)
    }

    // MARK: What the library sees

    @Test func epollRefusesFilesAndTakesChanges() {
        let calls = SimulatedKernel.fresh().calls
        let poll = calls.call(CK_NR_epoll_create1)
        var event = ck_epoll_event()
        event.events = UInt32(CK_POLLIN)
        func add(_ descriptor: Int) -> Int {
            withUnsafeMutablePointer(to: &event) {
                calls.call(CK_NR_epoll_ctl, poll, Int(CK_EPOLL_CTL_ADD), descriptor, Int(bitPattern: $0))
            }
        }
        #expect(add(calls.open("/tmp", CK_O_RDONLY)) == -Int(EPERM))
        #expect(add(calls.open("/tmp/file", CK_O_RDWR | CK_O_CREAT)) == -Int(EPERM))
        #expect(add(calls.open("/dev/null")) == -Int(EPERM))
        #expect(add(calls.call(CK_NR_inotify_init1)) == 0)
    }

    @Test func devicesAnswerAsThoseOfMemoryDo() {
        let calls = SimulatedKernel.fresh().calls
        let devices = ["null", "zero", "full", "urandom"].map { calls.open("/dev/\($0)") }
        #expect(devices.map { calls.read($0, 4).result } == [0, 4, 4, 4])
        #expect(devices.map { calls.write($0, [1]) } == [1, 1, -Int(ENOSPC), 1])
        let same = SimulatedKernel.fresh().calls
        let random = same.open("/dev/urandom")
        #expect(same.read(random, 8).bytes == SimulatedKernel.fresh().calls.firstRandomBytes(8))
    }

    @Test func theStatusIsThatOfALocalDiskFileSystem() {
        let calls = SimulatedKernel.fresh().calls
        calls.put("/file", Self.block(1))
        let status = calls.status("/file").status
        #expect(status.mode == CK_S_IFREG | 0o644 && status.device_major != 0 && status.blocks == 8)
        var result = ck_statfs()
        let answer = withUnsafeMutablePointer(to: &result) {
            calls.call(CK_NR_fstatfs, calls.open("/file"), Int(bitPattern: $0))
        }
        #expect(answer == 0 && result.type == 0xef53 && result.blocks_free == result.blocks - 1)
    }
}

extension FileCaller {
    fileprivate func firstRandomBytes(_ count: Int) -> [UInt8] { read(open("/dev/urandom"), count).bytes }
}
