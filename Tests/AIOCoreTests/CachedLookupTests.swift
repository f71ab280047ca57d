import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// Opens and statuses of paths without waiting.
@Suite struct CachedLookupTests {
    private enum Outcome: Equatable {
        case found(Descriptor.Kind, size: Int), failed(Int32), wait, undecided
    }

    /// Opens, and closes what was opened.
    private func open(_ path: String, flags: UInt64 = 0, resolve: UInt64 = 0) -> Outcome {
        switch CachedLookup.open(CK_AT_FDCWD, path, ck_open_how(flags: flags, mode: 0, resolve: resolve)) {
        case .wait: return .wait
        case .undecided: return .undecided
        case .failed(let result): return .failed(Int32(-result))
        case .found(let file):
            let number = file.descriptor.number
            defer { close(number) }
            #expect(Descriptor.classify(number) == file.descriptor)
            #expect(Descriptor.classify(number).backing == file.descriptor.backing)
            #expect(fcntl(number, F_GETFD) == FD_CLOEXEC)
            #expect(UInt64(fcntl(number, F_GETFL)) & CK_O_NONBLOCK == flags & CK_O_NONBLOCK)
            return .found(file.descriptor.kind, size: Int(file.size))
        }
    }

    /// A directory with a file of three bytes, whose path is cached from here on.
    private func directory() -> TemporaryDirectory {
        let directory = TemporaryDirectory()
        let number = Glibc.open(directory.file("file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        #expect(write(number, [1, 2, 3], 3) == 3)
        close(number)
        #expect(symlink("file", directory.file("link")) == 0)
        return directory
    }

    @Test func regularFilesAndDirectoriesAreOpened() {
        let directory = directory()
        #expect(open(directory.file("file")) == .found(.buffered, size: 3))
        #expect(open(directory.file("file"), flags: CK_O_NONBLOCK) == .found(.buffered, size: 3))
        #expect(open(directory.file("link")) == .found(.buffered, size: 3))
        guard case .found(.other, _) = open(directory.path, flags: CK_O_DIRECTORY) else {
            return #expect(Bool(false), "a directory is not opened")
        }
    }

    @Test func aFileForDirectIOIsClassifiedAsSuch() {
        let directory = directory()
        // A file system may refuse it, which the open that may wait then says.
        let outcome = open(directory.file("file"), flags: CK_O_DIRECT)
        #expect(outcome == .found(.direct, size: 3) || outcome == .undecided)
    }

    @Test func nothingIsThereAndNothingIsWaitedFor() {
        let directory = directory()
        // The first lookup caches that the name does not exist.
        #expect(access(directory.file("missing"), F_OK) == -1)
        #expect(open(directory.file("missing")) == .failed(ENOENT))
        // The kernel does not tell this without leaving the cache.
        #expect(open("\(directory.file("file"))/below") == .wait)
        #expect(open(directory.file("file"), flags: CK_O_DIRECTORY) == .failed(ENOTDIR))
    }

    /// Their open has an effect, waits for somebody, or asks a driver or a server.
    @Test func theOpensThatMayWaitAreLeftToOthers() {
        let directory = directory()
        let fifo = directory.fifo("fifo")
        let writers = [CK_O_RDWR, CK_O_CREAT, CK_O_TRUNC, CK_O_PATH, 1]
        for flags in writers { #expect(open(directory.file("file"), flags: flags) == .wait, "flags \(flags)") }
        #expect(open(fifo) == .wait)
        #expect(Glibc.open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC) == -1, "somebody reads the FIFO")
        #expect(open("/dev/null") == .wait)
        #expect(open(directory.file("link"), flags: CK_O_NOFOLLOW) == .wait)
        #expect(open(directory.file("link"), resolve: CK_RESOLVE_NO_SYMLINKS) == .undecided)
    }

    /// The open that may wait breaks the lease.
    @Test func aFileOnWhichThereIsALeaseHasToWait() {
        let directory = directory()
        let holder = Glibc.open(directory.file("file"), O_RDWR | O_CLOEXEC)
        defer { close(holder) }
        signal(SIGIO, SIG_IGN)
        // F_SETLEASE, which Glibc's module does not show.
        #expect(fcntl(holder, 1024, F_WRLCK) == 0, "errno \(errno)")
        #expect(open(directory.file("file")) == .wait)
        #expect(fcntl(holder, 1024, F_UNLCK) == 0)
        #expect(open(directory.file("file")) == .found(.buffered, size: 3))
    }

    @Test func theStatusOfAnyKindOfFileIsFound() {
        let directory = directory()
        let fifo = directory.fifo("fifo")
        func mode(_ path: String, followLinks: Bool = true) -> UInt16? {
            var status = ck_statx()
            let answer = CachedLookup.status(
                CK_AT_FDCWD, path, followLinks: followLinks, mask: CK_STATX_BASIC_STATS, &status)
            guard case .found = answer else { return nil }
            return status.mode & CK_S_IFMT
        }
        #expect(mode(directory.file("file")) == CK_S_IFREG)
        #expect(mode(directory.path) == CK_S_IFDIR)
        #expect(mode(fifo) == CK_S_IFIFO)
        #expect(mode(directory.file("link")) == CK_S_IFREG)
        #expect(mode(directory.file("link"), followLinks: false) == CK_S_IFLNK)
        #expect(mode(directory.file("missing")) == nil)
    }

    @Test func nothingStaysOpen() {
        let directory = directory()
        let fifo = directory.fifo("fifo")
        for path in [directory.file("file"), directory.file("missing"), fifo, "/dev/null", "/proc/self/stat"] {
            _ = open(path)
            var status = ck_statx()
            _ = CachedLookup.status(CK_AT_FDCWD, path, followLinks: true, mask: CK_STATX_TYPE, &status)
        }
        // Other tests open and close at the same time, so the numbers of this test's files are looked for by name.
        let targets = openDescriptors().map { descriptorName($0) }
        #expect(!targets.contains { $0.hasPrefix(directory.path) }, "\(targets)")
    }

    private func descriptorName(_ number: Int32) -> String {
        var name = [UInt8](repeating: 0, count: 4096)
        let count = name.withUnsafeMutableBytes {
            readlink("/proc/self/fd/\(number)", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
        }
        return String(decoding: name.prefix(max(0, count)), as: UTF8.self)
    }
}
