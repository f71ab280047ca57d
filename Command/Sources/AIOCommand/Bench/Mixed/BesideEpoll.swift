import AIOCore
import CKernel
import Glibc

/// Disk reads by pread(2) on a plain epoll loop: one read per turn, which delays all connections.
final class PreadBeside: BesideEpoll {
    let descriptor: Int32? = nil
    private let reading: DiskReading

    init(_ reading: DiskReading) { self.reading = reading }

    func begin() {}

    func takeTurn() throws {
        let transfer = try reading.next(0)
        guard let base = transfer.base else { return }
        let result = Kernel.pread(transfer.descriptor.number, base, transfer.count, transfer.offset)
        try reading.finish(0, result)
    }
}

/// Buffered disk reads by Linux AIO on a plain epoll loop: an eventfd signals completions, and each completed read is
/// replaced by a new one.
final class LinuxAIOBeside: BesideEpoll {
    private let reading: DiskReading
    private let event: OpenDescriptor
    private var context: UInt = 0
    private let blocks: UnsafeMutablePointer<ck_iocb>
    private let staged: UnsafeMutablePointer<UnsafeMutablePointer<ck_iocb>?>
    private let events: UnsafeMutablePointer<ck_io_event>

    init(_ reading: DiskReading) throws {
        self.reading = reading
        let made = Kernel.eventDescriptor()
        guard made >= 0 else { throw Failure("eventfd", result: made) }
        event = OpenDescriptor(owning: Int32(made))
        blocks = .allocate(capacity: reading.depth)
        staged = .allocate(capacity: reading.depth)
        events = .allocate(capacity: reading.depth)
        let result = Kernel.linuxAIOSetup(UInt32(reading.depth), &context)
        guard result >= 0 else { throw Failure("io_setup of \(reading.depth) operations", result: result) }
    }

    deinit {
        // Waits for the operations in flight.
        if context != 0 { Kernel.linuxAIODestroy(context) }
        blocks.deallocate()
        staged.deallocate()
        events.deallocate()
    }

    var descriptor: Int32? { event.number }

    func begin() throws {
        for slot in 0..<reading.depth { try stage(slot, at: slot) }
        try submit(reading.depth)
    }

    func takeTurn() throws {
        Kernel.clearEvent(event.number)
        var none = ck_timespec()
        let count = Kernel.linuxAIOGetEvents(context, 0, reading.depth, events, &none)
        guard count >= 0 else { throw Failure("io_getevents", result: count) }
        for index in 0..<count {
            let slot = Int(events[index].data)
            try reading.finish(slot, Int(events[index].result))
            try stage(slot, at: index)
        }
        try submit(count)
    }

    private func stage(_ slot: Int, at position: Int) throws {
        let transfer = try reading.next(slot)
        var block = ck_iocb()
        block.data = UInt64(slot)
        block.opcode = CK_IOCB_CMD_PREAD
        block.descriptor = UInt32(bitPattern: transfer.descriptor.number)
        block.address = UInt64(UInt(bitPattern: transfer.base))
        block.count = UInt64(transfer.count)
        block.offset = transfer.offset
        block.flags = CK_IOCB_FLAG_RESFD
        block.event_descriptor = UInt32(bitPattern: event.number)
        blocks[slot] = block
        staged[position] = blocks + slot
    }

    private func submit(_ count: Int) throws {
        var done = 0
        while done < count {
            let result = Kernel.linuxAIOSubmit(context, count - done, staged + done)
            guard result > 0 else { throw Failure("io_submit", result: result) }
            done += result
        }
    }
}
