internal import AIOCore

/// The pieces of a file or a stream, in order: the result of ``File/chunks(of:range:readahead:deadline:)`` and
/// ``ReadableStream/chunks(of:deadline:)``. Each iteration reads a file anew, and continues a stream.
public struct Chunks: AsyncSequence, Sendable {
    public typealias Element = Chunk
    public typealias Failure = IOError

    let source: ByteSource
    let size: Int
    let range: Range<Int64>
    let readahead: Int
    let deadline: Deadline

    public func makeAsyncIterator() -> ChunkIterator { ChunkIterator(self) }

    /// Whether the task is not cancelled, and the deadline has not passed.
    @inline(__always)
    var mayGoOn: Bool {
        !Task.isCancelled && (deadline == .never || deadline.nanoseconds > Kernel.now())
    }

    /// Throws `cancelled` in a cancelled task and `deadlineExceeded` after the deadline.
    func checkBeginning() throws(IOError) {
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, "read") } catch {
            throw IOError(error.code, "read", path: source.path)
        }
    }
}

extension File {
    /// Reads the file or a range of it in chunks of `size` bytes (1 to 16 MiB); the last chunk may be shorter.
    ///
    /// Between two chunks up to `readahead` reads are in flight, within the size that the file had when the iteration
    /// began. If the loop keeps no chunks, at most `readahead` + 1 buffers of the runtime's pool are in use. If the
    /// size is not known (files of /proc), one read is ahead. A short read is continued; the sequence ends where a read
    /// returns nothing.
    ///
    /// A stream (pipe, socket, terminal) has no offsets, and only the length of `range` counts. It is read only when
    /// the loop asks for the next chunk, so nothing is lost when the loop exits; a chunk is what one read returned.
    ///
    /// When the loop exits, the reads in flight are cancelled and return their buffers; ``close()`` waits for them.
    /// When the task is cancelled or `deadline` passes, they have completed before the sequence throws. The deadline is
    /// that of the whole sequence. For direct I/O, `size` and the range must be aligned. Kernel calls: statx(2),
    /// preadv2(2).
    ///
    /// The sequence throws ``IOError/Code/cancelled``, since the end of the loop would look like the end of the file;
    /// ``IOError/Code/deadlineExceeded``; ``IOError/Code/invalidArgument`` for an invalid size or range; and the other
    /// errors of ``read(into:at:flags:deadline:)-(MutableRawSpan,_,_,_)``.
    public func chunks(
        of size: Int = 256 << 10, range: Range<Int64> = 0..<Int64.max, readahead: Int = 4, deadline: Deadline = .never
    ) -> Chunks {
        Chunks(source: .file(self), size: size, range: range, readahead: readahead, deadline: deadline)
    }
}

extension ReadableStream {
    /// Reads the stream in chunks of at most `size` bytes (1 to 16 MiB), each the result of one read.
    ///
    /// The stream is read only when the loop asks for the next chunk, so nothing is lost when the loop exits. While it
    /// waits, the sequence holds one buffer of the runtime's pool. The sequence ends with the stream. `deadline` is
    /// that of the whole sequence.
    ///
    /// The sequence throws ``IOError/Code/cancelled``, since the end of the loop would look like the end of the stream;
    /// ``IOError/Code/deadlineExceeded``; ``IOError/Code/invalidArgument`` for an invalid size; and the other errors of
    /// ``read(into:deadline:)``.
    public func chunks(of size: Int = 16 << 10, deadline: Deadline = .never) -> Chunks {
        Chunks(source: .stream(self), size: size, range: 0..<Int64.max, readahead: 1, deadline: deadline)
    }
}
