/// The pieces of a file or a stream, in order: what `File.chunks` and `ReadableStream.chunks` return. Each loop over it reads anew; streams go on where they
/// are.
public struct Chunks: AsyncSequence, Sendable {
    public typealias Element = Chunk
    public typealias Failure = IOError

    let source: ByteSource
    let size: Int
    let range: Range<Int64>
    let readahead: Int

    public func makeAsyncIterator() -> ChunkIterator { ChunkIterator(self) }
}

extension File {
    /// Reads the file, or a range of it, in chunks of `size` bytes (1 to 16 MiB) of which the last may be shorter.
    ///
    /// From one chunk to the next, `readahead` reads are in flight, within the size that the file has when the loop
    /// begins; so at most `readahead` + 1 buffers of the runtime's pool are in use, if the loop keeps no chunks. Where
    /// the size is not known (files of the kernel's, as in /proc), one read at a time runs ahead. A short read is
    /// continued: the sequence ends where a read returns nothing.
    ///
    /// A stream (pipe, socket, terminal) has no offsets: of `range` its length counts. It is read when the next chunk is
    /// asked for and not before, so that nothing is lost when the loop is left; a chunk is what one read returned.
    ///
    /// When the loop is left, the reads in flight are asked to end, and give their buffers back; `close` waits for them.
    /// When the task is cancelled, they have ended by the time that `next` throws. Throws what `read` does, and
    /// `invalidArgument` for a size or a range that cannot be. Sizes and offsets for direct I/O are to be aligned.
    public func chunks(
        of size: Int = 256 << 10, range: Range<Int64> = 0..<Int64.max, readahead: Int = 4
    ) -> Chunks {
        Chunks(source: .file(self), size: size, range: range, readahead: readahead)
    }
}

extension ReadableStream {
    /// What comes, in chunks of at most `size` bytes (1 to 16 MiB), each of which one read returned.
    ///
    /// The stream is read when the next chunk is asked for and not before, so that nothing is lost when the loop is left;
    /// while that waits it holds one buffer of the runtime's pool. The sequence ends with the stream. Throws what
    /// `read(into:deadline:)` does, and `invalidArgument` for a size that cannot be.
    public func chunks(of size: Int = 16 << 10) -> Chunks {
        Chunks(source: .stream(self), size: size, range: 0..<Int64.max, readahead: 1)
    }
}
