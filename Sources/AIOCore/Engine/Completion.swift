/// Names one accepted operation until its completion: a slot of the in-flight table and that slot's generation.
public struct Token: BitwiseCopyable, Hashable, Sendable {
    public let rawValue: UInt64

    @inline(__always)
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    @inline(__always)
    init(slot: UInt32, generation: UInt32) { rawValue = UInt64(generation) << 32 | UInt64(slot) }

    @inline(__always)
    var slot: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    @inline(__always)
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// What an engine returns for an operation.
public struct Completion: BitwiseCopyable, Sendable {
    public var token: Token
    /// The operation's value (bytes, a descriptor, events), or a negative errno.
    public var result: Int32
    public var flags: CompletionFlags

    @inline(__always)
    init(_ token: Token, result: Int32, flags: CompletionFlags = []) {
        self.token = token
        self.result = result
        self.flags = flags
    }
}

public struct CompletionFlags: OptionSet, BitwiseCopyable, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The operation was cancelled because its deadline passed.
    public static let deadlinePassed = CompletionFlags(rawValue: 1)
    /// The engine handed the operation to a worker thread.
    public static let usedWorker = CompletionFlags(rawValue: 2)
    /// The operation goes on, and completes again: see `Operation`.
    public static let more = CompletionFlags(rawValue: 4)
    /// What was received is in a buffer of the operation's group: `buffer`.
    public static let hasBuffer = CompletionFlags(rawValue: 8)

    /// The buffer that holds what was received. It is its taker's until `BufferGroupCall.provide` gives it back.
    public var buffer: UInt16? { contains(.hasBuffer) ? UInt16(rawValue >> 16) : nil }

    mutating func setBuffer(_ buffer: UInt16) {
        self = CompletionFlags(rawValue: rawValue & 0xffff | Self.hasBuffer.rawValue | UInt32(buffer) << 16)
    }
}

/// A completion on its way to whoever waits for it.
public struct Delivery: BitwiseCopyable, Sendable {
    public var completion: Completion
    /// What the caller gave when it prepared the operation.
    public var context: UInt
}
