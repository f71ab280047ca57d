internal import CKernel

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

/// The groups of one queue: which buffers are free.
struct BufferGroups: ~Copyable {
    private struct Group: BitwiseCopyable {
        var base: UnsafeMutableRawPointer
        var size: Int
        var count: Int
        var freeCount: Int
        /// A stack of those that are free; room for all.
        var free: UnsafeMutablePointer<UInt16>
        var isOut: UnsafeMutablePointer<Bool>
    }

    /// Made when first needed.
    private var groups: UnsafeMutablePointer<Group?>?

    /// Most groups at once.
    private static var limit: Int { 64 }

    deinit {
        guard let groups else { return }
        for index in 0..<Self.limit { if let group = groups[index] { Self.release(group) } }
        groups.deallocate()
    }

    private static func release(_ group: Group) {
        group.free.deallocate()
        group.isOut.deallocate()
    }

    /// A value, or a negative errno: EINVAL for what makes no sense, ENOENT for a group that is not there, ENOSPC for one
    /// too many, EBUSY.
    mutating func perform(_ call: BufferGroupCall) -> Int32 {
        switch call {
        case .register(let base, let size, let count): register(base, Int(size), Int(count))
        case .provide(let group, let buffer): provide(Int(group), Int(buffer))
        case .unregister(let group): unregister(Int(group))
        }
    }

    private mutating func register(_ base: UnsafeMutableRawPointer, _ size: Int, _ count: Int) -> Int32 {
        guard size > 0, size <= Int(Int32.max), count > 0 else { return -EINVAL }
        let groups = groups ?? makeGroups()
        for index in 0..<Self.limit where groups[index] == nil {
            let group = Group(
                base: base, size: size, count: count, freeCount: count, free: .allocate(capacity: count),
                isOut: .allocate(capacity: count))
            group.isOut.initialize(repeating: false, count: count)
            // The first one is on top.
            for buffer in 0..<count { (group.free + buffer).initialize(to: UInt16(count - 1 - buffer)) }
            groups[index] = group
            return Int32(index)
        }
        return -ENOSPC
    }

    private mutating func makeGroups() -> UnsafeMutablePointer<Group?> {
        let made = UnsafeMutablePointer<Group?>.allocate(capacity: Self.limit)
        made.initialize(repeating: nil, count: Self.limit)
        groups = made
        return made
    }

    private func find(_ index: Int) -> Group? {
        guard let groups, index < Self.limit else { return nil }
        return groups[index]
    }

    mutating func provide(_ index: Int, _ buffer: Int) -> Int32 {
        guard var group = find(index) else { return -ENOENT }
        guard buffer < group.count, group.isOut[buffer] else { return -EINVAL }
        group.isOut[buffer] = false
        group.free[group.freeCount] = UInt16(buffer)
        group.freeCount += 1
        groups?[index] = group
        return 0
    }

    private mutating func unregister(_ index: Int) -> Int32 {
        guard let group = find(index) else { return -ENOENT }
        guard group.freeCount == group.count else { return -EBUSY }
        Self.release(group)
        groups?[index] = nil
        return 0
    }

    enum Taking {
        case buffer(UInt16, UnsafeMutableRawPointer, count: Int)
        case noneFree
        case noSuchGroup
    }

    mutating func take(_ index: UInt16) -> Taking {
        guard var group = find(Int(index)) else { return .noSuchGroup }
        guard group.freeCount > 0 else { return .noneFree }
        group.freeCount -= 1
        let buffer = group.free[group.freeCount]
        group.isOut[Int(buffer)] = true
        groups?[Int(index)] = group
        return .buffer(buffer, group.base + Int(buffer) * group.size, count: group.size)
    }
}
