internal import AIO
internal import AIOCore
internal import CSimulation

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The simulated host whose code runs on the calling thread; nil on every thread that is not a simulation's.
enum CurrentHost {
    /// The thread's pointer is the address of a host, which the simulation keeps alive while it is set.
    static var value: SimulatedHost? { ch_current_host().map(host) }

    private static func host(_ pointer: UnsafeMutableRawPointer) -> SimulatedHost {
        Unmanaged<SimulatedHost>.fromOpaque(pointer).takeUnretainedValue()
    }

    static func set(_ host: SimulatedHost?) {
        ch_set_current_host(host.map { Unmanaged.passUnretained($0).toOpaque() })
    }

    /// Has system calls, clocks, random bytes, `IORuntime.shared` and Swift's global executor be those of the current
    /// host. Once in a process; threads that run no simulation notice nothing.
    static let install: Void = {
        Kernel.install(
            KernelStandIn(
                answer: { value?.answer($0) },
                now: {
                    value?.driver.taskNotes.noteName()
                    return value?.world.now
                },
                // Its engine makes system calls for all operations.
                takes: { _ in false }))
        RuntimeStandIn.install(
            RuntimeStandIn(
                runtime: {
                    value?.driver.taskNotes.noteName()
                    return value?.runtime
                },
                addresses: { name in value.map { addresses(of: name, $0.world.network) } },
                loop: { settings, configuration in
                    value.map { host in
                        Result { () throws(EngineFailure) in try host.makeLoop(settings, configuration) }
                    }
                },
                work: { settings in
                    value.map { host in Result { () throws(EngineFailure) in try host.makeWork(settings) } }
                },
                job: { job in
                    guard let value else { return false }
                    value.executor.add(job)
                    return true
                }))
        SignalTable.install { value?.signals }
        ch_set_process(
            ch_process(
                time: { pointer, clock in pointer.map { time(of: host($0).world, clock) } ?? 0 },
                random: { pointer, bytes, count in
                    guard let pointer, let bytes else { return }
                    fill(UnsafeMutableRawBufferPointer(start: bytes, count: count), from: host(pointer).world)
                },
                call: { pointer, number, arguments in
                    guard let pointer, let arguments else { return -Int(ENOSYS) }
                    let call = SystemCall(
                        number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
                    return host(pointer).call(call)
                }))
        ConcurrencyHooks.install()
    }()

    private static func addresses(of name: String, _ network: SimulatedNetwork) -> RuntimeStandIn.Addresses {
        guard let found = network.resolve(name) else { return .failed(EAI_NONAME) }
        return .found(found.map { $0.isV4 ? .v4($0.v4, port: 0) : .v6($0.v6, port: 0, scope: 0) })
    }

    private static func time(of world: World, _ clock: clockid_t) -> Nanoseconds {
        clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? world.now &+ world.wallClockOffset : world.now
    }

    private static func fill(_ bytes: UnsafeMutableRawBufferPointer, from world: World) {
        for index in bytes.indices { bytes[index] = UInt8(truncatingIfNeeded: world.random.next() >> 32) }
    }
}
