import AIO

/// One client: its requests, one after the other, and their answers. A task on one loop.
final class ServedConnection {
    let service: Service
    let state: LoopState
    let connection: Connection
    private let input: UnsafeMutableRawBufferPointer
    private var decoder: RequestDecoder?
    /// Bytes of all requests.
    private var receivedCount: Int64 = 0
    /// While a request is being read.
    private var requestDeadline: Deadline?
    /// Whether it waits for the first byte of a request.
    private(set) var isIdle = false
    /// Whether something of the response is on its way, so that it cannot become another.
    var isHeadSent = false
    /// Whether the end of the connection is the end of the response.
    var mustEnd = false
    /// Of the response: for the access log.
    var status = Status.ok
    var bodyBytesSent: Int64 = 0

    /// Bytes that are read at once: every connection has them, so that they are few.
    private static var inputSize: Int { 2048 }

    init(_ service: Service, _ state: LoopState, _ connection: Connection) {
        self.service = service
        self.state = state
        self.connection = connection
        input = .allocate(byteCount: Self.inputSize, alignment: 16)
    }

    deinit { input.deallocate() }

    /// Serves the connection to its end.
    func run() async {
        state.add(self)
        do {
            // Answers go out as soon as they are made.
            if connection.remoteAddress?.port != nil { try connection.setOption(.noDelay, to: true) }
            if try await serveRequests() { try await linger() }
        } catch {
            // The client is gone, or does not move: there is nobody to tell.
        }
        decoder = nil
        state.remove(self)
        await end()
    }

    /// Ends what waits on the connection, and the connection. A second call does nothing.
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
            // Of what could not be read as a request, or not to its end.
            try await sendError(refusal.status, of: nil, keepsAlive: false)
            await log(nil)
            return true
        }
    }

    /// nil if the client has ended the connection, or the server is to.
    private func nextRequest() async throws -> Request? {
        while true {
            if let decoder {
                while let part = decoder.nextPart() { if case .head(let head) = part { return Request(head) } }
                if let refusal = decoder.refusal { throw refusal }
                if decoder.isBetweenRequests {
                    state.release(decoder)
                    self.decoder = nil
                }
            }
            if service.isStopping, requestDeadline == nil { return nil }
            guard try await readMore() else { return nil }
        }
    }

    /// Reads what there is, for the decoder. False at the end.
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

    // MARK: Answers

    /// Returns whether the connection goes on.
    private func answer(_ request: Request) async throws -> Bool {
        var keepsAlive = request.isKeepAlive && !service.isStopping
        bodyBytesSent = 0
        do {
            do {
                try await check(request)
                // By then it may have been asked to stop.
                keepsAlive = keepsAlive && !service.isStopping
                try await sendFile(for: request, keepsAlive: keepsAlive)
            } catch let refusal as Refusal {
                // A body that was not read would be taken for the next request.
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

    /// Refuses what no file is sent for, and reads a body to its end.
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
            // What chunks have beside content counts too: extensions, and chunks of a byte, are work for nothing.
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

    // MARK: The end

    /// Reads on for a while, so that the answer reaches a client that is still sending: a close with bytes that nobody has
    /// read resets the connection, and what is on its way is lost.
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
