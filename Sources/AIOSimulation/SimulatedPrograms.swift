internal import CSimulation

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

extension Simulation.Host {
    /// The main function of a program, as C sees it. The Swift package manager names that of an executable target
    /// `NAME_main`, where a program links it:
    ///
    /// ```swift
    /// @_silgen_name("echo_server_main")
    /// func echoServer(_ count: Int32, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Int32
    /// ```
    public typealias ProgramMain = @convention(c) (Int32, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?) -> Int32

    /// Begins a whole program on the host, from its main function on. `CommandLine.arguments` are `arguments`,
    /// with the program's name first, up to the program's first suspension.
    ///
    /// An asynchronous main function goes on as jobs of the main actor, which the simulation's thread executes. A
    /// program that calls exit(3), or whose asynchronous main function ends, ends the process, simulation included. One
    /// that still runs when the simulation ends is left as it is; its memory is not freed.
    public func begin(_ main: @escaping ProgramMain, arguments: [String]) {
        let host = simulated
        host.driver.hasPrograms = true
        host.world.schedule(after: 0) {
            host.driver.with(host) { Self.call(main, arguments) }
            host.needsTurn = true
        }
    }

    private static func call(_ main: @escaping ProgramMain, _ arguments: [String]) {
        let before = CommandLine.arguments
        setProgramArguments(arguments)
        defer { setProgramArguments(before) }
        // Kept for as long as the process: a program may keep pointers to its arguments.
        let copies = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: arguments.count + 1)
        for (index, argument) in arguments.enumerated() { (copies + index).initialize(to: strdup(argument)) }
        (copies + arguments.count).initialize(to: nil)
        _ = ch_begin_main(main, Int32(arguments.count), copies)
    }
}

/// The setter of `CommandLine.arguments`. Swift 6 deprecates it, because other threads may read meanwhile; here one
/// thread alone looks at it. Where the runtime has dropped it, programs do not link.
@_silgen_name("$ss11CommandLineO9argumentsSaySSGvsZ")
private func setProgramArguments(_ arguments: __owned [String])
