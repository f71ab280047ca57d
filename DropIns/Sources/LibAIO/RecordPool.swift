internal import AIOCore
internal import CDropIns
internal import CKernel

/// The records of one context, created in blocks as needed, since programs ask for far more operations than they use.
/// Used under the context's lock.
struct RecordPool: BitwiseCopyable {
    private var free: UnsafeMutablePointer<Record>?
    private var blocks: UnsafeMutablePointer<Block>?

    private struct Block {
        var next: UnsafeMutablePointer<Block>?
        static var recordCount: Int { 64 }
        /// The records follow the block's own fields.
        static var headerSize: Int { MemoryLayout<Record>.stride }
    }

    /// nil without memory.
    mutating func acquire(_ context: Context) -> UnsafeMutablePointer<Record>? {
        if free == nil { makeBlock(context) }
        guard let record = free else { return nil }
        assert(record.pointee.context == context, "the record is another context's")
        free = record.pointee.nextFree
        record.pointee.change(to: .accepted)
        record.pointee.event = Event()
        record.pointee.progress = 0
        return record
    }

    mutating func release(_ record: UnsafeMutablePointer<Record>) {
        assert(!record.pointee.isHeld, "the file of a record that is freed is still held")
        assert(!record.pointee.order.isInLane, "a record that is freed is still in its lane")
        assert(!record.pointee.isQuick && !record.pointee.isTransfer, "a record that is freed is still counted")
        if let vectors = record.pointee.vectors {
            di_free(vectors)
            record.pointee.vectors = nil
        }
        record.pointee.change(to: .free)
        record.pointee.nextFree = free
        free = record
    }

    private mutating func makeBlock(_ context: Context) {
        assert(free == nil, "there are free records")
        let size = Block.headerSize + Block.recordCount * MemoryLayout<Record>.stride
        guard let memory = malloc(size) else { return }
        let block = memory.bindMemory(to: Block.self, capacity: 1)
        block.initialize(to: Block(next: blocks))
        blocks = block
        for index in (0..<Block.recordCount).reversed() {
            let record = Self.record(index, of: block)
            record.initialize(to: Record(context))
            record.pointee.nextFree = free
            free = record
        }
    }

    private static func record(_ index: Int, of block: UnsafeMutablePointer<Block>) -> UnsafeMutablePointer<Record> {
        (UnsafeMutableRawPointer(block) + Block.headerSize).assumingMemoryBound(to: Record.self) + index
    }

    /// The first record in flight for which `condition` holds.
    func firstInFlight(where condition: (UnsafeMutablePointer<Record>) -> Bool) -> UnsafeMutablePointer<Record>? {
        var block = blocks
        while let current = block {
            for index in 0..<Block.recordCount {
                let record = Self.record(index, of: current)
                if record.pointee.isInFlight, condition(record) { return record }
            }
            block = current.pointee.next
        }
        return nil
    }
}
