internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The contexts of the process, found by the address that the program has for them.
struct ContextTable: ~Copyable {
    private let lock = Lock()
    /// By id. Written once each, under the lock, before `count` grows past it.
    private let contexts: UnsafeMutablePointer<Context?>
    private let count = Atomic<UInt32>(0)
    /// Under the lock: those not in use, and the operations that those in use are for.
    private let free: UnsafeMutablePointer<Context?>
    private let depthSum: UnsafeMutablePointer<UInt64>
    /// The id of the context last found at an address with this hash: a guess that saves a look at the ring.
    private let guesses: UnsafeMutablePointer<Atomic<UInt32>>

    /// More than fit into the address space with two mappings each.
    private static var contextsMax: Int { 1 << 17 }
    private static var guessCount: Int { 256 }

    init?() {
        // Of the pages only those that are used cost memory.
        let size = Self.contextsMax * MemoryLayout<Context?>.stride
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let memory = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        contexts = memory.bindMemory(to: Context?.self, capacity: Self.contextsMax)
        free = .allocate(capacity: 1)
        free.initialize(to: nil)
        depthSum = .allocate(capacity: 1)
        depthSum.initialize(to: 0)
        guesses = .allocate(capacity: Self.guessCount)
        for index in 0..<Self.guessCount { (guesses + index).initialize(to: Atomic(0)) }
    }

    // MARK: Finding

    /// The context at `address`, with a reference that the caller gives up with `leave`. nil if there is none.
    borrowing func enter(_ address: UInt) -> Context? {
        let guess = guesses + Int((address >> 12) % UInt(Self.guessCount))
        if let context = enter(address, id: guess.pointee.load(ordering: .relaxed)) { return context }
        // The ring says which it is, if that is a ring. Its memory may be anything, and so may what it says.
        guard let header = EventRing.foreignHeader(at: address) else { return nil }
        let id = header.id
        guard id < count.load(ordering: .acquiring) else { return nil }
        noteMove(id, to: address)
        guard let context = enter(address, id: id) else { return nil }
        guess.pointee.store(id, ordering: .relaxed)
        return context
    }

    private borrowing func enter(_ address: UInt, id: UInt32) -> Context? {
        // Acquire: a context is written before it is counted.
        guard address != 0, id < count.load(ordering: .acquiring), let context = contexts[Int(id)] else { return nil }
        // Counted first, and looked at then: sequentially consistent with the destroyer, who does it the other way
        // round.
        context.references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        // As the kernel, which goes by the number in the ring: with another there it knows the context no more.
        if context.address.pointee.load(ordering: .sequentiallyConsistent) == address,
            context.state.pointee.ring?.header.id == id
        {
            return context
        }
        context.leave(1)
        return nil
    }

    /// The kernel follows a ring that the program moves with mremap(2); so a ring found elsewhere is looked at
    /// closely, and if it is the one, found there from now on.
    private borrowing func noteMove(_ id: UInt32, to address: UInt) {
        guard let context = contexts[Int(id)] else { return }
        let known = context.address.pointee.load(ordering: .sequentiallyConsistent)
        // Inside, so that the ring does not go meanwhile.
        guard known != address, enter(known, id: id) != nil else { return }
        defer { context.leave(1) }
        guard context.isRing(at: address) else { return }
        _ = context.address.pointee.compareExchange(
            expected: known, desired: address, ordering: .sequentiallyConsistent)
    }

    /// Whether `condition` holds for one of them, in use or not.
    borrowing func hasAny(where condition: (Context) -> Bool) -> Bool {
        for id in 0..<Int(count.load(ordering: .acquiring)) {
            if let context = contexts[id], condition(context) { return true }
        }
        return false
    }

    // MARK: Making and destroying

    /// Operations that all contexts together are for.
    borrowing func depths() -> UInt64 {
        lock.lock()
        defer { lock.unlock() }
        return depthSum.pointee
    }

    /// A context with a ring of `capacity` events. nil without memory for it.
    borrowing func make(capacity: UInt32, depth: UInt32) -> Context? {
        lock.lock()
        defer { lock.unlock() }
        guard let context = takeFree() else { return nil }
        guard let ring = EventRing(id: context.state.pointee.id, capacity: capacity) else {
            putFree(context)
            return nil
        }
        depthSum.pointee += UInt64(depth)
        context.state.pointee.depth = depth
        context.state.pointee.ring = ring
        context.references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        context.address.pointee.store(ring.programAddress, ordering: .sequentiallyConsistent)
        return context
    }

    /// The end of a context whose address was taken away and that nobody is in any more.
    borrowing func recycle(_ context: Context, programAddress: UInt) {
        context.state.pointee.waiters.reset()
        context.state.pointee.lives.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        context.state.pointee.ring?.unmap(programAddress: programAddress)
        lock.lock()
        depthSum.pointee -= UInt64(context.state.pointee.depth)
        context.state.pointee.ring = nil
        context.state.pointee.native = nil
        context.state.pointee.mode = .undecided
        context.state.pointee.directNumber = -1
        // Relative, like all changes of it: a lookup that comes too late may just be counting itself in and out.
        context.references.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        putFree(context)
        lock.unlock()
    }

    /// Under the lock.
    private borrowing func takeFree() -> Context? {
        if let context = free.pointee {
            free.pointee = context.state.pointee.nextFree
            return context
        }
        let id = count.load(ordering: .relaxed)
        guard id < Self.contextsMax, let context = Context.make(id: id) else { return nil }
        contexts[Int(id)] = context
        count.store(id + 1, ordering: .releasing)
        return context
    }

    /// Under the lock.
    private borrowing func putFree(_ context: Context) {
        context.state.pointee.nextFree = free.pointee
        free.pointee = context
    }
}
