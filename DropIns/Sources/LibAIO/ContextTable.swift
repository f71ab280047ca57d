internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// The contexts of the process, found by the program's address of them.
struct ContextTable: ~Copyable {
    private let lock = Lock()
    /// The addresses of states, indexed by the number in the ring. The kernel reuses its numbers.
    private let contexts: UnsafeMutablePointer<Atomic<UInt>>
    /// Under the lock: free lists of contexts with and without the kernel's, and the operations that the latter are
    /// for.
    private let free: UnsafeMutablePointer<Context?>
    private let depthSum: UnsafeMutablePointer<UInt64>
    private let ownCount: UnsafeMutablePointer<UInt32>
    /// Above all numbers that were ever used.
    private let idEnd = Atomic<UInt32>(0)
    /// The number of the context last found at an address with this hash. A guess that saves a look at the ring.
    private let guesses: UnsafeMutablePointer<Atomic<UInt32>>

    /// More than fit into the address space with two mappings each. The upper half is for contexts without the
    /// kernel's.
    private static var contextsMax: UInt32 { 1 << 17 }
    private static var ownFirst: UInt32 { contextsMax / 2 }
    private static var guessCount: Int { 256 }

    init?() {
        // Zeroed pages: only those that are used take memory.
        let size = Int(Self.contextsMax) * MemoryLayout<Atomic<UInt>>.stride
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let memory = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        contexts = memory.bindMemory(to: Atomic<UInt>.self, capacity: Int(Self.contextsMax))
        free = .allocate(capacity: 2)
        free.initialize(repeating: nil, count: 2)
        depthSum = .allocate(capacity: 1)
        depthSum.initialize(to: 0)
        ownCount = .allocate(capacity: 1)
        ownCount.initialize(to: 0)
        guesses = .allocate(capacity: Self.guessCount)
        for index in 0..<Self.guessCount { (guesses + index).initialize(to: Atomic(0)) }
    }

    // MARK: Finding

    /// The context at `address`, with a reference that the caller releases by `leave`. nil if there is none.
    borrowing func enter(_ address: UInt) -> Context? {
        let guess = guesses + Int((address >> 12) % UInt(Self.guessCount))
        if let context = enter(address, id: guess.pointee.load(ordering: .relaxed)) { return context }
        // The ring holds the number, if this is a ring. The memory may be anything, and its content may be wrong.
        guard let header = EventRing.foreignHeader(at: address) else { return nil }
        let id = header.id
        noteMove(id, to: address)
        guard let context = enter(address, id: id) else { return nil }
        guess.pointee.store(id, ordering: .relaxed)
        return context
    }

    private borrowing func context(_ id: UInt32) -> Context? {
        guard id < Self.contextsMax else { return nil }
        // Acquire: pairs with the release in `begin`.
        let address = (contexts + Int(id)).pointee.load(ordering: .acquiring)
        return UnsafeMutablePointer(bitPattern: address).map(Context.init(state:))
    }

    private borrowing func enter(_ address: UInt, id: UInt32) -> Context? {
        guard address != 0, let context = context(id) else { return nil }
        // Increment first, then look. Sequentially consistent with the destroyer, which stores and loads in the
        // opposite order.
        context.references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if context.address.pointee.load(ordering: .sequentiallyConsistent) == address, context.hasNumber(id) {
            return context
        }
        context.leave(1)
        return nil
    }

    /// The kernel follows a ring that the program moves with mremap(2). So a ring found at another address is verified
    /// and, if it is the context's, found there from now on.
    private borrowing func noteMove(_ id: UInt32, to address: UInt) {
        guard let context = context(id) else { return }
        let known = context.address.pointee.load(ordering: .sequentiallyConsistent)
        // With a reference, so that the ring is not unmapped meanwhile.
        guard known != address, enter(known, id: id) != nil else { return }
        defer { context.leave(1) }
        guard context.isRing(at: address) else { return }
        _ = context.address.pointee.compareExchange(
            expected: known, desired: address, ordering: .sequentiallyConsistent)
    }

    /// Whether `condition` holds for any context, in use or not.
    borrowing func hasAny(where condition: (Context) -> Bool) -> Bool {
        for id in 0..<idEnd.load(ordering: .acquiring) {
            if let context = context(id), condition(context) { return true }
        }
        return false
    }

