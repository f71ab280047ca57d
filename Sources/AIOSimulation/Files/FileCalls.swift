internal import AIOCore

extension SimulatedKernel {
    /// Answers calls on files and names; nil for others.
    func answerFileCall(_ call: SystemCall) -> Int? { nil }
}
