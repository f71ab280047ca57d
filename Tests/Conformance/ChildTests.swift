import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// Waits for children and signals by raw operations.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct ChildTests {
    @Test(arguments: engines)
    func theEndOfAChildIsToldWithItsExitCode(_ engine: EngineKind) async throws {
        try await withRuntime(engine) { runtime in
            let child = try Child("read line; exit 7")
            let wait = Task { try await runtime.perform(child.wait) }
            try await eventually { runtime.inFlightCount == 1 }
            child.end()
            #expect(try await wait.value == 0)
            #expect(child.status.pointee.process == child.process)
            #expect(child.status.pointee.code == CK_CLD_EXITED)
            #expect(child.status.pointee.status == 7)
            await Performer.runtime(runtime).expect(child.wait, failsWith: ECHILD)
        }
    }

    @Test(arguments: ways)
    func aChildThatGoesOnIsWaitedForNoLongerThanWanted(_ way: Way) async throws {
        let child = try Child("read line; kill -9 $$")
        try await way.run { performer in
            _ = await expectError(.deadlineExceeded) { try await performer.perform(child.wait, deadline: .soon) }
        }
        child.end()
        try await way.run { performer in
            try await performer.expect(child.wait, completesWith: 0)
            #expect(child.status.pointee.code == CK_CLD_KILLED)
            #expect(child.status.pointee.status == SIGKILL)
        }
    }

    /// On a separate thread, which blocks the signal and receives it.
    @Test(arguments: engines)
    func aSignalIsReadFromItsDescriptor(_ engine: EngineKind) async throws {
        try await withQueue(engine) { queue in
            var mask = sigset_t()
            sigemptyset(&mask)
            sigaddset(&mask, SIGUSR2)
            pthread_sigmask(SIG_BLOCK, &mask, nil)
            let descriptor = try signalDescriptor(SIGUSR2)
            defer { closeDescriptor(descriptor) }
            for isWaiting in [false, true] {
                let memory = Memory(count: 128)
                if !isWaiting { pthread_kill(pthread_self(), SIGUSR2) }
                try queue.prepare(.read(memory.transfer(descriptor)))
                try queue.submit()
                if isWaiting { pthread_kill(pthread_self(), SIGUSR2) }
                try queue.waitPatiently()
                #expect(queue.completions().map(\.result) == [128])
                #expect(memory.base.load(as: UInt32.self) == UInt32(SIGUSR2))
            }
        }
    }
}
