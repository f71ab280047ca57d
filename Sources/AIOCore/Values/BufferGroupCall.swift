/// Operations on buffer groups: registered memory from which a receive takes a buffer once data has arrived, so that an
/// idle receive occupies no buffer. The queue executes them immediately.
public enum BufferGroupCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the memory belongs to the caller, except for a buffer between the receive that takes it and that
    // receive's completion.

    /// Registers `count` buffers (1 to 65,535) of `size` bytes each, contiguous from `base`. Completes with the group's
    /// number. The caller keeps ownership of the memory, which must stay allocated until the group is unregistered.
    case register(base: UnsafeMutableRawPointer, size: UInt32, count: UInt16)
    /// Returns to the group a buffer that a completion named.
    case provide(group: UInt16, buffer: UInt16)
    /// Unregisters a group. Completes with EBUSY while a buffer is out.
    case unregister(group: UInt16)
}