    // MARK: Making and destroying

    /// io_setup(2): makes a context of the kernel's. Returns its address or a negative errno.
    borrowing func makeNative(depth: UInt32) -> Int {
        var address: UInt = 0
        let refused = Kernel.linuxAIOSetup(depth, &address)
        guard refused == 0 else { return refused }
        lock.lock()
        defer { lock.unlock() }
        guard let header = EventRing.foreignHeader(at: address), header.id < Self.ownFirst,
            let context = takeFree(isOwn: false)
        else {
            Kernel.linuxAIODestroy(address)
            return -Int(ENOMEM)
        }
        context.state.pointee.id = header.id
        context.state.pointee.native.pointee.reset()
        context.begin(as: .native)
        begin(context, at: address)
        return Int(bitPattern: address)
    }

    /// Makes a context without the kernel's, with a ring of `capacity` events. Returns its address or a negative errno.
    borrowing func make(capacity: UInt32, depth: UInt32) -> Int {
        let limit = Kernel.linuxAIOLimit()
        lock.lock()
        defer { lock.unlock() }
        guard UInt64(depth) + limit.used + depthSum.pointee <= limit.max else { return -Int(EAGAIN) }
        guard let context = takeFree(isOwn: true) else { return -Int(ENOMEM) }
        guard var ring = EventRing(id: context.state.pointee.id, capacity: capacity),
            let address = ring.takePlace(at: 0, head: 0)
        else {
            putFree(context)
            return -Int(ENOMEM)
        }
        depthSum.pointee += UInt64(depth)
        context.state.pointee.depth = depth
        context.state.pointee.ring = ring
        context.begin(as: .loop)
        begin(context, at: address)
        return Int(bitPattern: address)
    }

    /// Under the lock.
    private borrowing func begin(_ context: Context, at address: UInt) {
        assert(lock.isHeld)
        assert(!context.isAlive, "the context is in use")
        assert(context.state.pointee.id < Self.contextsMax, "the number of the context is beyond the table")
        context.references.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        context.address.pointee.store(address, ordering: .sequentiallyConsistent)
        let place = contexts + Int(context.state.pointee.id)
        // Release: the state is initialized before it can be found.
        place.pointee.store(UInt(bitPattern: context.state), ordering: .releasing)
        let end = context.state.pointee.id + 1
        if end > idEnd.load(ordering: .relaxed) { idEnd.store(end, ordering: .releasing) }
    }

    /// Frees a context whose address and rings are gone and that no thread is inside of.
    borrowing func recycle(_ context: Context) {
        assert(!context.isAlive && context.state.pointee.ring == nil, "the context is in use")
        context.state.pointee.waiters.reset()
        lock.lock()
        assert(depthSum.pointee >= UInt64(context.state.pointee.depth), "contexts end that were not counted")
        depthSum.pointee -= UInt64(context.state.pointee.depth)
        context.state.pointee.depth = 0
        context.state.pointee.kernelAddress = 0
        context.state.pointee.outstandingCount = 0
        // A decrement rather than a store, like all changes of it: a late lookup may be incrementing and decrementing
        // it.
        context.references.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        putFree(context)
        lock.unlock()
    }

    /// Under the lock. A context without the kernel's keeps its number.
    private borrowing func takeFree(isOwn: Bool) -> Context? {
        assert(lock.isHeld)
        let list = free + (isOwn ? 1 : 0)
        if let context = list.pointee {
            assert(!context.isAlive && context.state.pointee.inFlightCount == 0, "a free context is in use")
            list.pointee = context.state.pointee.nextFree
            return context
        }
        guard isOwn else { return Context.make(id: 0) }
        guard ownCount.pointee < Self.ownFirst, let context = Context.make(id: Self.ownFirst + ownCount.pointee) else {
            return nil
        }
        ownCount.pointee += 1
        return context
    }

    /// Under the lock.
    private borrowing func putFree(_ context: Context) {
        assert(lock.isHeld)
        let list = free + (context.state.pointee.id >= Self.ownFirst ? 1 : 0)
        context.state.pointee.nextFree = list.pointee
        list.pointee = context
    }
}
