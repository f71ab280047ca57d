internal import AIOCore
internal import CKernel

/// The known size of a file, and the block size of its transfers.
struct FileExtent {
    /// Bytes; 0 if the size is not known.
    let size: Int64
    /// A direct transfer that ends within a block has reached the end of the file, and direct I/O cannot continue
    /// there. 1 if any transfer may be continued.
    let blockSize: Int

    init(_ status: FileStatus, _ kind: Descriptor.Kind) {
        // statx(2) reports no size for a block device. Reads beyond its end return nothing.
        let isBlockDevice = status.mode & CK_S_IFMT == CK_S_IFBLK
        size = isBlockDevice ? .max : status.size
        // Without an answer of statx(2), the smallest block that any device has.
        blockSize = kind == .direct ? status.directAlignment?.offset ?? 512 : 1
    }
}

extension File {
    /// Reads `count` bytes into the buffer and sets its count, which is less only at the end of the file.
    func fill(
        _ buffer: StreamBuffer, _ count: Int, at offset: Int64, _ blockSize: Int, _ deadline: Deadline
    ) async throws(IOError) {
        var done = 0
        while done < count {
            let read = try await read(buffer.base + done, count - done, offset + Int64(done), [], deadline)
            done += read
            guard read > 0, done % blockSize == 0 else { break }
        }
        buffer.count = done
    }
}
