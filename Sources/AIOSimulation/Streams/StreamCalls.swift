internal import AIOCore

extension SimulatedKernel {
    /// Answers calls on sockets, pipes and other streams; nil for others.
    func answerStreamCall(_ call: SystemCall) -> Int? { nil }
}
