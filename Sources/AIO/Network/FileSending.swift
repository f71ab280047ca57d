internal import AIOCore
internal import CKernel

extension File {
    /// Sends a range of the file over a connection without copying it through this process, and returns the number of
    /// bytes sent.
    ///
    /// The result is less than the length of the range if the file ends before, or is truncated meanwhile. Holes are
    /// sent as zeros. `progress` is called in this task with the number of bytes sent so far, after each piece of at
    /// most 1 MiB; after an error, its last argument is the number of bytes sent. Closing the connection or the file
    /// ends the call with ``IOError/Code/fileClosed``; the close waits for the operation in flight. Kernel call:
    /// splice(2) through a private pipe; files that do not support it (those of /proc) are read and written.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if the range begins before 0, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, ``IOError/Code/brokenPipe`` if the peer no longer reads,
    ///   ``IOError/Code/connectionReset``, ``IOError/Code/fileClosed``, ``IOError/Code/tooManyOpenFiles`` for want of a
    ///   pipe, or another error of splice(2).
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
                // The pipe still holds these bytes, so the end of the input is impossible.
                guard moved > 0 else { throw connection.handle.error(.inputOutput, "send") }
                left -= moved
                sent += Int64(moved)
                progress?(sent)
            }
        }
        return sent
    }

    /// Splices a piece of the file into an empty pipe. Returns nil if the file does not support splice(2).
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

    /// Sends the rest through memory, after `begun` bytes have been sent.
    private func sendCopies(
        to connection: Connection, _ range: Range<Int64>, from begun: Int64, _ deadline: Deadline,
        _ progress: ((Int64) -> Void)?
    ) async throws(IOError) -> Int64 {
        var sent = begun
        while sent < Int64(range.count) {
            // Files of /proc are small, so the size of a piece matters little.
            let count = Int(min(Int64(range.count) - sent, 128 << 10))
            let piece = try await read(upTo: count, at: range.lowerBound + sent, deadline: deadline)
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

/// A private pipe for splice(2), closed after the operations on it.
private struct SplicePipe: ~Copyable {
    let reading: Descriptor
    let writing: Descriptor
    /// Capacity in bytes.
    let capacity: Int

    init() throws(IOError) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC)
        guard result >= 0 else { throw IOError(result: Int32(truncatingIfNeeded: result), "pipe") }
        reading = Descriptor(ends.0, kind: .stream)
        writing = Descriptor(ends.1, kind: .stream)
        // 1 MiB is what an unprivileged user's pipe may have by default (fs.pipe-max-size), and 64 KiB what a pipe has
        // at first. F_SETPIPE_SZ fails when the user's pipes have reached their limit (pipe(7)); then the default size
        // must do.
        let size = Kernel.setPipeSize(ends.1, 1 << 20)
        capacity = size > 0 ? size : 1 << 16
    }

    deinit {
        Kernel.close(reading.number)
        Kernel.close(writing.number)
    }
}
