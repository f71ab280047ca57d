internal import AIOCore
internal import CKernel

/// A pipe of this process's: what is written to one end is read from the other.
public enum Pipe {
    /// Makes a pipe. `capacity` asks for room for so many bytes; nil leaves that to the kernel (64 KiB mostly, 1 MiB at
    /// most without privileges). Both ends are close-on-exec. pipe2(2), and fcntl(2) with F_SETPIPE_SZ.
    public static func make(
        capacity: Int? = nil, runtime: IORuntime = .shared
    ) async throws(IOError) -> (reader: StreamReader, writer: StreamWriter) {
        try runtime.check("pipe")
        guard capacity.map({ (1...Int(Int32.max)).contains($0) }) ?? true else {
            throw IOError(.invalidArgument, "pipe", advice: "the capacity is 1 to \(Int32.max)")
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
            let advice = "a pipe of \(capacity) bytes; the sysctl fs.pipe-max-size is the most without privileges"
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

/// The end that is read from: of a pipe, a FIFO, a terminal, or standard input.
///
/// `close` it, unless it is standard input; one that is dropped unclosed is closed in the background and reported in the
/// log.
public final class StreamReader: ReadableStream {
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// Takes over a descriptor that can be read. The reader now closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// What this program reads from, which may also be a file. It is the process's: neither its flags nor its position are
    /// touched but by reading, and `close` leaves it open. For each call another reader of the same bytes.
    public static func standardInput(runtime: IORuntime = .shared) -> StreamReader {
        StreamReader(.classify(0), "standard input", isBorrowed: true, runtime)
    }

    /// As `ReadableStream` says. read(2), or preadv2(2) with RWF_NOWAIT where the caller stands.
    public func read(
        into bytes: inout MutableRawSpan, deadline: Deadline = .never
    ) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeMutableBytes { ($0.baseAddress, $0.count) }
        guard count > 0 else { return 0 }
        let transfer = Transfer(handle.descriptor, base, count: count, offset: Transfer.currentPosition)
        try handle.begin("read", deadline)
        defer { handle.end() }
        let result = try handle.transferNow(transfer, handle.readGuess, "read") { transfer in
            transfer.attemptWithoutWaiting(isWrite: false)
        }
        if let result { return result }
        return try await handle.performBegun(.read(transfer), deadline, "read")
    }

    /// Ends the reads that wait, which throw `fileClosed`, and closes the descriptor when the last of them has ended.
    /// Is not cancelled. A second close throws `fileClosed`. close(2).
    public func close() async throws(IOError) { try await handle.close() }
}

/// The end that is written to: of a pipe, a FIFO, a terminal, or standard output and standard error.
///
/// As `StreamReader`.
public final class StreamWriter: WritableStream {
    public let runtime: IORuntime
    let handle: StreamHandle

    init(_ descriptor: Descriptor, _ noun: String, isBorrowed: Bool = false, _ runtime: IORuntime) {
        self.runtime = runtime
        handle = StreamHandle(descriptor, noun, isBorrowed: isBorrowed, runtime)
    }

    /// Takes over a descriptor that can be written to. The writer now closes it.
    public convenience init(adopting number: Int32, runtime: IORuntime = .shared) {
        self.init(.classify(number), "stream", runtime)
    }

    /// What this program writes to; as `StreamReader.standardInput`.
    public static func standardOutput(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(1), "standard output", isBorrowed: true, runtime)
    }

    public static func standardError(runtime: IORuntime = .shared) -> StreamWriter {
        StreamWriter(.classify(2), "standard error", isBorrowed: true, runtime)
    }

    /// As `WritableStream` says. write(2), or pwritev2(2) with RWF_NOWAIT where the caller stands.
    public func write(_ bytes: RawSpan, deadline: Deadline = .never) async throws(IOError) -> Int {
        let (base, count) = bytes.withUnsafeBytes { ($0.baseAddress, $0.count) }
        guard count > 0 else { return 0 }
        // The kernel only reads through it.
        let transfer = Transfer(
            handle.descriptor, UnsafeMutableRawPointer(mutating: base), count: count, offset: Transfer.currentPosition)
        try handle.begin("write", deadline)
        defer { handle.end() }
        let result = try handle.transferNow(transfer, handle.writeGuess, "write") { transfer in
            runtime.withoutBrokenPipeSignal { transfer.attemptWithoutWaiting(isWrite: true) }
        }
        if let result { return result }
        return try await handle.performBegun(.write(transfer), deadline, "write")
    }

    /// Ends the writes that wait, which throw `fileClosed`, and closes the descriptor: the other end then comes to the end
    /// of the stream. As `StreamReader.close`.
    public func close() async throws(IOError) { try await handle.close() }
}
