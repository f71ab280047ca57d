internal import AIOCore
internal import CKernel
internal import Synchronization

/// A context's ring buffer of events: `struct aio_ring`. Some programs read it, and take events from it, without the
/// library (fio with userspace_reap, QEMU).
///
/// Its memory is shared and anonymous, and mapped twice: once for the program, which may move or unmap it, and once for
/// the library.
struct EventRing: BitwiseCopyable {
    /// The kernel's `struct aio_ring` without the events that follow it.
    struct Header {
        var id: UInt32
        /// The number of slots for events.
        var capacity: UInt32
        var head: UInt32
        var tail: UInt32
        var magic = Header.magic
        var compatibleFeatures: UInt32 = 1
        var incompatibleFeatures: UInt32 = 0
        var headerLength: UInt32 = 32

        static var magic: UInt32 { 0xa10a_10a1 }
    }

    /// The library's mapping.
    private let memory: UnsafeMutableRawPointer
    let size: Int
    let capacity: UInt32
    /// A copy of the tail, since the program may corrupt the one in the ring.
    private var tail: UInt32 = 0

    private static var pageSize: Int { 4096 }

    /// How many events the ring of a context for `depth` operations holds. This is the kernel's rule, which leaves room
    /// for the requests that each processor sets aside. nil if the kernel refuses `depth`.
    static func capacity(forDepth depth: UInt32, processors: UInt32) -> UInt32? {
        let doubled = max(depth, processors &* 4) &* 2
        guard doubled <= 0x1000_0000 / UInt32(MemoryLayout<ck_io_event>.size) else { return nil }
        let bytes = MemoryLayout<Header>.size + Int(doubled + 2) * MemoryLayout<ck_io_event>.size
        let pages = (bytes + pageSize - 1) / pageSize
        return UInt32((pages * pageSize - MemoryLayout<Header>.size) / MemoryLayout<ck_io_event>.size)
    }

    /// The ring is not visible to the program yet: see `takePlace`. nil without memory.
    init?(id: UInt32, capacity: UInt32) {
        let bytes = MemoryLayout<Header>.size + Int(capacity) * MemoryLayout<ck_io_event>.size
        size = (bytes + Self.pageSize - 1) / Self.pageSize * Self.pageSize
        self.capacity = capacity
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_SHARED | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let memory = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        self.memory = memory
        memory.initializeMemory(as: Header.self, to: Header(id: id, capacity: capacity, head: 0, tail: 0))
    }

    /// Maps the ring a second time, for the program: at `address`, where it replaces what is mapped there in one step,
    /// or anywhere if that is 0. The ring is empty, and its first event will be at `head`. Returns the address of the
    /// mapping. If that fails, returns nil and frees the memory.
    mutating func takePlace(at address: UInt, head: UInt32) -> UInt? {
        assert(memory.load(as: Header.self).tail == 0, "the ring was made visible before, or holds events")
        tail = head % capacity
        word(8).pointee.store(tail, ordering: .relaxed)
        word(12).pointee.store(tail, ordering: .relaxed)
        let result = Kernel.mapAgain(memory, size, at: address)
        guard result > 0 else {
            unmap()
            return nil
        }
        // A forked child does not inherit the library's mapping.
        Kernel.madvise(memory, size, CK_MADV_DONTFORK)
        return UInt(result)
    }

    /// The header as it is now. The program may have corrupted it.
    var header: Header { memory.load(as: Header.self) }

    /// Whether the ring at `address`, which the library does not know, looks empty to libaio, which looks before it
    /// makes the call. A forked child sees its parent's rings.
    static func isEmptyForeign(at address: UInt) -> Bool {
        guard let header = foreignHeader(at: address) else { return false }
        return header.magic == Header.magic && header.head == header.tail
    }

    /// The same for a ring that is certainly mapped. Like libaio, it makes no system call.
    static func isEmpty(at address: UInt) -> Bool {
        guard let ring = UnsafeMutableRawPointer(bitPattern: address) else { return false }
        func word(_ offset: Int) -> UInt32 {
            // Acquire: an event is present before the tail includes it.
            (ring + offset).assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
        }
        return word(16) == Header.magic && word(8) == word(12)
    }

    /// A copy of what may be a ring's header. The memory may hold anything, and another thread may be unmapping it.
    static func foreignHeader(at address: UInt) -> Header? {
        var header = Header(id: 0, capacity: 0, head: 0, tail: 0)
        let copied = withUnsafeMutableBytes(of: &header) {
            Kernel.copyOwnMemory(from: UnsafeMutableRawPointer(bitPattern: address), to: $0)
        }
        return copied == MemoryLayout<Header>.size ? header : nil
    }

    /// Unmaps the library's mapping, and the program's unless it was unmapped with the kernel's context.
    func unmap(programAddress: UInt? = nil) {
        Kernel.munmap(memory, size)
        if let programAddress, let program = UnsafeMutableRawPointer(bitPattern: programAddress) {
            Kernel.munmap(program, size)
        }
    }

    private func word(_ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (memory + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    private var head: UInt32 {
        // Acquire: the program read the events before it moved the head past them.
        word(8).pointee.load(ordering: .acquiring) % capacity
    }

    private var events: UnsafeMutablePointer<ck_io_event> {
        (memory + MemoryLayout<Header>.size).assumingMemoryBound(to: ck_io_event.self)
    }

    /// The number of untaken events.
    var count: Int {
        let head = head
        return Int(head <= tail ? tail - head : capacity - (head - tail))
    }

    /// Appends an event. Room for it was reserved when its operation was accepted.
    mutating func publish(_ event: ck_io_event) {
        // Not whether there is room: the program can write the head.
        assert(tail < capacity, "the tail is outside of the ring")
        events[Int(tail)] = event
        tail = tail + 1 == capacity ? 0 : tail + 1
        // Release: the event is visible before the tail includes it.
        word(12).pointee.store(tail, ordering: .releasing)
    }

    /// Copies out and removes the oldest `count` events, which must be present.
    func take(_ count: Int, into target: UnsafeMutablePointer<ck_io_event>) {
        var head = head
        for index in 0..<count {
            target[index] = events[Int(head)]
            head = head + 1 == capacity ? 0 : head + 1
        }
        // Release: the slots are read before they can be written again.
        word(8).pointee.store(head, ordering: .releasing)
    }
}

extension EventRing {
    /// Whether the memory at `address` is this ring: whether it shows what is written here. Under the context's lock.
    func isMapped(at address: UInt) -> Bool {
        // The library's own mapping is not a valid ID for the program.
        guard address != UInt(bitPattern: memory) else { return false }
        // The slot after the newest event never holds an event.
        let place = events + Int(tail)
        let offset = UnsafeMutableRawPointer(place) - memory
        let seen = address &+ UInt(offset)
        var shown: UInt64 = 0
        for mark: UInt64 in [0x5eed_0001_5eed_0001, 0x0dd5_0002_0dd5_0002] {
            place.pointee.data = mark
            let copied = withUnsafeMutableBytes(of: &shown) {
                Kernel.copyOwnMemory(from: UnsafeMutableRawPointer(bitPattern: seen), to: $0)
            }
            if copied != 8 || shown != mark { return false }
        }
        return true
    }
}
