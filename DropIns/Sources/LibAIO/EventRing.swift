internal import AIOCore
internal import CKernel
internal import Synchronization

/// The ring of completed operations that a context points at: `struct aio_ring`, which programs also read, and empty,
/// behind the library's back (fio with userspace_reap, QEMU).
///
/// Its memory, which is shared and has no name, is mapped twice: once for the program, which may move or unmap it, and
/// once for us.
struct EventRing: BitwiseCopyable {
    /// The kernel's `struct aio_ring`, but for the events that follow it.
    struct Header {
        var id: UInt32
        /// Places for events.
        var capacity: UInt32
        var head: UInt32
        var tail: UInt32
        var magic = Header.magic
        var compatibleFeatures: UInt32 = 1
        var incompatibleFeatures: UInt32 = 0
        var headerLength: UInt32 = 32

        static var magic: UInt32 { 0xa10a_10a1 }
    }

    /// Ours.
    private let memory: UnsafeMutableRawPointer
    let size: Int
    let capacity: UInt32
    /// The program cannot be trusted with it, so it is kept here too.
    private var tail: UInt32 = 0

    private static var pageSize: Int { 4096 }

    /// How many events the ring of a context for `depth` operations holds, by the kernel's rule, which leaves room
    /// for what each processor keeps aside. nil where the kernel finds `depth` too large.
    static func capacity(forDepth depth: UInt32, processors: UInt32) -> UInt32? {
        let doubled = max(depth, processors &* 4) &* 2
        guard doubled <= 0x1000_0000 / UInt32(MemoryLayout<ck_io_event>.size) else { return nil }
        let bytes = MemoryLayout<Header>.size + Int(doubled + 2) * MemoryLayout<ck_io_event>.size
        let pages = (bytes + pageSize - 1) / pageSize
        return UInt32((pages * pageSize - MemoryLayout<Header>.size) / MemoryLayout<ck_io_event>.size)
    }

    /// Not in the program's sight yet: see `takePlace`. nil without memory.
    init?(id: UInt32, capacity: UInt32) {
        let bytes = MemoryLayout<Header>.size + Int(capacity) * MemoryLayout<ck_io_event>.size
        size = (bytes + Self.pageSize - 1) / Self.pageSize * Self.pageSize
        self.capacity = capacity
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_SHARED | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let memory = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        self.memory = memory
        memory.initializeMemory(as: Header.self, to: Header(id: id, capacity: capacity, head: 0, tail: 0))
    }

    /// Maps the ring for the program, once more: at `address`, in one step, in the place of what is there; or anywhere, if
    /// that is 0. It is empty, and its first event will be at `head`. Where the program has it then; nil, and the memory
    /// given back, if it cannot be mapped.
    mutating func takePlace(at address: UInt, head: UInt32) -> UInt? {
        tail = head % capacity
        word(8).pointee.store(tail, ordering: .relaxed)
        word(12).pointee.store(tail, ordering: .relaxed)
        let result = Kernel.mapAgain(memory, size, at: address)
        guard result > 0 else {
            unmap()
            return nil
        }
        // A child has no part in it.
        Kernel.madvise(memory, size, CK_MADV_DONTFORK)
        return UInt(result)
    }

    /// What the ring says of itself now, which the program may have spoilt.
    var header: Header { memory.load(as: Header.self) }

    /// Whether the ring at `address`, which the library does not know, is empty as far as libaio can see: it looks
    /// there before it makes the call. A child sees its parent's rings.
    static func isEmptyForeign(at address: UInt) -> Bool {
        guard let header = foreignHeader(at: address) else { return false }
        return header.magic == Header.magic && header.head == header.tail
    }

    /// The same of a ring that is there, as libaio looks: without a call.
    static func isEmpty(at address: UInt) -> Bool {
        guard let ring = UnsafeMutableRawPointer(bitPattern: address) else { return false }
        func word(_ offset: Int) -> UInt32 {
            // Acquire: an event is there when the tail says so.
            (ring + offset).assumingMemoryBound(to: Atomic<UInt32>.self).pointee.load(ordering: .acquiring)
        }
        return word(16) == Header.magic && word(8) == word(12)
    }

    /// What may be a ring's header, or anything, or gone the next moment: another thread may be destroying it.
    static func foreignHeader(at address: UInt) -> Header? {
        var header = Header(id: 0, capacity: 0, head: 0, tail: 0)
        let copied = withUnsafeMutableBytes(of: &header) {
            Kernel.copyOwnMemory(from: UnsafeMutableRawPointer(bitPattern: address), to: $0)
        }
        return copied == MemoryLayout<Header>.size ? header : nil
    }

    /// Unmaps our view; and the program's, unless that is gone with the kernel's context.
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
        // Acquire: the program has read the events before it moved the head past them.
        word(8).pointee.load(ordering: .acquiring) % capacity
    }

    private var events: UnsafeMutablePointer<ck_io_event> {
        (memory + MemoryLayout<Header>.size).assumingMemoryBound(to: ck_io_event.self)
    }

    /// Events that nobody has taken.
    var count: Int {
        let head = head
        return Int(head <= tail ? tail - head : capacity - (head - tail))
    }

    /// Room was kept for the event when its operation was accepted.
    mutating func publish(_ event: ck_io_event) {
        events[Int(tail)] = event
        tail = tail + 1 == capacity ? 0 : tail + 1
        // Release: whoever sees the tail sees the event.
        word(12).pointee.store(tail, ordering: .releasing)
    }

    /// Copies out and removes the oldest `count` events, which are there.
    func take(_ count: Int, into target: UnsafeMutablePointer<ck_io_event>) {
        var head = head
        for index in 0..<count {
            target[index] = events[Int(head)]
            head = head + 1 == capacity ? 0 : head + 1
        }
        // Release: the places are written again only after they have been read.
        word(8).pointee.store(head, ordering: .releasing)
    }
}

extension EventRing {
    /// Whether the memory at `address` is this ring: it shows what is written here. Under the context's lock.
    func isMapped(at address: UInt) -> Bool {
        // Our own view of it is no name for the program to use.
        guard address != UInt(bitPattern: memory) else { return false }
        // The place after the newest event is never an event's.
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
