internal import AIOCore
internal import CKernel

extension File {
    /// Sends a range of the file over a connection, without the bytes passing through this process. Returns the bytes
    /// sent: fewer than the range has if the file ends before, also if it is truncated meanwhile; holes are sent as zeros.
    ///
    /// `progress` is called in this task with the bytes sent so far, after each piece of 1 MiB at most. After an error
    /// (`cancelled`, `deadlineExceeded`, `brokenPipe`, or what splice(2) says) as many have been sent as it was told last.
    /// A close of the connection ends it with `fileClosed`; a close of the file waits for it. The kernel call is splice(2),
    /// through a pipe of its own; files that do not know it (those of /proc) are read and written.
    public func send(
        to connection: Connection, range: Range<Int64> = 0..<Int64.max, deadline: Deadline = .never,
        progress: ((Int64) -> Void)? = nil
    ) async throws(IOError) -> Int64 {
        guard range.lowerBound >= 0 else {
            throw IOError(.invalidArgument, "send", path: path, advice: "the offset is negative")
        }
        let pipe = try SplicePipe()
        var sent: Int64 = 0
        while sent < Int64(range.count) {
            let count = Int(min(Int64(range.count) - sent, Int64(pipe.capacity)))
            let filled = try await fill(pipe, count, range.lowerBound + sent, deadline)
            guard let filled else {
                return try await sendCopies(to: connection, range, from: sent, deadline, progress)
            }
            guard filled > 0 else { break }
            var left = filled
            while left > 0 {
                let splice = Splice(from: pipe.reading, to: connection.descriptor, count: UInt32(left))
                let moved = try await connection.handle.perform(.splice(splice), deadline, "send")
                // The pipe holds it, so an end cannot come.
                guard moved > 0 else { throw connection.handle.error(.inputOutput, "send") }
                left -= moved
                sent += Int64(moved)
                progress?(sent)
            }
        }
        return sent
    }

    /// Splices a piece of the file into an empty pipe. nil if this file does not know how.
    private func fill(
        _ pipe: borrowing SplicePipe, _ count: Int, _ offset: Int64, _ deadline: Deadline
    ) async throws(IOError) -> Int? {
        let splice = Splice(from: descriptor, inputOffset: offset, to: pipe.writing, count: UInt32(count))
        do throws(IOError) {
            return Int(try await perform(.splice(splice), deadline, "send"))
        } catch {
            if error.code == .invalidArgument { return nil }
            throw error
        }
    }

    /// The same through memory, for what is left when `begun` bytes have been sent.
    private func sendCopies(
        to connection: Connection, _ range: Range<Int64>, from begun: Int64, _ deadline: Deadline,
        _ progress: ((Int64) -> Void)?
    ) async throws(IOError) -> Int64 {
        var sent = begun
        while sent < Int64(range.count) {
            let count = Int(min(Int64(range.count) - sent, 128 << 10))
            let piece = try await read(count: count, at: range.lowerBound + sent, deadline: deadline)
            guard !piece.isEmpty else { break }
            var written = 0
            while written < piece.count {
                written += try await connection.write(
                    piece.span.bytes.extracting(droppingFirst: written), deadline: deadline)
                progress?(sent + Int64(written))
            }
            sent += Int64(written)
        }
        return sent
    }
}

/// A pipe that bytes are moved through; closed when it goes, after the operations on it.
private struct SplicePipe: ~Copyable {
    let reading: Descriptor
    let writing: Descriptor
    /// Bytes that there is room for.
    let capacity: Int

    init() throws(IOError) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "pipe") }
        reading = Descriptor(ends.0, kind: .stream)
        writing = Descriptor(ends.1, kind: .stream)
        // Refused where the user's pipes have used up their share: then the usual size has to do.
        let size = Kernel.setPipeSize(ends.1, 1 << 20)
        capacity = size > 0 ? size : 1 << 16
    }

    deinit {
        Kernel.close(reading.number)
        Kernel.close(writing.number)
    }
}
