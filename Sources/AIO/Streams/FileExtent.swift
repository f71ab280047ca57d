internal import AIOCore
internal import CKernel

/// How far a file is known to go, and in which steps.
struct FileExtent {
    /// Bytes; 0 where it is not known.
    let size: Int64
    /// A transfer that ends within a block has met the end of the file: from there on direct I/O cannot go on. 1 where
    /// any transfer may be continued.
    let blockSize: Int

    init(_ status: FileStatus, _ kind: Descriptor.Kind) {
        // A block device tells its size otherwise. Reads behind its end return nothing.
        let isBlockDevice = status.mode & CK_S_IFMT == CK_S_IFBLK
        size = isBlockDevice ? .max : status.size
        blockSize = kind == .direct ? status.directAlignment?.offset ?? 512 : 1
    }
}

extension File {
    /// Reads `count` bytes into the buffer and sets its count, which is less at the end of the file only.
    func fill(_ buffer: StreamBuffer, _ count: Int, at offset: Int64, _ blockSize: Int) async throws(IOError) {
        var done = 0
        while done < count {
            let read = try await read(buffer.base + done, count - done, offset + Int64(done), [], .never)
            done += read
            guard read > 0, done % blockSize == 0 else { break }
        }
        buffer.count = done
    }
}
