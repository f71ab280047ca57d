import AIO
import CKernel
import Glibc
import Testing

/// Files sent over connections, the process' own pipes, and its standard streams.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct SendFileTests {
    @Test(arguments: engines, SocketFamily.available)
    func aLargeFileArrivesAsItIs(_ engine: EngineKind, _ family: SocketFamily) async throws {
        let content = KnownContent(seed: 77)
        let size = 5 << 19
        try await withScratch { scratch in
            let path = Path(try scratch.file("large", content.bytes(count: size, at: 0)))
            try await withRuntime(engine) { runtime in
                try await withConnections(family, runtime) { client, server in
                    let receive = Task { try await server.readToEnd() }
                    var told: [Int64] = []
                    try await withFile(path, runtime: runtime) { file in
                        let sent = try await file.send(to: client) { told.append($0) }
                        #expect(sent == size)
                        // A part of the file.
                        let part = try await file.send(to: client, range: 5..<100_005) { told.append($0) }
                        #expect(part == 100_000)
                        // Beyond the end there is nothing to send.
                        let none = try await file.send(to: client, range: Int64(size)..<Int64(size) + 10)
                        #expect(none == 0)
                    }
                    try client.shutdownWrite()
                    let all = try await receive.value
                    #expect(all.count == size + 100_000)
                    #expect(content.mismatch(Array(all.prefix(size)), at: 0) == nil)
                    #expect(content.mismatch(Array(all.dropFirst(size)), at: 5) == nil)
                    #expect(told.contains(Int64(size)) && told.last == 100_000)
                }
            }
        }
    }

    @Test(arguments: engines)
    func holesAreSentAsZeros(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("holes"))
            try await withRuntime(engine) { runtime in
                try await withConnections(.v4, runtime) { client, server in
                    try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                        try await file.truncate(to: 3_000_000)
                        try await file.writeAll([1, 2, 3], at: 2_000_000)
                        let receive = Task { try await server.readToEnd() }
                        #expect(try await file.send(to: client) == 3_000_000)
                        try client.shutdownWrite()
                        let all = try await receive.value
                        #expect(all.count == 3_000_000)
                        #expect(Array(all[2_000_000..<2_000_003]) == [1, 2, 3])
                        #expect(all.reduce(0) { $0 + Int($1) } == 6)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aFileTruncatedMeanwhileIsSentAsFarAsItGoes(_ engine: EngineKind) async throws {
        let size: Int64 = 64 << 20
        try await withScratch { scratch in
            let path = Path(scratch.path("shrinks"))
            try await withRuntime(engine) { runtime in
                try await withConnections(.v4, runtime) { client, server in
                    try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                        try await file.truncate(to: size)
                        let send = Task { try await file.send(to: client) }
                        // A part has been sent, and the rest waits for the reader.
                        _ = try await server.readExactly(count: 1)
                        try await file.truncate(to: 10)
                        let receive = Task { try await server.readToEnd().count }
                        let sent = try await send.value
                        #expect(sent < size)
                        try client.shutdownWrite()
                        #expect(try await receive.value == Int(sent) - 1)
                    }
                }
            }
        }
    }

    @Test(arguments: engines)
    func aSendIsGivenUpAndSaysHowFarItCame(_ engine: EngineKind) async throws {
        try await withScratch { scratch in
            let path = Path(scratch.path("endless"))
            try await withRuntime(engine) { runtime in
                try await withConnections(.v4, runtime) { client, server in
                    try await withFile(path, .readWrite, options: .create, runtime: runtime) { file in
                        try await file.truncate(to: 1 << 30)
                        let hasBegun = Flag()
                        let send = Task { try await file.send(to: client) { _ in hasBegun.set() } }
                        try await eventually { hasBegun.isSet }
                        send.cancel()
                        await expectError(.cancelled) { try await send.value }
                        var told: Int64 = 0
                        await expectError(.deadlineExceeded) {
                            try await file.send(to: client, deadline: .after(.milliseconds(20))) { told = $0 }
                        }
                        #expect(told < 1 << 30)
                        let last = Task { try await file.send(to: client) }
                        try await eventually { runtime.inFlightCount == 1 }
                        try await server.close()
                        await expectError(.connectionReset, or: .brokenPipe) { try await last.value }
                    }
                }
            }
        }
    }

    @Test(.notSimulated(.mounts), arguments: engines)
    func aFileOfTheKernelsIsSentToo(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            try await withConnections(.v4, runtime) { client, server in
                try await withFile("/proc/self/limits", runtime: runtime) { file in
                    let sent = try await file.send(to: client)
                    #expect(sent > 100)
                    try client.shutdownWrite()
                    #expect(try await server.readToEnd().count == Int(sent))
                }
            }
        }
    }

    // MARK: Pipes

    @Test(arguments: engines, [true, false])
    func aPipeCarriesWhatIsWrittenAndThenEnds(_ engine: EngineKind, _ inline: Bool) async throws {
        let content = KnownContent(seed: 3)
        try await withRuntime(engine, { $0.inlineAttempts = inline }) { runtime in
            let (reader, writer) = try await Pipe.make(capacity: 4096, runtime: runtime)
            let write = Task {
                try await writer.writeAll(content.bytes(count: 1_000_000, at: 0))
                try await writer.close()
            }
            let all = try await reader.readToEnd()
            #expect(all.count == 1_000_000 && content.mismatch(all, at: 0) == nil)
            try await write.value
            try await reader.close()
            await expectError(.fileClosed) { try await reader.read() }
        }
    }

    @Test(arguments: engines)
    func aWaitingPipeIsGivenUpOrClosed(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let (reader, writer) = try await Pipe.make(runtime: runtime)
            await expectError(.deadlineExceeded) { try await reader.read(deadline: .soon) }
            let read = Task { try await reader.read() }
            try await eventually { runtime.inFlightCount == 1 }
            read.cancel()
            await expectError(.cancelled) { try await read.value }
            try await writer.writeAll([1])
            #expect(try await reader.read() == [1])
            let last = Task { try await reader.read() }
            try await eventually { runtime.inFlightCount == 1 }
            try await reader.close()
            await expectError(.fileClosed) { try await last.value }
            await expectError(.brokenPipe) { try await writer.write([1]) }
            try await writer.close()
        }
    }

    @Test(arguments: engines)
    func aForgottenPipeIsClosedAndLogged(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            let reader = try await Pipe.make(runtime: runtime).reader
            #expect(try await reader.read() == [])
            try await reader.close()
        }
        #expect(lines.all.count == 1)
        #expect(lines.all.allSatisfy { $0.contains("pipe") && $0.contains("close()") }, "\(lines.all)")
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description), ["pipe", "file"])
    func standardStreamsAreReadAndWrittenAndStayOpen(_ name: String, _ kind: String) async {
        await #expect(processExitsWith: .success) { [name = name as String, kind = kind as String] in
            let engine = try #require(EngineKind(name))
            try await withScratch { scratch in
                var ends = try Ends(.pipe, false)
                if kind == "file" {
                    let path = try scratch.file("standard")
                    ends.closeReading()
                    ends.closeWriting()
                    ends = Ends(reading: try openDescriptor(path), writing: try openDescriptor(path, O_WRONLY))
                }
                // The original standard streams, which the test's output needs.
                let standard = (fcntl(0, F_DUPFD_CLOEXEC, 100), fcntl(1, F_DUPFD_CLOEXEC, 100))
                #expect(dup2(ends.reading, 0) == 0 && dup2(ends.writing, 1) == 1)
                ends.closeReading()
                ends.closeWriting()
                try await withRuntime(engine) { runtime in
                    let output = StreamWriter.standardOutput(runtime: runtime)
                    try await output.writeAll("first ")
                    try await output.writeAll("second")
                    try await output.close()
                    let input = StreamReader.standardInput(runtime: runtime)
                    let text = try await input.readExactly(count: 12)
                    #expect(String(decoding: text, as: UTF8.self) == "first second")
                    // Dropping the streams neither closes the descriptors nor logs anything.
                    #expect(isOpen(0) && isOpen(1))
                }
                dup2(standard.0, 0)
                dup2(standard.1, 1)
            }
        }
    }
}
