import AIO
import Glibc
import Testing

/// SIGPIPE ends a program that writes to a pipe without readers, unless the library prevents the signal.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct BrokenPipeTests {
    /// Both in the inline attempt and on a loop.
    @Test(.notSimulated(.process), arguments: engines.map(\.description), [true, false])
    func aWriteToAFileThatIsAPipeBringsAnErrorAndNoSignal(_ name: String, _ inline: Bool) async {
        await #expect(processExitsWith: .success) { [name = name as String, inline = inline as Bool] in
            try await withSignalsTaken(name, inline) { runtime in
                try await withScratch { scratch in
                    try #require(mkfifo(scratch.path("fifo"), 0o600) == 0)
                    let reading = try openDescriptor(scratch.path("fifo"), O_RDONLY | O_NONBLOCK)
                    let file = try await File.open(Path(scratch.path("fifo")), .write, runtime: runtime)
                    #expect(try await file.write([1, 2], at: 0) == 2)
                    closeDescriptor(reading)
                    for _ in 0..<3 { await expectError(.brokenPipe) { try await file.write([1], at: 0) } }
                    try await file.close()
                }
            }
        }
    }

    @Test(.notSimulated(.process), arguments: engines.map(\.description), [true, false])
    func aWriterWithoutAReaderGetsAnErrorAndNoSignal(_ name: String, _ inline: Bool) async {
        await #expect(processExitsWith: .success) { [name = name as String, inline = inline as Bool] in
            try await withSignalsTaken(name, inline) { runtime in
                let pipe = try await Pipe.make(runtime: runtime)
                #expect(try await pipe.writer.write([1, 2]) == 2)
                try await pipe.reader.close()
                for _ in 0..<3 { await expectError(.brokenPipe) { try await pipe.writer.write([1]) } }
                // Loops block all signals.
                let onLoop = Task(executorPreference: runtime.loops[0]) { try await pipe.writer.write([1]) }
                await expectError(.brokenPipe) { try await onLoop.value }
                try await pipe.writer.close()
            }
        }
    }
}

/// Runs `body` on a thread that accepts signals and has SIGPIPE set to its default action. Afterwards no signal may be
/// pending.
private func withSignalsTaken(
    _ engine: String, _ inline: Bool, _ body: @Sendable (IORuntime) async throws -> Void
) async throws {
    Glibc.signal(SIGPIPE, SIG_DFL)
    let engine = try #require(EngineKind(engine))
    try await BlockingThread.with {
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        try await withRuntime(engine, { $0.inlineAttempts = inline }) { try await body($0) }
        var pending = sigset_t()
        sigpending(&pending)
        #expect(sigismember(&pending, SIGPIPE) == 0, "a signal was put off")
    }
}
