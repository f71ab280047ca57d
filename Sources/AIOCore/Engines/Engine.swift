internal import CKernel

/// A way of carrying operations out.
///
/// One thread at a time drives an engine; only `wake` may be called from any. An engine takes plain values and returns plain
/// values. `EngineQueue` decides what a result means for the operation; an engine itself tries again only what it has polled
/// for, and hands what would block to a worker. It accepts at most as many operations as it was made for, which
/// `EngineQueue` counts, so that staging finds room.
protocol Engine: ~Copyable {
    /// Readable (as poll(2) has it) when there is something to drain, once `exportDescriptor` was called.
    var descriptor: Int32 { get }

    /// Takes one operation. It may be carried out on the spot if that cannot block.
    mutating func stage(_ operation: Operation, _ token: Token)

    /// Asks for an end to an operation that was staged. Its completion tells what came of it.
    mutating func requestCancel(_ token: Token)

    /// Hands over all that is staged, then waits until `count` completions can be drained, `wake` was called, or
    /// the deadline passed. With `count` 0 it does not wait. May return early.
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds)

    /// Moves completions out, oldest first, as many as fit.
    mutating func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int

    /// Makes the present `enter` return, or the next one unless a drain comes first. From any thread.
    func wake()

    /// From now on `descriptor` is kept readable while there is something to drain.
    mutating func exportDescriptor()

    /// Registers files, for `Descriptor.registered`. Returns 0 or a negative errno.
    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int
    mutating func unregisterFiles() -> Int

    /// Registers memory, for `Transfer.bufferIndex`. Returns 0 or a negative errno.
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int
    mutating func unregisterBuffers() -> Int
}
