/// Identifies one accepted operation until its last completion: a slot of the in-flight table and that slot's
/// generation. A stale token matches no operation.
public struct Token: BitwiseCopyable, Hashable, Sendable {
    /// The generation in the upper half, the slot in the lower.
    public let rawValue: UInt64

    /// From the number of another token; any other number names no operation.
    @inline(__always)
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inline(__always)
    init(slot: UInt32, generation: UInt32) { rawValue = UInt64(generation) << 32 | UInt64(slot) }

    @inline(__always)
    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    @inline(__always)
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// The outcome of an operation.
public struct Completion: BitwiseCopyable, Sendable {
    /// The operation that completed.
    public var token: Token
    /// The operation's value (a byte count, a descriptor, poll events), or a negative errno.
    public var result: Int32
    /// How the operation completed.
    public var flags: CompletionFlags

    @inline(__always)
    package init(_ token: Token, result: Int32, flags: CompletionFlags = []) {
        self.token = token
        self.result = result
        self.flags = flags
    }
}

/// How an operation completed. The upper 16 bits hold ``buffer``.
public struct CompletionFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The operation was cancelled because its deadline passed.
    public static let deadlinePassed = CompletionFlags(rawValue: 1)
    /// A worker thread executed the operation.
    public static let usedWorker = CompletionFlags(rawValue: 2)
    /// Not the last completion: the operation is repeating and continues (see ``Operation``).
    public static let more = CompletionFlags(rawValue: 4)
    /// The received data is in a buffer of the operation's group, named by ``buffer``.
    public static let hasBuffer = CompletionFlags(rawValue: 8)

    /// The index of the buffer that holds the received data; nil without one. It belongs to the caller until
    /// ``BufferGroupCall/provide(group:buffer:)`` returns it.
    public var buffer: UInt16? { contains(.hasBuffer) ? UInt16(rawValue >> 16) : nil }

    mutating func setBuffer(_ buffer: UInt16) {
        self = CompletionFlags(rawValue: rawValue & 0xffff | Self.hasBuffer.rawValue | UInt32(buffer) << 16)
    }
}

/// A completion together with the context of its operation.
public struct Delivery: BitwiseCopyable, Sendable {
    /// The completion.
    public var completion: Completion
    /// The value that the caller passed to ``EngineQueue/prepare(_:context:deadline:)``.
    public var context: UInt
}
