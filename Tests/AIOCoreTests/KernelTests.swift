import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// A round trip for each system call whose arguments could be mixed up: every argument has a different value, and the
/// effect is checked in another way.
@Suite struct KernelTests {
    // MARK: Reading and writing

    @Test func aSeekStoresItsPositionAlsoWhereThatIsZero() {
        let file = TemporaryFile([1, 2, 3])
        for offset in [3, 0] as [Int64] {
            var position: Int64 = -1
            let result = BlockingCall.seek(file.descriptor, offset: offset, from: SEEK_SET, position: &position)
                .blockingResult()
            #expect(result == 0)
            #expect(position == offset)
        }
        var position: Int64 = -1
        #expect(
            BlockingCall.seek(file.descriptor, offset: -1, from: SEEK_SET, position: &position).blockingResult()
                == -Int(EINVAL))
        #expect(position == -1)
    }

    @Test func theLimitOfLinuxAIOIsTheSystems() {
        let file = open("/proc/sys/fs/aio-max-nr", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        defer { close(file) }
        var text = [UInt8](repeating: 0, count: 32)
        let count = read(file, &text, text.count)
        let digits = text[..<max(count, 0)].prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        #expect(Kernel.linuxAIOLimit().max == UInt64(String(decoding: digits, as: UTF8.self)))
    }

    @Test func aSpliceFromOffsetZeroLeavesThePositionAlone() throws {
        let file = TemporaryFile(Array("hello".utf8))
        lseek(file.descriptor, 3, SEEK_SET)
        var ends: (Int32, Int32) = (-1, -1)
        try #require(Kernel.pipe(&ends, 0) == 0)
        defer {
            close(ends.0)
            close(ends.1)
        }
        #expect(Kernel.splice(file.descriptor, 0, ends.1, -1, 2, 0) == 2)
        #expect(lseek(file.descriptor, 0, SEEK_CUR) == 3)
        #expect(Kernel.splice(file.descriptor, -1, ends.1, -1, 2, 0) == 2)
        #expect(lseek(file.descriptor, 0, SEEK_CUR) == 5)
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect(read(ends.0, &bytes, 8) == 4)
        #expect(String(decoding: bytes[..<4], as: UTF8.self) == "helo")
    }

    @Test func signalsAreBlockedForTheUndisturbedPartAlone() {
        func isBlocked() -> Bool {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            return sigismember(&mask, SIGWINCH) == 1
        }
        // The threads of Swift's pool block all signals. This one is ignored by default.
        var window = sigset_t()
        var own = sigset_t()
        sigemptyset(&window)
        sigaddset(&window, SIGWINCH)
        pthread_sigmask(SIG_UNBLOCK, &window, &own)
        defer { pthread_sigmask(SIG_SETMASK, &own, nil) }
        let before = isBlocked()
        var within = false
        Kernel.undisturbed { within = isBlocked() }
        let after = isBlocked()
        #expect(!before)
        #expect(within)
        #expect(!after)
    }

    @Test func preadAndPwriteTakeBufferCountAndOffset() {
        let file = TemporaryFile(Array("0123456789".utf8))
        #expect(Kernel.pwrite(file.descriptor, "abcd", 3, 5) == 3)
        #expect(file.bytes == Array("01234abc89".utf8))
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect(Kernel.pread(file.descriptor, &bytes, 4, 6) == 4)
        #expect(bytes == Array("bc89".utf8) + [0, 0, 0, 0])
    }

    @Test func readAndWriteGoOnAtTheDescriptorsPosition() {
        let file = TemporaryFile(Array("0123456789".utf8))
        lseek(file.descriptor, 2, SEEK_SET)
        #expect(Kernel.write(file.descriptor, "ab", 2) == 2)
        var bytes = [UInt8](repeating: 0, count: 4)
        #expect(Kernel.read(file.descriptor, &bytes, 3) == 3)
        #expect(bytes == Array("456".utf8) + [0])
        #expect(file.bytes == Array("01ab456789".utf8))
    }

    @Test func vectoredCallsTakeVectorsOffsetAndFlags() {
        let file = TemporaryFile(Array("0123456789".utf8))
        withVectors("ab", "cde") { vectors in
            #expect(Kernel.pwritev2(file.descriptor, vectors, 2, 1, 0) == 5)
            #expect(file.bytes == Array("0abcde6789".utf8))
            #expect(Kernel.pwritev2(file.descriptor, vectors, 1, 3, CK_RWF_APPEND) == 2)
            #expect(file.bytes == Array("0abcde6789ab".utf8), "the flag counts, not the offset")
            #expect(Kernel.preadv2(file.descriptor, vectors, 2, 6, 0) == 5)
        } after: {
            #expect($0 == Array("67".utf8))
            #expect($1 == Array("89a".utf8))
        }
    }

    @Test func vectoredCallsWithoutOffsetMoveThePosition() {
        let file = TemporaryFile(Array("0123456789".utf8))
        lseek(file.descriptor, 4, SEEK_SET)
        withVectors("..", "...") { vectors in
            #expect(Kernel.preadv2(file.descriptor, vectors, 2, -1, 0) == 5)
        } after: {
            #expect($0 + $1 == Array("45678".utf8))
        }
        #expect(lseek(file.descriptor, 0, SEEK_CUR) == 9)
    }

    /// Offsets above 4 GiB: the kernel takes the upper half of the offset as a separate argument.
    @Test func offsetsBeyondThirtyTwoBitsReachTheFile() {
        let file = TemporaryFile()
        let offset: Int64 = 5 << 32 + 3
        withVectors("ab", "c") { vectors in
            #expect(Kernel.pwritev2(file.descriptor, vectors, 2, offset, 0) == 3)
            #expect(Kernel.pwrite(file.descriptor, "d", 1, offset + 3) == 1)
        } after: { _, _ in
        }
        var status = stat()
        #expect(fstat(file.descriptor, &status) == 0)
        #expect(status.st_size == Int(offset) + 4)
        var bytes = [UInt8](repeating: 0, count: 4)
        #expect(Kernel.pread(file.descriptor, &bytes, 4, offset) == 4)
        #expect(bytes == Array("abcd".utf8))
    }

    private func withVectors(
        _ first: String, _ second: String, _ body: (UnsafePointer<iovec>) -> Void,
        after: ([UInt8], [UInt8]) -> Void
    ) {
        var (first, second) = (Array(first.utf8), Array(second.utf8))
        first.withUnsafeMutableBytes { first in
            second.withUnsafeMutableBytes { second in
                body([
                    iovec(iov_base: first.baseAddress, iov_len: first.count),
                    iovec(iov_base: second.baseAddress, iov_len: second.count),
                ])
            }
        }
        after(first, second)
    }

    // MARK: Files

    @Test func openat2TakesDirectoryPathAndHow() {
        let directory = TemporaryDirectory()
        let parent = open(directory.path, O_RDONLY | O_DIRECTORY)
        defer { close(parent) }
        var how = ck_open_how(flags: CK_O_CREAT | CK_O_WRONLY | CK_O_CLOEXEC | CK_O_APPEND, mode: 0o600, resolve: 0)
        let file = Int32(Kernel.openat2(parent, "file", &how))
        #expect(file >= 0)
        #expect(access(directory.file("file"), R_OK) == 0)
        let flags = Kernel.openFlags(file)
        #expect(UInt64(flags) & (CK_O_APPEND | CK_O_WRONLY) == CK_O_APPEND | CK_O_WRONLY)
        #expect(Kernel.close(file) == 0)
        #expect(Kernel.close(file) == -Int(EBADF))
        #expect(Kernel.unlinkat(parent, "file", 0) == 0)
        #expect(Kernel.openat2(parent, "file", [ck_open_how(flags: CK_O_RDONLY, mode: 0, resolve: 0)]) == -Int(ENOENT))
    }

    @Test func statxTellsOfAPathAndOfADescriptor() {
        let directory = TemporaryDirectory()
        let file = TemporaryFile([1, 2, 3])
        var status = ck_statx()
        #expect(Kernel.status(file.descriptor, CK_STATX_SIZE | CK_STATX_TYPE, &status) == 0)
        #expect(status.size == 3)
        #expect(status.mode & CK_S_IFMT == CK_S_IFREG)
        #expect(Kernel.statx(CK_AT_FDCWD, directory.path, 0, CK_STATX_BASIC_STATS, &status) == 0)
        #expect(status.mode & CK_S_IFMT == CK_S_IFDIR)
        var expected = stat()
        #expect(stat(directory.path, &expected) == 0)
        #expect(status.inode == expected.st_ino)
        #expect(status.user == expected.st_uid)
        #expect(status.link_count == UInt32(expected.st_nlink))
        #expect(status.modification_time.seconds == expected.st_mtim.tv_sec)
        #expect(Int(status.modification_time.nanoseconds) == expected.st_mtim.tv_nsec)
    }

    /// Where the kernel refuses statx(2). The numbers are makedev(3)'s.
    @Test(
        arguments: [
            (0x0, 0x0, 0x0), (0x8, 0x1, 0x801), (0x103, 0x10001, 0x10010301), (0xfff, 0xff, 0xfffff),
            (0x1000, 0x100, 0x100000100000), (0x100000, 0x1000000, 0x10001000000000),
            (0xffffffff, 0xffffffff, 0xffffffffffffffff),
        ] as [(UInt32, UInt32, UInt)])
    func fstatatsDeviceNumbersAreSplitAsLibcDoes(_ major: UInt32, _ minor: UInt32, _ number: UInt) {
        var status = stat()
        status.st_dev = number
        status.st_rdev = 0x801
        let found = ck_statx(status)
        #expect(found.mask == CK_STATX_BASIC_STATS, "what is filled in")
        #expect(found.device_major == major && found.device_minor == minor)
        #expect(found.special_device_major == 8 && found.special_device_minor == 1)
        (status.st_dev, status.st_rdev) = (0x801, number)
        let other = ck_statx(status)
        #expect(other.device_major == 8 && other.device_minor == 1)
        #expect(other.special_device_major == major && other.special_device_minor == minor)
    }

    @Test func statfsAgreesWithLibc() {
        var ours = ck_statfs()
        var theirs = statvfs()
        #expect(Kernel.statfs("/proc", &ours) == 0)
        #expect(statvfs("/proc", &theirs) == 0)
        #expect(ours.type == 0x9fa0, "PROC_SUPER_MAGIC, statfs(2)")
        #expect(UInt(ours.block_size) == theirs.f_bsize)
        #expect(UInt(ours.name_length_max) == theirs.f_namemax)
    }

    @Test func fallocateTakesModeOffsetAndCount() {
        let file = TemporaryFile()
        #expect(Kernel.fallocate(file.descriptor, 0, 4096, 8192) == 0)
        #expect(file.bytes.count == 12288)
        #expect(Kernel.fallocate(file.descriptor, CK_FALLOC_FL_KEEP_SIZE, 65536, 4096) == 0)
        #expect(file.bytes.count == 12288)
        #expect(Kernel.pwrite(file.descriptor, "xyz", 3, 4096) == 3)
        #expect(Kernel.fallocate(file.descriptor, CK_FALLOC_FL_PUNCH_HOLE | CK_FALLOC_FL_KEEP_SIZE, 4096, 2) == 0)
        #expect(Array(file.bytes[4096..<4099]) == [0, 0, UInt8(ascii: "z")])
    }

    @Test func ftruncateTakesTheSize() {
        let file = TemporaryFile([1, 2, 3])
        #expect(Kernel.ftruncate(file.descriptor, 2) == 0)
        #expect(file.bytes == [1, 2])
    }

    @Test func syncsSucceedOnAFileAndFailOnNone() {
        let file = TemporaryFile([1])
        let pipe = DescriptorPair.pipe()
        #expect(Kernel.fsync(file.descriptor) == 0)
        #expect(Kernel.fdatasync(file.descriptor) == 0)
        #expect(Kernel.fsync(pipe.first) == -Int(EINVAL))
        #expect(Kernel.syncFileRange(file.descriptor, 0, 1, CK_SYNC_FILE_RANGE_WRITE) == 0)
        #expect(Kernel.syncFileRange(file.descriptor, 4096, -1, 0) == -Int(EINVAL), "a negative count")
        #expect(Kernel.syncFileRange(file.descriptor, 0, 4096, 0x80) == -Int(EINVAL), "an unknown flag")
    }

    /// Drops three pages, checks that they are gone, and reads the second one ahead.
    @Test(.enabled(if: knowsCachestat, "cachestat(2) came with Linux 6.5"))
    func fadviseReadaheadAndCachestatTakeOffsetAndCount() {
        let file = TemporaryFile([UInt8](repeating: 1, count: 3 * 4096))
        #expect(Kernel.fsync(file.descriptor) == 0)
        func cached(_ page: UInt64) -> UInt64 {
            var range = ck_cachestat_range(offset: page * 4096, count: 4096)
            var result = ck_cachestat()
            #expect(Kernel.cachestat(file.descriptor, &range, &result) == 0)
            return result.cached
        }
        #expect([cached(0), cached(1), cached(2)] == [1, 1, 1])
        // The kernel keeps a large folio of which only a part is dropped; so the test drops all three pages.
        #expect(Kernel.fadvise(file.descriptor, 0, 3 * 4096, CK_FADV_DONTNEED) == 0)
        #expect([cached(0), cached(1), cached(2)] == [0, 0, 0])
        #expect(Kernel.readahead(file.descriptor, 4096, 4096) == 0)
        #expect(eventually { cached(1) == 1 })
        #expect(Kernel.fadvise(file.descriptor, 0, 4096, 99) == -Int(EINVAL), "an unknown advice")
        #expect(Kernel.fadvise(file.descriptor, 0, -1, CK_FADV_NORMAL) == -Int(EINVAL), "a negative count")
    }

    static let knowsCachestat: Bool = {
        var range = ck_cachestat_range()
        var result = ck_cachestat()
        return Kernel.cachestat(-1, &range, &result) == -Int(EBADF)
    }()

    @Test func ioctlTakesRequestAndArgument() {
        let pipe = DescriptorPair.pipe()
        pipe.send([1, 2, 3])
        var available: Int32 = 0
        let result = withUnsafeMutablePointer(to: &available) { Kernel.ioctl(pipe.first, 0x541b, Int(bitPattern: $0)) }
        #expect(result == 0)
        #expect(available == 3)
    }

    // MARK: Polling

    @Test func epollTellsWhichDescriptorIsReady() {
        let epoll = Int32(Kernel.epollCreate())
        defer { close(epoll) }
        let pipes = (0..<2).map { _ in DescriptorPair.pipe() }
        for (index, pipe) in pipes.enumerated() {
            #expect(
                Kernel.epollControl(epoll, CK_EPOLL_CTL_ADD, pipe.first, CK_POLLIN, UInt64(index) + 0x1_0000_0000) == 0)
        }
        pipes[1].send([1])
        var events = [ck_epoll_event](repeating: ck_epoll_event(), count: 4)
        #expect(Kernel.epollWait(epoll, &events, 4, until: .never) == 1)
        #expect(events[0].data == 0x1_0000_0001)
        #expect(events[0].events == CK_POLLIN)
        #expect(Kernel.epollControl(epoll, CK_EPOLL_CTL_DEL, pipes[1].first, 0, 0) == 0)
        #expect(Kernel.epollWait(epoll, &events, 4, until: 0) == 0)
    }

    @Test func epollWaitsUntilItsDeadline() {
        let epoll = Int32(Kernel.epollCreate())
        defer { close(epoll) }
        var event = ck_epoll_event()
        let deadline = Kernel.now() + 2_000_000
        var count = 0
        // A notification of the kernel to this thread about an earlier ring interrupts a wait as a signal does.
        repeat { count = Kernel.epollWait(epoll, &event, 1, until: deadline) } while count == -Int(EINTR)
        #expect(count == 0)
        #expect(Kernel.now() >= deadline)
        #expect(Kernel.epollWait(epoll, &event, 1, until: 1) == 0, "a deadline that has passed")
    }

    @Test func ppollFillsInWhatIsReady() {
        let pipes = (0..<2).map { _ in DescriptorPair.pipe() }
        pipes[1].send([1])
        var entries = pipes.map { ck_pollfd(descriptor: $0.first, events: Int16(CK_POLLIN), returned: 0) }
        #expect(Kernel.ppoll(&entries, 2, nil) == 1)
        #expect(entries.map(\.returned) == [0, Int16(CK_POLLIN)])
        var time = ck_timespec(1_000_000)
        #expect(Kernel.ppoll(&entries, 1, &time) == 0, "the first alone has nothing")
    }

    @Test func anEventDescriptorCountsWakes() {
        let bell = Int32(Kernel.eventDescriptor())
        defer { close(bell) }
        var value: UInt64 = 0
        #expect(Kernel.read(bell, &value, 8) == -Int(EAGAIN))
        Kernel.wake(bell)
        Kernel.wake(bell)
        #expect(Kernel.read(bell, &value, 8) == 8)
        #expect(value == 2)
    }

    @Test func aTimerIsReadableFromItsDeadlineOnUntilItIsDisarmed() {
        let timer = Int32(Kernel.timerDescriptor())
        defer { close(timer) }
        var entry = ck_pollfd(descriptor: timer, events: Int16(CK_POLLIN), returned: 0)
        var zero = ck_timespec()
        #expect(Kernel.armTimer(timer, at: Kernel.now() + 60_000_000_000) == 0)
        #expect(Kernel.ppoll(&entry, 1, &zero) == 0)
        #expect(Kernel.armTimer(timer, at: 0) == 0)
        #expect(Kernel.ppoll(&entry, 1, nil) == 1)
        #expect(Kernel.armTimer(timer, at: nil) == 0)
        #expect(Kernel.ppoll(&entry, 1, &zero) == 0)
    }

    // MARK: The process

    @Test func identitiesAgreeWithLibc() {
        #expect(Kernel.processID() == getpid())
        #expect(Kernel.effectiveUser() == geteuid())
        #expect(Kernel.currentThread() == UInt(pthread_self()))
        #expect(Kernel.processorCount() >= 1)
        #expect(Kernel.processorCount() <= sysconf(Int32(_SC_NPROCESSORS_CONF)))
        // By name: a list of the directory leaves out threads while others exit.
        #expect(access("/proc/self/task/\(Kernel.threadID())", F_OK) == 0)
    }

    @Test func noTwoThreadsHaveTheSameNumber() {
        let numbers = Locked<[UInt64]>([])
        // One after the other: the later ones get the memory of those before.
        for _ in 0..<20 { TestThread { numbers.withLock { $0.append(ck_thread_number()) } }.join() }
        let own = ck_thread_number()
        #expect(own == ck_thread_number())
        #expect(Set(numbers.withLock { $0 } + [own]).count == 21)
        #expect(own > UInt64(UInt32.max))
    }

    @Test func limitsAreReadAndSet() {
        var limit = ck_rlimit()
        #expect(Kernel.limit(CK_RLIMIT_NOFILE, &limit) == 0)
        var expected = rlimit()
        #expect(getrlimit(__rlimit_resource_t(UInt32(CK_RLIMIT_NOFILE)), &expected) == 0)
        #expect(limit.soft == expected.rlim_cur)
        #expect(limit.hard == expected.rlim_max)
        #expect(Kernel.setLimit(CK_RLIMIT_NOFILE, limit) == 0)
        #expect(Kernel.setLimit(CK_RLIMIT_NOFILE, ck_rlimit(soft: 2, hard: 1)) == -Int(EINVAL))
    }

    @Test func unameAgreesWithLibc() {
        var ours = ck_utsname()
        var theirs = utsname()
        #expect(Kernel.uname(&ours) == 0)
        #expect(uname(&theirs) == 0)
        withUnsafeBytes(of: &ours) { ours in
            withUnsafeBytes(of: &theirs) { theirs in
                #expect(ours.elementsEqual(theirs))
            }
        }
    }

    @Test func mappedMemoryCanBeUsedAndGivenBack() throws {
        let result = Kernel.mmap(8192, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        try #require(result > 0)
        let memory = try #require(UnsafeMutableRawPointer(bitPattern: result))
        memory.storeBytes(of: 7, toByteOffset: 8191, as: UInt8.self)
        #expect(Kernel.madvise(memory, 8192, CK_MADV_DONTFORK) == 0)
        #expect(Kernel.munmap(memory, 8192) == 0)
        #expect(Kernel.mmap(4096, CK_PROT_READ, CK_MAP_PRIVATE, -1, 0) == -Int(EBADF))
    }

    @Test func ownMemoryIsCopiedAndABadPointerIsTold() throws {
        var source: UInt64 = 0x0123_4567_89ab_cdef
        var target: UInt64 = 0
        try withUnsafeMutableBytes(of: &target) { target in
            let copied = withUnsafeMutablePointer(to: &source) { Kernel.copyOwnMemory(from: $0, to: target) }
            // Containers may forbid the call; its caller then does without it.
            if copied == -Int(EPERM) || copied == -Int(ENOSYS) {
                try Test.cancel("\(skipped("process_vm_readv(2) is not allowed here: errno \(-copied)"))")
            }
            #expect(copied == 8)
            let nowhere = UnsafeMutableRawPointer(bitPattern: 4096)!
            #expect(Kernel.copyOwnMemory(from: nowhere, to: target) == -Int(EFAULT))
        }
        #expect(target == source)
    }

    /// A number with zeros, and one with as many digits as any.
    @Test(arguments: [7, 10, 105, 200, 1000] as [Int32])
    func theSameFileIsOpenedAgainByItsNumber(_ least: Int32) {
        let file = TemporaryFile([1, 2, 3])
        let number = fcntl(file.descriptor, F_DUPFD_CLOEXEC, least)
        // A limit of descriptors may be lower.
        guard number >= 0 else { return #expect(errno == EINVAL) }
        defer { close(number) }
        let again = Kernel.reopen(number, CK_O_RDONLY | CK_O_NONBLOCK)
        #expect(again >= 0 && again != Int(number))
        defer { close(Int32(again)) }
        #expect(FileIdentity(ofDescriptor: Int32(again)) == FileIdentity(ofDescriptor: number))
        #expect(fcntl(Int32(again), F_GETFL) & O_NONBLOCK != 0)
        #expect(fcntl(number, F_GETFL) & O_NONBLOCK == 0, "an open file description of its own")
    }

    // MARK: Linux AIO

    @Test(.enabled(if: hasLinuxAIO, "io_setup(2) is not available here"))
    func linuxAIOReads() {
        let file = TemporaryFile(Array("0123456789".utf8))
        var context: UInt = 0
        #expect(Kernel.linuxAIOSetup(4, &context) == 0)
        var bytes = [UInt8](repeating: 0, count: 4)
        bytes.withUnsafeMutableBytes { bytes in
            var block = ck_iocb()
            block.opcode = CK_IOCB_CMD_PREAD
            block.descriptor = UInt32(file.descriptor)
            block.address = UInt64(UInt(bitPattern: bytes.baseAddress))
            block.count = 3
            block.offset = 5
            block.data = 77
            withUnsafeMutablePointer(to: &block) { block in
                var blocks: [UnsafeMutablePointer<ck_iocb>?] = [block]
                #expect(Kernel.linuxAIOSubmit(context, 1, &blocks) == 1)
                var events = [ck_io_event](repeating: ck_io_event(), count: 4)
                #expect(Kernel.linuxAIOGetEvents(context, 1, 4, &events, nil) == 1)
                #expect(events[0].data == 77)
                #expect(events[0].result == 3)
                var zero = ck_timespec()
                #expect(Kernel.linuxAIOGetEvents(context, 1, 4, &events, &zero) == 0)
            }
        }
        #expect(bytes == Array("567".utf8) + [0])
        #expect(Kernel.linuxAIODestroy(context) == 0)
        #expect(Kernel.linuxAIODestroy(context) == -Int(EINVAL))
    }

    static let hasLinuxAIO: Bool = {
        var context: UInt = 0
        guard Kernel.linuxAIOSetup(1, &context) >= 0 else { return false }
        Kernel.linuxAIODestroy(context)
        return true
    }()
}
