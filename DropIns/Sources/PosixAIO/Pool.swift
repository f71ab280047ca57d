internal import AIOCore
internal import CKernel
internal import Synchronization

/// An element of a pool, whose memory is reused.
protocol Pooled {
    /// Initializes an element in fresh memory.
    static func initialize(_ place: UnsafeMutablePointer<Self>, index: Int32)
    /// The next free element.
    var nextFree: UnsafeMutablePointer<Self>? { get set }
}

/// Elements with an index, created in blocks as needed and never freed. Used under a lock.
///
/// The memory is mapped rather than allocated, so that an operation costs no malloc(3) and never calls a program's
/// replacement of it.
struct Pool<Element: Pooled>: ~Copyable {
    /// Finds elements by index without the lock.
    let directory: PoolDirectory<Element>
    private var free: UnsafeMutablePointer<Element>?
    private var blockCount = 0
    /// Elements in use.
    private(set) var useCount = 0

    init?() {
        guard let directory = PoolDirectory<Element>() else { return nil }
        self.directory = directory
    }

    /// nil at the limit or without memory.
    mutating func acquire() -> UnsafeMutablePointer<Element>? {
        if free == nil { makeBlock() }
        guard let element = free else { return nil }
        free = element.pointee.nextFree
        useCount += 1
        return element
    }

    mutating func release(_ element: UnsafeMutablePointer<Element>) {
        assert(useCount > 0 && free != element, "the element is free already")
        useCount -= 1
        put(element)
    }

    private mutating func put(_ element: UnsafeMutablePointer<Element>) {
        element.pointee.nextFree = free
        free = element
    }

    private mutating func makeBlock() {
        assert(free == nil && useCount == blockCount * PoolLimits.blockSize, "there are free elements")
        let size = PoolLimits.blockSize
        guard blockCount < PoolLimits.blockMax,
            let block = mappedMemory(of: Element.self, size)
        else { return }
        for offset in (0..<size).reversed() {
            Element.initialize(block + offset, index: Int32(blockCount * size + offset))
            put(block + offset)
        }
        directory.set(blockCount, block)
        blockCount += 1
    }
}

/// The limit of a pool is 262,144 elements.
enum PoolLimits {
    static var blockSize: Int { 256 }
    static var blockMax: Int { 1024 }
}

/// The addresses of a pool's blocks. Any thread may read them; async-signal-safe.
struct PoolDirectory<Element>: BitwiseCopyable {
    private let blocks: UnsafeMutablePointer<Atomic<UInt>>

    fileprivate init?() {
        // Zeroed: no block.
        guard let blocks = mappedMemory(of: Atomic<UInt>.self, PoolLimits.blockMax) else { return nil }
        self.blocks = blocks
    }

    fileprivate func set(_ index: Int, _ block: UnsafeMutablePointer<Element>) {
        assert(blocks[index].load(ordering: .relaxed) == 0, "the place has a block already")
        // Release: the elements are initialized before they can be found.
        blocks[index].store(UInt(bitPattern: block), ordering: .releasing)
    }

    /// The element with this index, if it has ever been created.
    @inline(__always)
    func element(_ index: Int32) -> UnsafeMutablePointer<Element>? {
        let (block, offset) = Int(index).quotientAndRemainder(dividingBy: PoolLimits.blockSize)
        guard index >= 0, block < PoolLimits.blockMax else { return nil }
        return UnsafeMutablePointer<Element>(bitPattern: blocks[block].load(ordering: .acquiring)).map { $0 + offset }
    }
}

/// Zeroed memory that is never unmapped.
func mappedMemory<Element: ~Copyable>(of: Element.Type, _ count: Int) -> UnsafeMutablePointer<Element>? {
    let size = count * MemoryLayout<Element>.stride
    let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
    guard result > 0 else { return nil }
    return UnsafeMutableRawPointer(bitPattern: result)?.bindMemory(to: Element.self, capacity: count)
}
