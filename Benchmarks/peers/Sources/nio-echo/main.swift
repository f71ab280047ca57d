// SwiftNIO's echo server with one event loop: `nio-echo ADDRESS:PORT`. Prints its address; SIGTERM ends it.
import Glibc
import NIOCore
import NIOPosix

/// Writes each piece as it is read, and flushes once per batch of reads.
private final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

    func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

let place = (CommandLine.arguments.dropFirst().first ?? "127.0.0.1:0").split(separator: ":")
guard place.count == 2, let port = Int(place[1]) else {
    let complaint = "nio-echo: an address is like 127.0.0.1:7777\n"
    _ = write(2, complaint, complaint.utf8.count)
    exit(2)
}

let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let channel = try await ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    // Many connections come at once, so one turn of the loop accepts a large batch of them.
    .serverChannelOption(.maxMessagesPerRead, value: 256)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EchoHandler()) }
    }
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(.maxMessagesPerRead, value: 16)
    .childChannelOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
    .bind(host: String(place[0]), port: port).get()

// A single unbuffered write, since standard output may be a pipe.
let line = "listening on \(place[0]):\(channel.localAddress?.port ?? 0)\n"
_ = write(1, line, line.utf8.count)
try await channel.closeFuture.get()
