import AIO

/// One client connection: reads requests and responds to them, one after the other. Runs as a task on one loop.
final class ServedConnection {
    let service: Service
    let state: LoopState
    let connection: Connection
    private let input: UnsafeMutableRawBufferPointer
    private var decoder: RequestDecoder?
    /// Bytes received on the connection.
    private var receivedCount: Int64 = 0
    /// Set while a request is being read.
    private var requestDeadline: Deadline?
    /// Whether the connection waits for the first byte of a request.
    private(set) var isIdle = false
    /// Whether a part of the response has been sent, so that it cannot become an error response.
    var isHeadSent = false
    /// Whether the end of the connection marks the end of the response.
    var mustEnd = false
    /// The response's status and size, for the access log.
    var status = Status.ok
    var bodyBytesSent: Int64 = 0

    /// Bytes per read. Small, because every connection has its own buffer.
    private static var inputSize: Int { 2048 }

    init(_ service: Service, _ state: LoopState, _ connection: Connection) {
        self.service = service
        self.state = state
        self.connection = connection
        input = .allocate(byteCount: Self.inputSize, alignment: 16)
    }

    deinit { input.deallocate() }

    /// Serves the connection until it ends.
    func run() async {
        state.add(self)
        do {
            // TCP_NODELAY: responses are sent without delay.
            if connection.remoteAddress?.port != nil { try connection.setOption(.noDelay, to: true) }
            if try await serveRequests() { try await linger() }
        } catch {
            // The client is gone or stalled, so the error cannot be reported to it.
        }
        decoder = nil
        state.remove(self)
        await end()
    }

    /// Closes the connection, which ends the operations that wait on it. A second call does nothing.
    func end() async { try? await connection.close() }

    // MARK: Requests

    /// Returns whether the client may still be sending.
    private func serveRequests() async throws -> Bool {
        do {
            while let request = try await nextRequest() {
                guard try await answer(request) else { return request.hasBody || decoder?.isBetweenRequests != true }
                requestDeadline = nil
            }
            return false
        } catch let refusal as Refusal {
            // Bytes that are no valid request, or an incomplete one.
            do { try await sendError(refusal.status, of: nil, keepsAlive: false) } catch {
                await log(nil)
                throw error
            }
            await log(nil)
            return true
        }
    }

    /// nil if the client has closed the connection or the server is stopping.
    private func nextRequest() async throws -> Request? {
        while true {
            if let decoder {
                while let part = decoder.nextPart() { if case .head(let head) = part { return Request(head) } }
                if let refusal = decoder.refusal { throw refusal }
                if decoder.isBetweenRequests {
                    state.release(decoder)
                    self.decoder = nil
                } else if decoder.holdsPartOfHead, requestDeadline == nil {
                    // The head began to come while the requests before it were answered.
                    requestDeadline = .after(service.limits.headTime)
                }
            }
            if service.isStopping, requestDeadline == nil { return nil }
            guard try await readMore() else { return nil }
        }
    }

    /// Reads available bytes into the decoder. Returns false at the end.
    private func readMore() async throws -> Bool {
        isIdle = requestDeadline == nil
        defer { isIdle = false }
        var bytes = MutableRawSpan(_unsafeBytes: input)
        let count: Int
        do throws(IOError) {
            let deadline = requestDeadline ?? .after(service.limits.idleTime)
            count = try await connection.read(into: &bytes, deadline: deadline)
        } catch {
            if error.code == .deadlineExceeded, requestDeadline != nil { throw Refusal(.requestTimeout) }
            throw error
        }
        guard count > 0 else { return false }
        if requestDeadline == nil { requestDeadline = .after(service.limits.headTime) }
        let decoder = self.decoder ?? state.acquireDecoder()
        self.decoder = decoder
        receivedCount += Int64(count)
        decoder.feed(UnsafeRawBufferPointer(rebasing: input[..<count]))
        return true
    }

    // MARK: Responses

    /// Responds to a request. Returns whether the connection stays open.
    private func answer(_ request: Request) async throws -> Bool {
        var keepsAlive = request.isKeepAlive && !service.isStopping
        bodyBytesSent = 0
        do {
            do {
                try await check(request)
                // The server may have been asked to stop while the body was read.
                keepsAlive = keepsAlive && !service.isStopping
                try await sendFile(for: request, keepsAlive: keepsAlive)
            } catch let refusal as Refusal {
                // An unread body would be parsed as the next request.
                keepsAlive = keepsAlive && !refusal.status.endsConnection && !request.hasBody
                try await sendError(refusal.status, of: request, keepsAlive: keepsAlive)
            }
        } catch {
            await log(request)
            throw error
        }
        await log(request)
        return keepsAlive && !mustEnd
    }

    /// Refuses requests that no file is sent for, and reads the body to its end.
    private func check(_ request: Request) async throws {
        guard request.isHostValid, request.hosts == 1 || request.hosts == 0 && request.isVersion10 else {
            throw Refusal(.badRequest)
        }
        guard !request.hasOtherExpectation else { throw Refusal(.expectationFailed) }
        guard request.method != .other else { throw Refusal(.methodNotAllowed) }
        guard request.contentLength <= service.limits.bodySize else { throw Refusal(.contentTooLarge) }
        guard request.hasBody else { return }
        if request.expectsContinue { try await write("HTTP/1.1 100 Continue\r\n\r\n") }
        try await dropBody()
    }

    private func dropBody() async throws {
        if requestDeadline == nil { requestDeadline = .after(service.limits.headTime) }
        var size: Int64 = 0
        var received: Int64 = 0
        let bodySize = service.limits.bodySize
        let limit = bodySize + bodySize / 2 + 4096
        while let decoder {
            while let part = decoder.nextPart() {
                switch part {
                case .body(let count): size += Int64(count)
                case .end: return
                case .head: throw Refusal(.badRequest)
                }
                guard size <= service.limits.bodySize else { throw Refusal(.contentTooLarge) }
            }
            if let refusal = decoder.refusal { throw refusal }
            // The overhead of chunks counts too: extensions and one-byte chunks cost work without content.
            guard received <= limit else { throw Refusal(.contentTooLarge) }
            let before = receivedCount
            guard try await readMore() else { throw IOError(.unexpectedEndOfFile, "read") }
            received += receivedCount - before
        }
    }

    private func log(_ request: Request?) async {
        guard let log = service.log else { return }
        await log.note(connection.remoteAddress, request, status, bodyBytesSent, state.now)
    }

    // MARK: Closing

    /// Reads for a while after the response, so that it reaches a client that is still sending: a close with unread
    /// bytes resets the connection, and the client can lose the response.
    private func linger() async throws {
        try connection.shutdownWrite()
        let deadline = Deadline.after(min(service.limits.stallTime, .seconds(2)))
        var left = 1 << 20
        var bytes = MutableRawSpan(_unsafeBytes: input)
        while left > 0, !service.isStopping {
            let count = try await connection.read(into: &bytes, deadline: deadline)
            guard count > 0 else { return }
            left -= count
        }
    }
}
