import AIO

// Responses: heads and bodies.
extension ServedConnection {
    /// Sends an error response. Its body is the status line; a HEAD request gets none.
    func sendError(_ status: Status, of request: Request?, keepsAlive: Bool) async throws {
        let buffer = begin(status)
        defer { state.release(buffer) }
        if status == .methodNotAllowed { buffer.append("Allow: GET, HEAD\r\n") }
        if status == .serviceUnavailable { buffer.append("Retry-After: 1\r\n") }
        let line = status.line
        buffer.append("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ")
        buffer.append(Int64(line.utf8CodeUnitCount + 1))
        buffer.append("\r\n")
        end(buffer, of: request, keepsAlive)
        if request?.method != .head {
            buffer.append(line)
            buffer.append("\n")
            bodyBytesSent = Int64(line.utf8CodeUnitCount + 1)
        }
        try await flush(buffer)
    }

    func sendRedirect(to target: String, _ request: Request, keepsAlive: Bool) async throws {
        let buffer = begin(.movedPermanently)
        defer { state.release(buffer) }
        buffer.append("Location: ")
        buffer.append(target)
        buffer.append("\r\nContent-Length: 0\r\n")
        end(buffer, of: request, keepsAlive)
        try await flush(buffer)
    }

    func sendPage(_ page: [UInt8], _ request: Request, keepsAlive: Bool) async throws {
        let buffer = begin(.ok)
        defer { state.release(buffer) }
        buffer.append("Content-Type: text/html; charset=utf-8\r\nContent-Length: ")
        buffer.append(Int64(page.count))
        buffer.append("\r\n")
        end(buffer, of: request, keepsAlive)
        try await flush(buffer)
        guard request.method != .head else { return }
        try await write(page)
    }

    /// Sends a page in pieces: with the chunked coding, or until the end of the connection for HTTP/1.0.
    func sendPieces(
        _ first: [UInt8], _ request: Request, keepsAlive: Bool, _ next: () async throws -> [UInt8]?
    ) async throws {
        let isChunked = !request.isVersion10
        if !isChunked { mustEnd = true }
        let buffer = begin(.ok)
        do {
            defer { state.release(buffer) }
            buffer.append("Content-Type: text/html; charset=utf-8\r\n")
            if isChunked { buffer.append("Transfer-Encoding: chunked\r\n") }
            end(buffer, of: request, keepsAlive && isChunked)
            try await flush(buffer)
        }
        guard request.method != .head else { return }
        var piece: [UInt8]? = first
        while let bytes = piece {
            if isChunked { try await write(Array("\(String(bytes.count, radix: 16))\r\n".utf8)) }
            try await write(bytes)
            if isChunked { try await write("\r\n") }
            piece = try await next()
        }
        if isChunked { try await write("0\r\n\r\n") }
    }

    // MARK: Heads

    /// A buffer with the start of a head.
    func begin(_ status: Status) -> ResponseBuffer {
        self.status = status
        isHeadSent = false
        let buffer = state.acquireBuffer()
        buffer.append("HTTP/1.1 ")
        buffer.append(status.line)
        buffer.append("\r\nDate: ")
        buffer.append(state.dateText(state.now))
        buffer.append("\r\n")
        return buffer
    }

    /// Completes a head.
    func end(_ buffer: ResponseBuffer, of request: Request?, _ keepsAlive: Bool) {
        if !keepsAlive {
            buffer.append("Connection: close\r\n")
        } else if request?.isVersion10 == true {
            buffer.append("Connection: keep-alive\r\n")
        }
        buffer.append("\r\n")
    }

    // MARK: Bytes

    /// Sends the buffer and then a range of the file, in pieces of the buffer's size. Throws a refusal if the file
    /// cannot be read and nothing is sent yet.
    func send(_ buffer: ResponseBuffer, then range: Range<Int64>, of file: inout OpenedFile) async throws {
        var offset = range.lowerBound
        var turnStart = offset
        while offset < range.upperBound {
            if offset - turnStart >= Self.turnSize {
                // While the socket has room, nothing here suspends. The yield gives the loop's other tasks their turn.
                await Task.yield()
                turnStart = offset
            }
            let room = Int(min(Int64(buffer.room), range.upperBound - offset))
            let memory = UnsafeMutableRawBufferPointer(rebasing: buffer.free[..<room])
            let count = try await read(into: memory, of: &file, at: offset)
            buffer.noteWritten(count)
            offset += Int64(count)
            try await flush(buffer)
            bodyBytesSent += Int64(count)
        }
        try await flush(buffer)
    }

    /// The most bytes that a connection sends before it yields.
    private static var turnSize: Int64 { 256 << 10 }

    private func read(
        into memory: UnsafeMutableRawBufferPointer, of file: inout OpenedFile, at offset: Int64
    ) async throws -> Int {
        do throws(IOError) {
            let count = try await file.read(into: memory, at: offset, service.runtime)
            if count > 0 { return count }
        } catch {
            guard isHeadSent else { throw Refusal(.internalServerError) }
            throw error
        }
        // The file is shorter than the head says. After the head is sent, only the end of the connection can tell the
        // client.
        guard isHeadSent else { throw Refusal(.serviceUnavailable) }
        throw IOError(.unexpectedEndOfFile, "read")
    }

    /// Sends the contents of the buffer and clears it.
    func flush(_ buffer: ResponseBuffer) async throws(IOError) {
        isHeadSent = true
        try await write(buffer.content)
        buffer.clear()
    }

    /// The memory must stay valid until the call returns.
    private func write(_ bytes: UnsafeRawBufferPointer) async throws(IOError) {
        var done = 0
        while done < bytes.count {
            let rest = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[done...]))
            done += try await connection.write(rest, deadline: .after(service.limits.stallTime))
        }
    }

    private func write(_ bytes: [UInt8]) async throws(IOError) {
        var done = 0
        while done < bytes.count {
            let rest = bytes.span.bytes.extracting(droppingFirst: done)
            let count = try await connection.write(rest, deadline: .after(service.limits.stallTime))
            done += count
            bodyBytesSent += Int64(count)
        }
    }

    func write(_ text: StaticString) async throws(IOError) {
        try await write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }
}
