/// Why a simulation ended without a result of its body.
public struct SimulationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of ends.
    public enum Reason: Sendable, Hashable {
        /// Nothing is left that could happen: the body waits for something that no event will bring.
        case deadlock
        /// A thread that is not the simulation's resumed one of its tasks, or a task of the simulation ran elsewhere.
        case foreignThread
        /// More steps than `SimulationOptions.stepLimit`.
        case stepLimit
        /// The power went off (`SimulationOptions.crash`, `Simulation.crash`).
        case crashed
        /// A signal that nothing receives ended a process (``Simulation/Host/raise(_:)``); not so a child.
        case killed
        /// A run could not be repeated: the body depends on something outside of the simulation (``shrink``).
        case unrepeatable
    }

    /// The kind of end.
    public let reason: Reason
    /// The seed of the run, which repeats it.
    public let seed: UInt64
    /// What the tasks were waiting for, or which task left the simulation and what it did last: the task's name
    /// (`Task.name`), if it has one and has used ``IORuntime/shared``, made a system call or read the clock.
    public let details: String

    /// One line, with the seed.
    public var description: String {
        let what =
            switch reason {
            case .deadlock: "nothing is left that could happen, and the body has not returned"
            case .foreignThread: "a task left the simulation's thread"
            case .crashed: "the power went off"
            case .killed: "a signal that nothing receives ended a process"
            case .unrepeatable: "the run cannot be repeated; does the body keep something from one run to the next?"
            case .stepLimit: "the step limit is reached; is there an endless loop?"
            }
        return "simulation of seed \(seed): \(what)\(details.isEmpty ? "" : ": \(details)")"
    }
}
