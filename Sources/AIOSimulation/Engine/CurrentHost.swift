internal import AIO
internal import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The simulated host whose code runs on the calling thread; nil on every thread that is not a simulation's.
enum CurrentHost {
    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        precondition(pthread_key_create(&key, nil) == 0, "no thread-specific data is left")
        return key
    }()

    /// The thread's value is the address of a host, which the simulation keeps alive while it is set.
    static var value: SimulatedHost? {
        pthread_getspecific(key).map { Unmanaged<SimulatedHost>.fromOpaque($0).takeUnretainedValue() }
    }

    static func set(_ host: SimulatedHost?) {
        pthread_setspecific(key, host.map { UnsafeRawPointer(Unmanaged.passUnretained($0).toOpaque()) })
    }

    /// Has system calls, the clock, `IORuntime.shared` and Swift's global executor be those of the current host. Once
    /// in a process; threads that run no simulation notice nothing.
    static let install: Void = {
        Kernel.install(
            KernelStandIn(
                answer: { value?.kernel.answer($0) },
                now: { value?.world.now }))
        RuntimeStandIn.install(
            RuntimeStandIn(
                runtime: { value?.runtime },
                addresses: { _ in value == nil ? nil : .failed(EAI_NONAME) }))
        ConcurrencyHooks.install()
    }()
}
