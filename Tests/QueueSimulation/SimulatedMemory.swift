import AIOCore
import CKernel

/// The buffers that operations borrow: one block for each place, and the buffers of groups. A block is the caller's
/// until it is handed over with an operation, and again once the last completion is drained.
struct SimulatedMemory {
    static let blockSize = 1024
    /// Offsets within a block.
    static let vectors = 128
    static let address = 256
    static let message = 320
    static let byteCount = 48

    let base: UnsafeMutableRawPointer
    private var freeBlocks: [Int32]
    /// The memory of buffer groups.
    private let regions: UnsafeMutableRawPointer
    var freeRegions: [Int32]
    static let regionCount = 5
    static let regionSize = 8 * ModelBufferGroups.size
    let blockCount: Int

    init(blockCount: Int) {
        self.blockCount = blockCount
        base = .allocate(byteCount: Self.blockSize * blockCount, alignment: 64)
        base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.blockSize * blockCount)
        freeBlocks = (0..<Int32(blockCount)).reversed()
        freeRegions = (0..<Int32(Self.regionCount)).reversed()
        regions = .allocate(byteCount: Self.regionSize * Self.regionCount, alignment: 64)
        regions.initializeMemory(as: UInt8.self, repeating: 0, count: Self.regionSize * Self.regionCount)
    }

    func free() {
        base.deallocate()
        regions.deallocate()
    }

    mutating func take() -> Int32 { freeBlocks.removeLast() }
    mutating func giveBack(_ block: Int32) { freeBlocks.append(block) }
    var areAllFree: Bool { freeBlocks.count == blockCount }

    @inline(__always)
    func address(_ block: Int32) -> UnsafeMutableRawPointer { base + Int(block) * Self.blockSize }

    func region(_ index: Int32) -> UnsafeMutableRawPointer { regions + Int(index) * Self.regionSize }

    /// The block that contains an address; nil if none does.
    func block(of address: UnsafeRawPointer?) -> Int32? {
        guard let address, address >= UnsafeRawPointer(base) else { return nil }
        let index = (address - UnsafeRawPointer(base)) / Self.blockSize
        return index < blockCount ? Int32(index) : nil
    }
}

/// The model of the buffer groups: which exist, and who has each buffer.
struct ModelBufferGroups {
    static let size = 16
    static let limit = 64

    struct Group {
        var exists = false
        var count = 0
        var freeCount = 0
        var base: UnsafeMutableRawPointer?
        var region: Int32 = -1
        /// Buffers that the caller has, and must give back.
        var withCaller: [UInt16] = []
        var isOut: UInt32 = 0
    }

    private(set) var groups = [Group](repeating: Group(), count: limit)

    subscript(index: Int) -> Group {
        @inline(__always) get { groups[index] }
        @inline(__always) _modify { yield &groups[index] }
    }

    @inline(__always)
    func exists(_ index: UInt16) -> Bool { index < Self.limit && groups[Int(index)].exists }
}
