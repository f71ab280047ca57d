/// What is done about groups of buffers: registered memory out of which a receive takes a buffer when there is data, so
/// that operations that wait hold none. Carried out at once, by the queue itself.
public enum BufferGroupCall: BitwiseCopyable, @unchecked Sendable {
    // @unchecked: the memory is the caller's until a receive takes a buffer of it, and again from its completion on.

    /// Registers `count` buffers (1 to 65,535) of `size` bytes each, one after the other from `base` on. Completes with the
    /// group's number. The memory stays the caller's, and must stay until it is unregistered.
    case register(base: UnsafeMutableRawPointer, size: UInt32, count: UInt16)
    /// Gives back a buffer that a completion named.
    case provide(group: UInt16, buffer: UInt16)
    /// EBUSY while a buffer is out.
    case unregister(group: UInt16)
}
