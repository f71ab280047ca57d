import AIOCore
import CKernel
import Glibc

/// A file that the user names. It is opened for reading only.
extension TestFile {
    static func open(_ path: String, order: WorkloadShape.Order) throws(Failure) -> TestFile {
        // With O_NONBLOCK, opening a FIFO does not wait for a writer. Contestants reopen the file without the flag.
        let descriptor = try OpenDescriptor(path, CK_O_RDONLY | CK_O_NONBLOCK | CK_O_NOCTTY)
        var status = ck_statx()
        let result = Kernel.status(descriptor.number, CK_STATX_TYPE | CK_STATX_SIZE, &status)
        guard result >= 0 else { throw Failure("statx \(path.quoted)", result: result) }
        switch status.mode & CK_S_IFMT {
        case CK_S_IFREG: break
        case CK_S_IFDIR: throw Failure("\(path.quoted): is a directory")
        default: throw Failure("\(path.quoted): is not a regular file")
        }
        return TestFile(name: path.quoted, size: Int(status.size), descriptor: descriptor, isOurs: false, order: order)
    }

    /// Reads the file once and records a checksum of each block of `shape`.
    func takeChecksums(_ shape: WorkloadShape, _ progress: ProgressBar) throws -> BlockChecksums {
        let checksums = BlockChecksums(blockCount: shape.blockCount)
        let memory = BlockMemory(blockSize: shape.blockSize, count: 1)
        for block in 0..<shape.blockCount {
            if block % 1024 == 0 {
                try Interruption.check()
                progress.show("reading \(name)", share: Double(block) / Double(shape.blockCount))
            }
            try readWhole(memory[0], count: shape.blockSize, at: block * shape.stride)
            checksums.record(memory[0], count: shape.blockSize, block: block)
        }
        return checksums
    }

    func readWhole(_ memory: UnsafeMutableRawPointer, count: Int, at offset: Int) throws(Failure) {
        var done = 0
        while done < count {
            let result = Kernel.pread(descriptor.number, memory + done, count - done, Int64(offset + done))
            if result == -Int(EINTR) { continue }
            guard result >= 0 else { throw Failure("read of \(name)", result: result) }
            guard result > 0 else { throw Failure("\(name): the file became shorter while it was read") }
            done += result
        }
    }
}
