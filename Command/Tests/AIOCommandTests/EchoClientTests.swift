import AIO
import AIOCore
import CKernel
import Foundation
import Synchronization
import Testing
import UnitSupport

@testable import AIOCommand

/// The load generator, tested against servers that misbehave.
@Suite(.timeLimit(.minutes(10))) struct EchoClientTests {
    /// Serves one connection on a separate thread. `answer` gets each piece that arrives; if it returns false, the
    /// connection ends.
    private func withServer<Value>(
        _ answer: @escaping @Sendable (inout [UInt8]) -> Bool, _ body: (LoopbackAddress) throws -> Value
    ) throws -> Value {
        let listener = try Loopback.listen()
        let address = try LoopbackAddress(of: listener.number)
        let number = listener.number
        let thread = TestThread {
            var entry = pollfd(fd: number, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, -1)
            let connection = accept(number, nil, nil)
            guard connection >= 0 else { return }
            defer { close(connection) }
            var room = [UInt8](repeating: 0, count: 65536)
            while case let count = read(connection, &room, room.count), count > 0 {
                var piece = Array(room[..<count])
                guard answer(&piece) else { break }
                _ = send(connection, piece, piece.count, Int32(MSG_NOSIGNAL))
            }
        }
        defer {
            // Ends a wait for a connection that does not come.
            shutdown(number, Int32(SHUT_RDWR))
            thread.join()
        }
        return try body(address)
    }

    @Test func aServerEndsAlsoIfNobodyConnects() {
        #expect(throws: Failure.self) { try withServer({ _ in true }) { _ in throw Failure("no client") } }
    }

    private func exchange(_ server: LoopbackAddress, size: Int = 10, rate: Int? = nil) throws -> Recorder.Times {
        let client = try EchoClient(to: server, connections: 1, size: size, rate: rate)
        return try client.run(until: Kernel.now() + 20_000_000)
    }

    @Test func whatComesBackIsCounted() throws {
        let pieces = Pieces()
        let times = try withServer({ piece in
            pieces.count.add(piece.count, ordering: .relaxed)
            return true
        }) { try exchange($0, size: 1000) }
        #expect(times.count > 0 && pieces.count.load(ordering: .relaxed) == Int(times.count) * 1000)
    }

    @Test func aRateIsKept() throws {
        let times = try withServer({ _ in true }) { try exchange($0, rate: 500) }
        // At most as many as are due in that time.
        #expect((1...10).contains(times.count))
    }

    @Test func aWrongByteIsFound() throws {
        let failure = #expect(throws: Failure.self) {
            try withServer({ piece in
                piece[piece.count - 1] ^= 1
                return true
            }) { try exchange($0) }
        }
        #expect(failure?.message == "the server sent back other data than it received")
    }

    @Test func moreBytesThanWereSentAreFound() throws {
        let failure = #expect(throws: Failure.self) {
            try withServer({ piece in
                piece += piece
                return true
            }) { try exchange($0) }
        }
        #expect(failure?.message == "the server sent back other data than it received")
    }

    @Test func aConnectionThatEndsIsTold() throws {
        let failure = #expect(throws: Failure.self) { try withServer({ _ in false }) { try exchange($0) } }
        #expect(failure?.message == "the server closed a connection")
    }

    private final class Pieces: Sendable { let count = Atomic(0) }
}
