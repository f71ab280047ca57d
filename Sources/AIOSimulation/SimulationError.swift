/// Why a simulation ended without a result of its body.
public struct SimulationError: Error, Sendable, Hashable, CustomStringConvertible {
    public enum Reason: Sendable, Hashable {
        /// Nothing is left that could happen: the body waits for something that no event will bring.
        case deadlock
        /// A thread that is not the simulation's resumed one of its tasks, or a task of the simulation ran elsewhere.
        case foreignThread
        /// More steps than `SimulationOptions.stepLimit`.
        case stepLimit
        /// The power went off (`SimulationOptions.crash`, `Simulation.crash`).
        case crashed
    }

    public let reason: Reason
    public let seed: UInt64
    /// What the tasks were waiting for, or what was done on the wrong thread.
    public let details: String

    public var description: String {
        let what =
            switch reason {
            case .deadlock: "nothing is left that could happen, and the body has not returned"
            case .foreignThread: "a task left the simulation's thread"
            case .crashed: "the power went off"
            case .stepLimit: "the step limit is reached; is there an endless loop?"
            }
        return "simulation of seed \(seed): \(what)\(details.isEmpty ? "" : ": \(details)")"
    }
}
