/// Takes the place of Swift's continuations: the task's thread waits until it is resumed.
///
/// So an async function never suspends in a scenario, and `runAsync` carries it out on the thread that calls it.
public struct UnsafeContinuation<Value, Failure: Error>: @unchecked Sendable {
    // @unchecked: one thread runs at a time.
    fileprivate let state: State

    fileprivate final class State {
        var value: Value?
        /// 1 once it is resumed.
        let word = Place<UInt32>(0)
    }

    public func resume(returning value: Value) {
        let execution = Execution.current.unsafelyUnwrapped
        let old = state.word.value.exchange(1, ordering: .sequentiallyConsistent)
        execution.check(old == 0, "a continuation is resumed twice")
        state.value = value
        Kernel.futexWake(state.word.address, 1)
    }

    public func resume() where Value == Void { resume(returning: ()) }
}

nonisolated(nonsending) func withUnsafeContinuation<Value>(
    _ body: (UnsafeContinuation<Value, Never>) -> Void
) async -> Value {
    let continuation = UnsafeContinuation<Value, Never>(state: .init())
    body(continuation)
    while continuation.state.word.value.load(ordering: .sequentiallyConsistent) == 0 {
        _ = Kernel.futexWait(continuation.state.word.address, while: 0, until: .never)
    }
    return continuation.state.value.unsafelyUnwrapped
}
