// SwiftNIO's echo server with `NIOAsyncChannel` and one event loop, whose thread also runs the tasks. Otherwise like
// `nio-echo`.
import Glibc
import NIOCore
import NIOPosix

let place = (CommandLine.arguments.dropFirst().first ?? "127.0.0.1:0").split(separator: ":")
guard place.count == 2, let port = Int(place[1]) else {
    let complaint = "nio-echo-async: an address is like 127.0.0.1:7777\n"
    _ = write(2, complaint, complaint.utf8.count)
    exit(2)
}

// Runs the tasks on the event loop's own thread: otherwise each read and write would switch threads.
NIOSingletons.groupLoopCountSuggestion = 1
_ = NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor()

let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .serverChannelOption(.maxMessagesPerRead, value: 256)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(.maxMessagesPerRead, value: 16)
    .bind(host: String(place[0]), port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
            try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
    }

let line = "listening on \(place[0]):\(server.channel.localAddress?.port ?? 0)\n"
_ = write(1, line, line.utf8.count)

try await withThrowingDiscardingTaskGroup { group in
    try await server.executeThenClose { connections in
        for try await connection in connections {
            group.addTask { await echo(connection) }
        }
    }
}

func echo(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
    try? await connection.executeThenClose { inbound, outbound in
        for try await bytes in inbound { try await outbound.write(bytes) }
    }
}
