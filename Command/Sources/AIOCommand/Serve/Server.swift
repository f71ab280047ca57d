import AIO

/// Accepts connections and distributes them over the loops until it is stopped.
struct Server {
    let service: Service
    let listener: Listener
    private let states: [LoopState]
    private let slots: ConnectionSlots

    init(_ service: Service, _ listener: Listener) {
        self.service = service
        self.listener = listener
        states = service.runtime.loops.map { LoopState($0, headSizeMax: service.limits.headSize) }
        slots = ConnectionSlots(limit: service.limits.connections)
    }

    /// Serves until a signal arrives or accepting fails, and stops.
    func run(until signals: Signals) async throws {
        let loop = service.runtime.loops[0]
        let accepting = Task(executorPreference: loop) { try await accept() }
        let watcher = Task(executorPreference: loop) { await Self.wait(for: signals) }
        let stopper = Task(executorPreference: loop) {
            await watcher.value
            await stop()
        }
        let result = await accepting.result
        if case .failure = result { watcher.cancel() }
        await stopper.value
        await service.log?.finish(until: service.stopDeadline)
        try result.get()
    }

    /// Waits for the first signal, then restores the default action: a second signal ends the process at once.
    private static func wait(for signals: Signals) async {
        _ = try? await signals.next()
        try? await signals.close()
    }

    /// Accepts until the server is stopped.
    private func accept() async throws(IOError) {
        let connections = listener.connections.makeAsyncIterator()
        var turn = 0
        while await slots.acquire() {
            let next: Connection?
            do throws(IOError) {
                var connections = connections
                next = try await connections.next()
            } catch {
                slots.release()
                throw error
            }
            guard let connection = next else { return slots.release() }
            serve(connection, on: states[turn % states.count])
            turn &+= 1
        }
    }

    private func serve(_ connection: Connection, on state: LoopState) {
        let (service, slots) = (service, slots)
        Task(executorPreference: state.loop) {
            await ServedConnection(service, state, connection).run()
            slots.release()
        }
    }

    /// Stops accepting, closes idle connections, and waits for the requests in progress. After `shutdownTime` it closes
    /// all connections.
    func stop() async {
        service.beginStop()
        slots.stop()
        try? await listener.close()
        await endConnections(onlyIdle: true)
        await waitForConnections(until: service.stopDeadline)
        if slots.count > 0 {
            await endConnections(onlyIdle: false)
            // The remaining connections wait for a file that does not respond.
            await waitForConnections(until: .after(.seconds(1)))
        }
        for state in states { await Task(executorPreference: state.loop) { state.dropKept() }.value }
    }

    private func endConnections(onlyIdle: Bool) async {
        for state in states {
            await Task(executorPreference: state.loop) { await state.endConnections(onlyIdle: onlyIdle) }.value
        }
    }

    private func waitForConnections(until deadline: Deadline) async {
        while slots.count > 0, Deadline.now < deadline {
            try? await service.runtime.sleep(until: .after(.milliseconds(5)))
        }
    }
}
