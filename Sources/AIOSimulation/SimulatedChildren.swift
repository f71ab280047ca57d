public import AIO
internal import AIOCore
internal import CKernel

extension Simulation {
    /// Starts a process of its own on the current host, whose program is `body`, as posix_spawn(3) would start one from
    /// a file. Returns its process ID, for `ChildProcess.init(adopting:)`.
    ///
    /// The child has its own runtime (``IORuntime/shared``), its own descriptors, and the files, the addresses and the
    /// standard streams of its parent. What `body` returns is its exit status; if it throws, the error goes to standard
    /// error, and the status is 1. With the end of the process its files are closed, and tasks that it leaves are
    /// cancelled, and can do nothing any more. A signal that it does not receive by `Signals` has its default action:
    /// SIGKILL, SIGTERM and most others end it.
    ///
    /// ```swift
    /// let (reader, writer) = try await Pipe.make()
    /// let number = writer.descriptor.number
    /// let child = try ChildProcess(adopting: simulation.startChild(passing: [number]) {
    ///     let output = StreamWriter(adopting: number)
    ///     try await output.writeAll(Array("hello".utf8))
    ///     return 0
    /// })
    /// try await writer.close()
    /// ```
    ///
    /// A `body` must not call exit(3), which would end the test. Simulated faults are for the parent alone.
    ///
    /// - Parameter descriptors: the numbers of the descriptors that the child gets, under the same numbers.
    /// - Throws: ``IOError/Code/badDescriptor`` if one of them is not open.
    public func startChild(
        passing descriptors: [Int32] = [], _ body: @escaping @Sendable () async throws -> Int32
    ) throws -> Int32 {
        let parent = CurrentHost.value ?? driver.hosts[0]
        do { return try parent.startChild(descriptors, body) } catch is CallError {
            throw IOError(.badDescriptor, "startChild", errno: Errno(rawValue: EBADF))
        }
    }

    /// Sends a signal to the current process (``Host/raise(_:)``).
    public func raise(_ signal: Signal) { Host(CurrentHost.value ?? driver.hosts[0]).raise(signal) }
}

extension Simulation.Host {
    /// Sends a signal to the host's process, as kill(2) does: `Signals` receive it. One that nothing receives has its
    /// default action: SIGTERM and most others end the process, and with it the simulation
    /// (``SimulationError/Reason/killed``). To a child, signals are sent by `ChildProcess.signal`.
    public func raise(_ signal: Signal) { simulated.deliver(signal, from: 1) }
}
