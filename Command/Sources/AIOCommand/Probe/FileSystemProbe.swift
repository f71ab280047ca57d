import AIO
import AIOCore
import CKernel
import Glibc

/// The capabilities of the file system at a path, found out by trying them on a file there.
struct FileSystemProbe: CustomStringConvertible {
    private let path: String
    private var type = "unknown"
    private var rows: [(String, String)] = []
    private var service: ServiceText?

    init(_ path: String) throws(Failure) {
        self.path = path
        var name = ck_statfs()
        let result = path.withCString { Kernel.statfs($0, &name) }
        guard result >= 0 else { throw Failure("statfs \(path.quoted)", result: result) }
        type = FileSystemName.of(name.type)
        let isDirectory = (try? OpenDescriptor(path, CK_O_RDONLY | CK_O_DIRECTORY)) != nil
        let file: ProbedFile
        do throws(Failure) {
            file = try ProbedFile(path, isDirectory: isDirectory)
        } catch {
            guard isDirectory else { throw error }
            rows.append(("not tried", "no file can be created here: \(error.message)"))
            return
        }
        askAlignment(file)
        askReads(file)
        if file.isWritable { askWrites(file) }
        service = ServiceText(file.number, knowsNoWait: file.read(flags: CK_RWF_NOWAIT) != -Int(EOPNOTSUPP))
    }

    var description: String {
        var text = "file system at \(path.quoted): \(type)\n"
        for (name, value) in rows { text += "  \(pad(name, 18))\(value)\n" }
        if let service { text += "\nfiles there, with the engine that is chosen automatically\n\(service)" }
        return text
    }

    private mutating func askAlignment(_ file: borrowing ProbedFile) {
        var status = ck_statx()
        let mask = CK_STATX_BASIC_STATS | CK_STATX_DIOALIGN | CK_STATX_WRITE_ATOMIC
        guard Kernel.status(file.number, mask, &status) >= 0 else { return }
        let tells = status.mask & CK_STATX_DIOALIGN != 0
        rows.append(
            (
                "direct I/O",
                !tells
                    ? "unknown (needs Linux 6.1)"
                    : status.direct_offset_alignment == 0
                        ? "no"
                        : "offsets and lengths are multiples of \(status.direct_offset_alignment) bytes, "
                            + "addresses of \(status.direct_memory_alignment)"
            ))
        let unit = status.atomic_write_unit_max
        let isAtomic = status.mask & CK_STATX_WRITE_ATOMIC != 0 && unit > 0
        rows.append(("atomic writes", isAtomic ? "\(status.atomic_write_unit_min) to \(unit) bytes, direct" : "no"))
    }

    private mutating func askReads(_ file: borrowing ProbedFile) {
        // Brings the page into the cache for the next read.
        _ = file.read(flags: 0)
        rows.append(
            (
                "NOWAIT reads",
                Self.answer(
                    file.read(flags: CK_RWF_NOWAIT),
                    no: "no")
            ))
        rows.append(("DONTCACHE", Self.answer(file.read(flags: CK_RWF_DONTCACHE), no: "no")))
    }

    private mutating func askWrites(_ file: borrowing ProbedFile) {
        rows.append(("NOWAIT writes", Self.answer(file.write(flags: CK_RWF_NOWAIT), no: "no: writes go to a worker")))
        rows.append(("DSYNC, SYNC", Self.answer(file.write(flags: CK_RWF_DSYNC | CK_RWF_SYNC), no: "no")))
        rows.append(("APPEND", Self.answer(file.write(flags: CK_RWF_APPEND), no: "no")))
    }

    private static func answer(_ result: Int, no: String) -> String {
        switch result {
        case 0...: "yes"
        case -Int(EAGAIN): "yes (the page was not cached)"
        case -Int(EOPNOTSUPP), -Int(EINVAL): no
        default: Failure.text(errno: Int32(truncatingIfNeeded: -result))
        }
    }
}

/// The file that is probed: a read-only file at the path or, in a folder, an unnamed file that disappears with its
/// descriptor.
private struct ProbedFile: ~Copyable {
    let isWritable: Bool
    private let descriptor: OpenDescriptor
    private let memory: UnsafeMutableRawBufferPointer

    init(_ path: String, isDirectory: Bool) throws(Failure) {
        // O_NONBLOCK: opening a FIFO must not block.
        descriptor =
            isDirectory ? try Self.fileWithoutName(path) : try OpenDescriptor(path, CK_O_RDONLY | CK_O_NONBLOCK)
        isWritable = isDirectory
        memory = .allocate(byteCount: 4096, alignment: 4096)
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        if isWritable { _ = write(flags: 0) }
    }

    deinit { memory.deallocate() }

    private static func fileWithoutName(_ folder: String) throws(Failure) -> OpenDescriptor {
        if let descriptor = try? OpenDescriptor(folder, CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY, mode: 0o600) {
            return descriptor
        }
        // Not every file system supports O_TMPFILE. A named file that is unlinked at once serves as well.
        let path = "\(folder)/.aio-probe-\(UInt64.random(in: 0 ... .max))"
        let descriptor = try OpenDescriptor(path, CK_O_RDWR | CK_O_CREAT | CK_O_EXCL, mode: 0o600)
        unlink(path)
        return descriptor
    }

    var number: Int32 { descriptor.number }

    func read(flags: UInt32) -> Int {
        var vector = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
        return Kernel.preadv2(number, &vector, 1, 0, flags)
    }

    func write(flags: UInt32) -> Int {
        var vector = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
        return Kernel.pwritev2(number, &vector, 1, 0, flags)
    }
}
