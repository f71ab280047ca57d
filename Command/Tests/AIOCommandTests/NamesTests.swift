import AIO
import AIOCore
import Crypto
import Foundation
import NIOCore
import Testing

/// A program may use Foundation, SwiftNIO and swift-crypto beside the library. Documentation/Names.md lists the names
/// that it then has to qualify; that this file compiles is the test.
struct NamesTests {
    @Test func aProgramWithCryptoNIOAndFoundationBesideTheLibraryCompiles() async throws {
        let (reader, writer) = try await AIO.Pipe.make()
        let text = Data("text".utf8)
        try await writer.writeAll(Array(text))
        try await writer.close()
        let read = try await reader.readToEnd()
        try await reader.close()
        #expect(SHA256.hash(data: read) == SHA256.hash(data: text))
        #expect(ByteBuffer(bytes: read) == ByteBuffer(string: "text"))
    }

    @Test func qualifiedNamesSayWhoseTheyAre() throws {
        let ours: AIO.SocketAddress = .v4(.loopback, port: 80)
        let theirs = try NIOCore.SocketAddress(ipAddress: "127.0.0.1", port: 80)
        #expect("\(ours)" == "127.0.0.1:80" && theirs.port == 80)

        let failures: [any Error] = [NIOCore.IOError(errnoCode: ENOENT, reason: "open")]
        #expect(failures.allSatisfy { $0 is NIOCore.IOError && !($0 is AIO.IOError) })

        let nothing = AIOCore.Operation.nop
        let block: Foundation.Operation = BlockOperation {}
        #expect("\(nothing)" == "nop" && !block.isFinished)

        #expect(ObjectIdentifier(AIO.Pipe.self) != ObjectIdentifier(Foundation.Pipe.self))
    }
}
