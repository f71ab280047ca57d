import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// Transfers that workers make through the page cache on files that were opened for direct I/O.
@Suite struct PageCacheTransferTests {
    /// A file opened with O_DIRECT, and its directory.
    private struct DirectFile: ~Copyable {
        let directory = TemporaryDirectory()
        let number: Int32

        init(_ flags: UInt64 = 0) throws {
            let all = CK_O_CREAT | CK_O_RDWR | CK_O_DIRECT | CK_O_CLOEXEC | flags
            var how = ck_open_how(flags: all, mode: 0o600, resolve: 0)
            number = Int32(Kernel.openat2(CK_AT_FDCWD, directory.file("file"), &how))
            guard number >= 0 else { throw Refused() }
        }

        deinit { close(number) }

        struct Refused: Error {}
    }

    private func write(_ text: String, _ number: Int32, at offset: Int64) -> Int {
        var bytes = Array(text.utf8)
        return bytes.withUnsafeMutableBytes {
            let form: Transfer.Form = [.writing, .throughPageCache]
            let descriptor = Descriptor(number, kind: .direct)
            return Transfer(descriptor, $0.baseAddress, count: $0.count, offset: offset, form: form).blockingResult()
        }
    }

    private func content(_ directory: TemporaryDirectory) -> String? {
        let file = open(directory.file("file"), O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(file, &bytes, bytes.count)
        return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test func piecesThatAreNotAlignedAreWrittenWhereTheyBelong() throws {
        let file = try DirectFile()
        let first = write("hello", file.number, at: 0)
        let second = write("p!", file.number, at: 3)
        let text = content(file.directory)
        let isDirectStill = Kernel.openFlags(file.number) & Int(CK_O_DIRECT) != 0
        #expect(first == 5)
        #expect(second == 2)
        #expect(text == "help!")
        #expect(isDirectStill)
    }

    @Test func anAppendingFileAppends() throws {
        let file = try DirectFile(CK_O_APPEND)
        _ = write("one", file.number, at: 0)
        _ = write("two", file.number, at: 0)
        let text = content(file.directory)
        #expect(text == "onetwo")
    }

    /// Another descriptor's close would release the locks, so O_DIRECT is taken off for the call.
    @Test func recordLocksStay() throws {
        let file = try DirectFile()
        var lock = flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
        let locked = withUnsafeMutablePointer(to: &lock) {
            ck_system_call_6(CK_NR_fcntl, Int(file.number), Int(F_SETLK), Int(bitPattern: $0), 0, 0, 0)
        }
        let result = write("hello", file.number, at: 0)
        let hasLocks = Kernel.hasRecordLocks(file.number)
        let isDirectStill = Kernel.openFlags(file.number) & Int(CK_O_DIRECT) != 0
        #expect(locked == 0)
        #expect(result == 5)
        #expect(hasLocks)
        #expect(isDirectStill)
    }
}
