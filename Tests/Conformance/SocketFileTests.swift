import AIO
import CKernel
import Glibc
import Testing

/// The names of Unix-domain listeners in the file system.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SocketFileTests {
    @Test(arguments: engines)
    func aListenerTakesItsNameAway(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let address = SocketAddress.unix(Path(scratch.path("socket")))
                for _ in 0..<3 {
                    let listener = try await AIO.Listener.listen(on: address, runtime: runtime)
                    await expectError(.addressInUse) { try await AIO.Listener.listen(on: address, runtime: runtime) }
                    let client = try await Connection.connect(to: address, runtime: runtime)
                    try await listener.close()
                    #expect(access(scratch.path("socket"), F_OK) != 0)
                    try await client.close()
                }
            }
        }
    }

    /// The deadline passes at every step in turn.
    @Test(arguments: engines)
    func aListenThatFailsLeavesNoName(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let address = SocketAddress.unix(Path(scratch.path("socket")))
                var (successes, failures) = (0, 0)
                for microseconds in 0... {
                    guard successes < 100 else { break }
                    try Task.checkCancellation()
                    do throws(IOError) {
                        let deadline = Deadline.after(.microseconds(microseconds))
                        let listener = try await AIO.Listener.listen(on: address, runtime: runtime, deadline: deadline)
                        successes += 1
                        try await listener.close()
                    } catch {
                        #expect(error.code == .deadlineExceeded)
                        failures += 1
                    }
                    let isThere = scratch.has("socket")
                    #expect(!isThere, "after \(microseconds) us")
                    if isThere { return }
                }
                #expect(failures > 0)
            }
        }
    }

    /// The identity of the new name cannot be asked for.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func aListenThatCannotRecognizeItsNameLeavesNone(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            try await withScratch { scratch in
                try await withRuntime(try #require(EngineKind(name))) { runtime in
                    let address = SocketAddress.unix(Path(scratch.path("socket")))
                    try await AIO.Listener.listen(on: address, runtime: runtime).close()
                    try Seccomp.refuse([CK_NR_statx, CK_NR_newfstatat], with: EACCES)
                    await expectError(.permissionDenied) {
                        try await AIO.Listener.listen(on: address, runtime: runtime)
                    }
                    #expect(access(scratch.path("socket"), F_OK) != 0)
                }
            }
        }
    }

    @Test(arguments: engines)
    func aConnectThatFailsLeavesNoName(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let (local, nobody) = (Path(scratch.path("local")), SocketAddress.unix(Path(scratch.path("nobody"))))
                for _ in 0..<2 {
                    await expectError(.notFound) {
                        try await Connection.connect(to: nobody, from: .unix(local), runtime: runtime)
                    }
                    #expect(!scratch.has("local"))
                    await expectError(.notFound) {
                        try await DatagramSocket.connect(to: nobody, from: .unix(local), runtime: runtime)
                    }
                    #expect(!scratch.has("local"))
                }
                // What somebody else has there stays.
                _ = try scratch.file("local", [1])
                await expectError(.addressInUse) {
                    try await Connection.connect(to: nobody, from: .unix(local), runtime: runtime)
                }
                #expect(try scratch.content("local") == [1])
            }
        }
    }

    @Test(arguments: engines)
    func aNameThatIsAnothersByNowStays(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            try await withRuntime(engine) { runtime in
                let address = SocketAddress.unix(Path(scratch.path("socket")))
                let first = try await AIO.Listener.listen(on: address, runtime: runtime)
                #expect(unlink(scratch.path("socket")) == 0)
                let second = try await AIO.Listener.listen(on: address, runtime: runtime)
                try await first.close()
                try await Connection.connect(to: address, runtime: runtime).close()
                try await second.close()
                #expect(access(scratch.path("socket"), F_OK) != 0)
            }
        }
    }

    @Test(arguments: engines)
    func whatAKilledProcessLeftIsReplacedIfThatIsAskedFor(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = scratch.path("socket")
            try await withRuntime(engine) { runtime in
                let address = SocketAddress.unix(Path(path))
                try leaveStaleSocket(path)
                await expectError(.addressInUse) { try await AIO.Listener.listen(on: address, runtime: runtime) }
                let listener = try await AIO.Listener.listen(on: address, replaceStale: true, runtime: runtime)
                // A socket with a listener is not stale.
                await expectError(.addressInUse) {
                    try await AIO.Listener.listen(on: address, replaceStale: true, runtime: runtime)
                }
                let client = try await Connection.connect(to: address, runtime: runtime)
                try await client.close()
                try await listener.close()
                let file = try scratch.file("file", [1])
                await expectError(.addressInUse) {
                    try await AIO.Listener.listen(on: .unix(Path(file)), replaceStale: true, runtime: runtime)
                }
                #expect(try scratch.content("file") == [1])
            }
        }
    }

    private func leaveStaleSocket(_ path: String) throws {
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        defer { closeDescriptor(socket) }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
    }
}
