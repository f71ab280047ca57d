internal import AIOCore
internal import CKernel
internal import Synchronization

/// The ring of completed operations that a context points at: `struct aio_ring`, which programs also read, and empty,
/// behind the library's back (fio with userspace_reap, QEMU).
///
/// Its memory is mapped twice: once for the program, which may move or unmap it, and once for us.
struct EventRing: BitwiseCopyable {
    /// The kernel's `struct aio_ring`, but for the events that follow it.
    struct Header {
        var id: UInt32
        /// Places for events.
        var capacity: UInt32
        var head: UInt32
        var tail: UInt32
        var magic: UInt32 = 0xa10a_10a1
        var compatibleFeatures: UInt32 = 1
        var incompatibleFeatures: UInt32 = 0
        var headerLength: UInt32 = 32
    }

    /// Ours.
    private let memory: UnsafeMutableRawPointer
    /// Where the program found it at first.
    let programAddress: UInt
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

    /// nil without memory, descriptors or mappings for it.
    init?(id: UInt32, capacity: UInt32) {
        let bytes = MemoryLayout<Header>.size + Int(capacity) * MemoryLayout<ck_io_event>.size
        size = (bytes + Self.pageSize - 1) / Self.pageSize * Self.pageSize
        self.capacity = capacity
        let file = Int32(truncatingIfNeeded: Kernel.memoryDescriptor("aio"))
        guard file >= 0 else { return nil }
        defer { Kernel.close(file) }
        guard Kernel.ftruncate(file, Int64(size)) == 0, let memory = Self.map(file, size) else { return nil }
        guard let program = Self.map(file, size) else {
            Kernel.munmap(memory, size)
            return nil
        }
        self.memory = memory
        programAddress = UInt(bitPattern: program)
        memory.initializeMemory(
            as: Header.self, to: Header(id: id, capacity: capacity, head: 0, tail: 0))
    }

    private static func map(_ file: Int32, _ size: Int) -> UnsafeMutableRawPointer? {
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_SHARED, file, 0)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        // As the kernel's own: a child has no part in it.
        Kernel.madvise(start, size, CK_MADV_DONTFORK)
        return start
    }

    /// Unmaps both; the program's where it is now.
    func unmap(programAddress: UInt) {
        Kernel.munmap(memory, size)
        if let program = UnsafeMutableRawPointer(bitPattern: programAddress) { Kernel.munmap(program, size) }
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
        // The place after the newest event is never an event's.
        let place = events + Int(tail)
        let offset = UnsafeMutableRawPointer(place) - memory
        let seen = address &+ UInt(offset)
        guard Kernel.canRead(seen, 8), let shown = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: seen) else {
            return false
        }
        for mark: UInt64 in [0x5eed_0001_5eed_0001, 0x0dd5_0002_0dd5_0002] {
            place.pointee.data = mark
            // Atomic: it may be the same memory under another address.
            if shown.pointee.load(ordering: .relaxed) != mark { return false }
        }
        return true
    }
}
