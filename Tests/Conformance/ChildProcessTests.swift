import AIO
import Glibc
import Testing
import UnitSupport

/// Children that several tasks wait for, that get signals, or that are forgotten.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ChildProcessTests {
    @Test(arguments: engines)
    func theExitCodeIsToldToAllWhoWaitAndWhoAskLater(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let shell = try Child("read line; exit 7")
            let child = try ChildProcess(adopting: shell.process, runtime: runtime)
            #expect(child.processID == shell.process)
            let waits = (0..<4).map { _ in Task { try await child.wait() } }
            try await eventually { runtime.inFlightCount == 4 }
            shell.end()
            for wait in waits { #expect(try await wait.value == .exited(7)) }
            #expect(try await child.wait() == .exited(7))
            #expect(waitpid(shell.process, nil, WNOHANG) == -1 && errno == ECHILD, "nothing is left of it")
        }
    }

    @Test(arguments: engines)
    func aSignalThatEndsAChildIsTold(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            for signal in [Signal.terminate, .kill, .user1] {
                let shell = try Child("read line")
                let child = try ChildProcess(adopting: shell.process, runtime: runtime)
                let wait = Task { try await child.wait() }
                try await eventually { runtime.inFlightCount == 1 }
                try child.signal(signal)
                #expect(try await wait.value == .killed(by: signal, dumpedCore: false))
            }
        }
    }

    @Test(arguments: engines)
    func aSignalAfterTheEndReachesNobody(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let shell = try Child("exit 0")
            let child = try ChildProcess(adopting: shell.process, runtime: runtime)
            #expect(try await child.wait() == .exited(0))
            let error = await expectError(.noSuchProcess) { try child.signal(.kill) }
            #expect(error?.errno?.rawValue == ESRCH)
            let other = try Child("read line")
            let living = try ChildProcess(adopting: other.process, runtime: runtime)
            await expectError(.invalidArgument) { try living.signal(Signal(rawValue: 1000)) }
            other.end()
            #expect(try await living.wait() == .exited(0))
        }
    }

    @Test(arguments: engines)
    func aWaitThatIsGivenUpCanBeBegunAgain(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let shell = try Child("read line; exit 3")
            let child = try ChildProcess(adopting: shell.process, runtime: runtime)
            await expectError(.deadlineExceeded) { try await child.wait(deadline: .soon) }
            let wait = Task { try await child.wait() }
            try await eventually { runtime.inFlightCount == 1 }
            wait.cancel()
            await expectError(.cancelled) { try await wait.value }
            shell.end()
            #expect(try await child.wait() == .exited(3))
        }
    }

    /// Waits that begin while another wait reaps the child return the outcome, too.
    @Test(arguments: engines)
    func waitsThatRaceWithTheEndAllGetTheOutcome(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            for round in 0..<20 {
                let shell = try Child("exit \(round)")
                let child = try ChildProcess(adopting: shell.process, runtime: runtime)
                let waits = (0..<8).map { _ in Task { try await child.wait() } }
                for wait in waits { #expect(try await wait.value == .exited(Int32(round))) }
            }
        }
    }

    @Test(arguments: engines)
    func whatIsNoChildIsRefused(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            await expectError(.noSuchProcess) { try ChildProcess(adopting: getpid(), runtime: runtime) }
            await expectError(.invalidArgument) { try ChildProcess(adopting: -1, runtime: runtime) }
            let shell = try Child("exit 0")
            #expect(waitpid(shell.process, nil, 0) == shell.process)
            await expectError(.noSuchProcess) { try ChildProcess(adopting: shell.process, runtime: runtime) }
        }
    }

    @Test(arguments: engines)
    func aForgottenChildIsLogged(_ engine: EngineKind) async throws {
        let lines = LogLines()
        try await withRuntime(engine, { $0.log = { lines.append($0) } }) { runtime in
            let shell = try Child("exit 0")
            _ = try ChildProcess(adopting: shell.process, runtime: runtime)
            #expect(lines.all.count == 1 && lines.all[0].contains("child process \(shell.process)"), "\(lines.all)")
            #expect(waitpid(shell.process, nil, 0) == shell.process)
        }
    }
}
