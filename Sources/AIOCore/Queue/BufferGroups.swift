internal import CKernel

/// The buffer groups of one queue, and which of their buffers are free.
struct BufferGroups: ~Copyable {
    private struct Group: BitwiseCopyable {
        var base: UnsafeMutableRawPointer
        var size: Int
        var count: Int
        var freeCount: Int
        /// A stack of the free buffers, with room for all.
        var free: UnsafeMutablePointer<UInt16>
        var isOut: UnsafeMutablePointer<Bool>
    }

    /// Allocated on first use.
    private var groups: UnsafeMutablePointer<Group?>?

    /// Maximum number of groups at a time.
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

    /// Returns a value or a negative errno: EINVAL for invalid arguments, ENOENT for an unknown group, ENOSPC beyond
    /// the limit of groups, EBUSY.
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
            // Buffer 0 is on top of the stack.
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
        assert(group.freeCount < group.count, "a buffer is out though all are free")
        group.isOut[buffer] = false
        group.free[group.freeCount] = UInt16(buffer)
        group.freeCount += 1
        groups?[index] = group
        return 0
    }

    private mutating func unregister(_ index: Int) -> Int32 {
        guard let group = find(index) else { return -ENOENT }
        guard group.freeCount == group.count else { return -EBUSY }
        assert((0..<group.count).allSatisfy { !group.isOut[$0] }, "a buffer is out though all are free")
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
        assert(!group.isOut[Int(buffer)], "a free buffer is out")
        group.isOut[Int(buffer)] = true
        groups?[Int(index)] = group
        return .buffer(buffer, group.base + Int(buffer) * group.size, count: group.size)
    }
}
