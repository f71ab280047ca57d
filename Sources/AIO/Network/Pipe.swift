public import AIOCore
internal import CKernel

/// A pipe within this process.
public enum Pipe {
    /// Creates a pipe. `capacity` is the requested capacity in bytes; with nil the kernel chooses (usually 64 KiB).
    /// Without privileges the maximum is the sysctl `fs.pipe-max-size`, by default 1 MiB. Both ends are close-on-exec.
    /// Kernel calls: pipe2(2), fcntl(2) with F_SETPIPE_SZ.
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
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// Borrowed, as `Connection.descriptor`.
    public var descriptor: Descriptor { handle.descriptor }

    /// Takes ownership of a readable descriptor. ``close()`` closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// The process's standard input, which may also be a file. The descriptor belongs to the process: its flags do not
    /// change, its position changes only by reading, and `close` leaves it open. Each call returns another reader of
    /// the same bytes.
    public static func standardInput(runtime: IORuntime = .shared) -> StreamReader {
        StreamReader(.classify(0), "standard input", isBorrowed: true, runtime)
    }

    /// Reads as described at `ReadableStream`. Kernel calls: read(2), or preadv2(2) with RWF_NOWAIT on the calling
    /// thread.
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

    /// Ends the reads that wait, which throw `fileClosed`, and closes the descriptor when the last of them has ended. A
    /// close is never cancelled. A second close throws `fileClosed`. Kernel call: close(2).
    public func close() async throws(IOError) { try await handle.close() }
}

/// The writing end of a pipe or FIFO, a terminal, or standard output and standard error. It is closed like a
/// ``StreamReader``.
public final class StreamWriter: WritableStream {
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// Borrowed, as `Connection.descriptor`.
    public var descriptor: Descriptor { handle.descriptor }

    /// Takes ownership of a writable descriptor. ``close()`` closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// The process's standard output, borrowed as `StreamReader.standardInput` is.
    public static func standardOutput(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(1), "standard output", isBorrowed: true, runtime)
    }

    /// The process's standard error, borrowed as `StreamReader.standardInput` is.
    public static func standardError(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(2), "standard error", isBorrowed: true, runtime)
    }

    /// Writes as described at `WritableStream`. Kernel calls: write(2), or pwritev2(2) with RWF_NOWAIT on the calling
    /// thread.
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

    /// Ends the writes that wait, which throw `fileClosed`, and closes the descriptor when the last of them has ended;
    /// the other end then reads to the end of the stream. Otherwise as `StreamReader.close`.
    public func close() async throws(IOError) { try await handle.close() }
}
