import AIOCore
import CKernel

/// An engine that only passes on what it is asked for. Its state is in the simulation, which the driver reaches from
/// outside.
struct SimulatedEngine: Engine, ~Copyable {
    private let simulation: Simulation

    init(_ simulation: Simulation) { self.simulation = simulation }

    deinit { simulation.engineIsGone = true }

    var descriptor: Int32 { simulation.engineDescriptor }
    mutating func stage(_ operation: Operation, _ token: Token) {
        simulation.engineStage(operation, token, isForWorker: false)
    }
    mutating func stageWithWorker(_ operation: Operation, _ token: Token) {
        simulation.engineStage(operation, token, isForWorker: true)
    }
    mutating func requestCancel(_ token: Token) { simulation.engineRequestCancel(token) }
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) {
        simulation.engineEnter(atLeast: count, until: deadline)
    }
    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        simulation.engineDrain(into: completions)
    }
    func wake() { simulation.isWoken = true }
    mutating func exportDescriptor() { simulation.isEngineExported = true }

    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { simulation.engineRegister(files.count, 1) }
    mutating func unregisterFiles() -> Int { simulation.engineRegister(0, 2) }
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { simulation.engineRegister(buffers.count, 3) }
    mutating func unregisterBuffers() -> Int { simulation.engineRegister(0, 4) }

    var lostErrno: Int32 { simulation.lostErrno }
    func isLost(_ token: Token) -> Bool { simulation.engineIsLost(token) }
    mutating func giveUp(_ token: Token) { simulation.engineGiveUp(token) }
}
