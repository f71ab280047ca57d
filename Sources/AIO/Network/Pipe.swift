public import AIOCore
internal import CKernel

/// A pipe within this process.
public enum Pipe {
    /// Creates a pipe. `capacity` is the requested capacity in bytes; with nil the kernel chooses (usually 64 KiB).
    /// Without privileges the maximum is the sysctl `fs.pipe-max-size`, by default 1 MiB. Both ends are close-on-exec,
    /// and the caller closes both. Kernel calls: pipe2(2), fcntl(2) with F_SETPIPE_SZ.
    ///
    /// - Throws: ``IOError/Code/tooManyOpenFiles``; ``IOError/Code/permissionDenied`` for a capacity beyond the user's
    ///   limits; ``IOError/Code/invalidArgument`` for a capacity that is not positive or above 2 GiB.
    public static func make(
        capacity: Int? = nil, runtime: IORuntime = .shared
    ) async throws(IOError) -> (reader: StreamReader, writer: StreamWriter) {
        try runtime.check("pipe")
        guard capacity.map({ (1...Int(Int32.max)).contains($0) }) ?? true else {
            throw IOError(.invalidArgument, "pipe", advice: "the capacity must be 1 to \(Int32.max)")
        }
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "pipe") }
        let reader = StreamReader(Descriptor(ends.0, kind: .stream), "pipe", runtime)
        let writer = StreamWriter(Descriptor(ends.1, kind: .stream), "pipe", runtime)
        guard let capacity else { return (reader, writer) }
        let size = Kernel.setPipeSize(ends.1, capacity)
        guard size >= 0 else {
            reader.handle.abandon()
            writer.handle.abandon()
            let advice =
                "the capacity is \(capacity) bytes; without privileges the sysctl fs.pipe-max-size is the limit"
            throw IOError(Int32(truncatingIfNeeded: size), "pipe", advice)
        }
        return (reader, writer)
    }
}

extension IOError {
    fileprivate init(_ result: Int32, _ operation: String, _ advice: String) {
        self.init(result: result, operation)
        self.advice = advice
    }
}

/// The reading end of a pipe or FIFO, a terminal, or standard input.
///
/// Close a reader with ``close()``, unless it is standard input. One that is dropped without a close is closed in the
/// background and reported in the log.
public final class StreamReader: ReadableStream {
    /// The runtime that carries out the reads.
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the reader is closed.
    public var descriptor: Descriptor { handle.descriptor }

    /// Takes ownership of a readable descriptor. ``close()`` closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// The process's standard input, which may also be a file. The descriptor belongs to the process: its flags do not
    /// change, its position changes only by reading, and ``close()`` leaves it open. Each call returns another reader
    /// of the same bytes.
    public static func standardInput(runtime: IORuntime = .shared) -> StreamReader {
        StreamReader(.classify(0), "standard input", isBorrowed: true, runtime)
    }

    /// Reads the available bytes into the caller's memory; waits if there are none.
    ///
    /// Returns the number of bytes read: at least 1, and usually less than the size of the memory; 0 at the end of the
    /// stream, or if the memory is empty. The memory is borrowed until the call returns, also after a cancellation. A
    /// cancelled read has taken nothing from the stream. Kernel calls: read(2), or preadv2(2) with RWF_NOWAIT on the
    /// calling thread.
    ///
    /// - Throws: ``IOError/Code/fileClosed`` (also if the stream is closed during the wait),
    ///   ``IOError/Code/cancelled``, ``IOError/Code/deadlineExceeded``, or the error of read(2).
    public func read(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        guard count > 0 else { return 0 }
        let transfer = Transfer(handle.descriptor, base, count: count, offset: Transfer.currentPosition)
        try handle.begin("read", deadline)
        defer { handle.end() }
        if let result = try handle.transferNow(transfer, handle.readGuess, "read") { return result }
        return try await handle.performBegun(.read(transfer), deadline, "read")
    }

    /// Ends the reads that wait, which throw ``IOError/Code/fileClosed``, and closes the descriptor when the last of
    /// them has ended; standard input stays open. A close is never cancelled. Kernel call: close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) { try await handle.close() }
}

/// The writing end of a pipe or FIFO, a terminal, or standard output and standard error.
///
/// Close a writer with ``close()``, unless it is standard output or standard error. One that is dropped without a close
/// is closed in the background and reported in the log.
public final class StreamWriter: WritableStream {
    /// The runtime that carries out the writes.
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// For operations on an ``IOQueue``, or through ``IORuntime/perform(_:deadline:)``. Borrowed: do not close it, and
    /// do not use it after the writer is closed.
    public var descriptor: Descriptor { handle.descriptor }

    /// Takes ownership of a writable descriptor. ``close()`` closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// The process's standard output, which may also be a file. The descriptor belongs to the process: its flags do not
    /// change, and ``close()`` leaves it open.
    public static func standardOutput(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(1), "standard output", isBorrowed: true, runtime)
    }

    /// The process's standard error, which may also be a file. The descriptor belongs to the process: its flags do not
    /// change, and ``close()`` leaves it open.
    public static func standardError(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(2), "standard error", isBorrowed: true, runtime)
    }

    /// Writes from the caller's memory; waits if there is no room.
    ///
    /// Returns the number of bytes written: at least 1 unless the memory is empty, and possibly less than its size. The
    /// memory is borrowed until the call returns, also after a cancellation. A cancelled write has written nothing.
    /// Kernel calls: write(2), or pwritev2(2) with RWF_NOWAIT on the calling thread.
    ///
    /// - Throws: ``IOError/Code/brokenPipe`` if nobody reads any more (SIGPIPE is never raised),
    ///   ``IOError/Code/fileClosed`` (also if the stream is closed during the wait), ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or another error of write(2).
    public func write(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        guard count > 0 else { return 0 }
        // A write only reads through the pointer.
        let transfer = Transfer(
            handle.descriptor, UnsafeMutableRawPointer(mutating: base), count: count, offset: Transfer.currentPosition,
            form: .writing)
        try handle.begin("write", deadline)
        defer { handle.end() }
        if let result = try handle.transferNow(transfer, handle.writeGuess, "write") { return result }
        return try await handle.performBegun(.write(transfer), deadline, "write")
    }

    /// Ends the writes that wait, which throw ``IOError/Code/fileClosed``, and closes the descriptor when the last of
    /// them has ended; the other end then reads to the end of the stream. Standard output and standard error stay open.
    /// A close is never cancelled. Kernel call: close(2).
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) { try await handle.close() }
}
