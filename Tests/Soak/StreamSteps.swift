import AIO
import Glibc
import UnitSupport

extension SoakParty {
    /// A connection over loopback, whose other end sends everything back.
    func talkOverTCP() async throws {
        let listener = try await Listener.listen(on: SocketAddress("127.0.0.1:0"), runtime: runtime)
        let (runtime, limit) = (runtime, limit)
        try await Self.using({ try await listener.close() }) {
            async let echo: Void = {
                let connection = try await listener.accept(deadline: limit)
                try await Self.using({ try await connection.close() }) {
                    while true {
                        let piece = try await connection.read(upTo: 20_000, deadline: limit)
                        if piece.isEmpty { break }
                        try await connection.writeAll(piece, deadline: limit)
                    }
                }
            }()
            let address = try listener.localAddress()
            let connection = try await Connection.connect(to: address, runtime: runtime, deadline: limit)
            let message = SplitMix.bytes(random.below(1000), count: 1 + random.below(100_000))
            let answer = try await Self.using({ try await connection.close() }) {
                async let sent: Void = {
                    try await connection.writeAll(message, deadline: limit)
                    try connection.shutdownWrite()
                }()
                let answer = try await Self.readAll(connection, limit)
                try await sent
                return answer
            }
            // Before the bytes are compared: an echo that a limit or a shutdown ended has closed its side in order.
            try await echo
            try require(answer == message, "\(answer.count) bytes came back of \(message.count)")
        }
    }

    func talkOverPair() async throws {
        let (one, other) = try Connection.pair(runtime: runtime)
        try await send({ try await one.close() }, { try await other.close() }, from: one, to: other)
    }

    func talkOverPipe() async throws {
        let (reader, writer) = try await Pipe.make(runtime: runtime)
        try await send({ try await writer.close() }, { try await reader.close() }, from: writer, to: reader)
    }

    private func send(
        _ closeWriter: @escaping @Sendable () async throws -> Void, _ closeReader: () async throws -> Void,
        from writer: any WritableStream, to reader: any ReadableStream
    ) async throws {
        let message = SplitMix.bytes(random.below(1000), count: 1 + random.below(200_000))
        let limit = limit
        try await Self.using(closeReader) {
            async let sent: Void = Self.using(closeWriter) { try await writer.writeAll(message, deadline: limit) }
            let found = try await Self.readAll(reader, limit)
            try await sent
            try require(found == message, "\(found.count) bytes arrived of \(message.count)")
        }
    }

    private static func readAll(_ reader: any ReadableStream, _ deadline: Deadline) async throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let piece = try await reader.read(upTo: 30_000, deadline: deadline)
            if piece.isEmpty { return all }
            all += piece
        }
    }

    /// Datagrams over loopback. One that arrives is whole.
    func sendDatagrams() async throws {
        let address = try SocketAddress("127.0.0.1:0")
        let receiver = try await DatagramSocket.bind(to: address, runtime: runtime)
        try await Self.using({ try await receiver.close() }) {
            let sender = try await DatagramSocket.connect(to: try receiver.localAddress(), runtime: runtime)
            try await Self.using({ try await sender.close() }) {
                let number = random.below(200)
                let message = [UInt8(number)] + SplitMix.bytes(number, count: random.below(1400))
                for _ in 0..<8 {
                    try await sender.send(message, deadline: limit)
                    let found = try await receiver.receive(deadline: limit)
                    try require(found.bytes == message, "a datagram has other bytes")
                }
            }
        }
    }

    /// A child process, and how it ended.
    func waitForChild() async throws {
        let code = Int32(random.below(100))
        var process: pid_t = 0
        let texts = ["/bin/sh", "-c", "exit \(code)"]
        let words = texts.map { strdup($0) }
        defer { for word in words { free(word) } }
        let refused = posix_spawn(&process, "/bin/sh", nil, nil, words + [nil], environ)
        // Descriptors or memory may be short.
        guard refused == 0 else { throw IOError(.limitReached, "posix_spawn") }
        let child: ChildProcess
        do throws(IOError) { child = try ChildProcess(adopting: process, runtime: runtime) } catch {
            Self.reap(process)
            throw error
        }
        do {
            let outcome = try await child.wait()
            try require(outcome == .exited(code), "a child ended with \(outcome), not \(code)")
        } catch {
            Self.reap(process)
            throw error
        }
    }

    private static func reap(_ process: pid_t) { while waitpid(process, nil, 0) < 0, errno == EINTR {} }

    // MARK: Time

    /// No timer fires early.
    func sleepAWhile() async throws {
        let duration = Duration.microseconds(random.below(20_000))
        let start = ContinuousClock.now
        try await runtime.sleep(for: duration)
        try require(start.duration(to: .now) >= duration, "a timer fired early")
    }

    /// A read that nothing ends but a cancel, a deadline or a close.
    func waitInVain() async throws {
        let (reader, writer) = try await Pipe.make(runtime: runtime)
        let choice = random.below(3)
        let waiting = Task { () -> [UInt8] in
            try await reader.read(upTo: 1, deadline: choice == 0 ? .after(.milliseconds(1)) : .never)
        }
        for _ in 0..<random.below(50) { await Task.yield() }
        if choice == 1 { waiting.cancel() }
        if choice == 2 { try? await reader.close() }
        if case .success(let bytes) = await waiting.result { try require(bytes.isEmpty, "bytes out of nothing") }
        try? await reader.close()
        try? await writer.close()
    }
}
