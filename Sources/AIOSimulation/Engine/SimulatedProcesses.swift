internal import AIO
internal import AIOCore
internal import CKernel

/// Processes that others start, and signals.
extension SimulatedHost {
    /// Starts a process on the same machine. `body` returns its exit status.
    func startChild(
        _ numbers: [Int32], _ body: @escaping @Sendable () async throws -> Int32
    ) throws -> Int32 {
        driver.hasChildren = true
        let process = world.newProcessID()
        let executor = SimulatedExecutor(world)
        let kernel = try SimulatedKernel(process: "\(name)/\(process)", of: kernel, passing: numbers)
        let host = try driver.add(kernel, executor, runtime.configuration)
        host.parent = self
        host.child = self.kernel.children.start(process) { [unowned self, unowned host] signal in
            host.deliver(Signal(rawValue: signal), from: self.child?.process ?? 1)
        }
        self.kernel.note("starts process \(process)")
        // Its functions are called by tasks of the simulation alone.
        let own = Simulation.Host(host)
        host.body = driver.with(host) {
            Task(executorPreference: executor) { own.simulated.exit(with: await Result { try await body() }) }
        }
        return process
    }

    /// The process ends by itself.
    private func exit(with result: Result<Int32, any Error>) {
        switch result {
        case .success(let status): endChild(CK_CLD_EXITED, status & 0xff)
        case .failure(let error):
            if let errors = kernel.descriptors[2] as? StandardStream {
                errors.kernel.output += Array("\(name): \(error)\n".utf8)
            }
            endChild(CK_CLD_EXITED, 1)
        }
    }

    /// At the next event: the caller may be a task of the process.
    private func endChild(_ code: Int32, _ status: Int32) {
        world.schedule(after: 0) { [unowned self] in
            guard !kernel.isDead, let child else { return }
            kernel.note(code == CK_CLD_EXITED ? "exits with \(status)" : "killed by \(Signal(rawValue: status))")
            driver.with(self) {
                kernel.die()
                body?.cancel()
                for loop in loops { loop.beginShutdown(.cancel) {} }
            }
            needsTurn = true
            child.end(code: code, status: status)
            parent?.needsTurn = true
            parent?.deliver(.child, from: child.process)
        }
    }

    // MARK: Signals

    /// Sends a signal to the process, which gets it at the next event.
    func deliver(_ signal: Signal, from sender: Int32) {
        world.schedule(after: 0) { [unowned self] in
            guard !kernel.isOff else { return }
            kernel.note("receives \(signal)")
            guard signal == .kill || signal == .stop || !signals.receives(signal) else {
                driver.with(self) { signals.note(signal, fromProcess: sender, user: 0) }
                needsTurn = true
                return
            }
            guard Self.endsByDefault(signal) else { return }
            if child == nil { driver.kill(self, signal) } else { endChild(CK_CLD_KILLED, signal.rawValue) }
        }
    }

    /// Whether the default action of a signal ends the process (signal(7)). Processes do not stop here.
    private static func endsByDefault(_ signal: Signal) -> Bool {
        // SIGURG, SIGTTIN and SIGTTOU have no name in `Signal`.
        let others: Set<Int32> = [23, 21, 22]
        return ![.child, .continue, .stop, .terminalStop, .windowChange].contains(signal)
            && !others.contains(signal.rawValue)
    }
}

extension Result where Failure == any Error {
    /// What an asynchronous body returns or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
