internal import CDropIns
internal import CKernel

/// The events that were left when a context was destroyed, for threads that slept in io_getevents. These wake up when
/// the ring is gone, if at all: a signal handler may have left the call by siglongjmp(3). So the events are kept until
/// the next context that uses the same state is destroyed.
struct LastEvents: BitwiseCopyable {
    private var memory: UnsafeMutablePointer<ck_io_event>?
    private var life: UInt32 = 0
    private var next = 0
    private var end = 0

    /// Takes all events out of the ring of a context that ends. Without memory for them they are lost.
    mutating func keep(_ ring: EventRing, _ life: UInt32) {
        assert(memory == nil || life != self.life, "the events of one life are kept twice")
        free(memory)
        memory = nil
        (self.life, next, end) = (life, 0, ring.count)
        guard end > 0 else { return }
        guard let room = malloc(end * MemoryLayout<ck_io_event>.stride) else {
            end = 0
            return
        }
        let events = room.bindMemory(to: ck_io_event.self, capacity: end)
        ring.take(end, into: events)
        memory = events
    }

    /// How many events are left of the context that had this life.
    func count(_ life: UInt32) -> Int { life == self.life ? end - next : 0 }

    mutating func take(_ count: Int, into target: UnsafeMutablePointer<ck_io_event>) {
        assert(next + count <= end, "more events are taken than were kept")
        guard let memory else { return }
        target.update(from: memory + next, count: count)
        next += count
    }
}
