import AIOCore
import CKernel
import Glibc
import Synchronization

/// A counter that this process shares with one that it starts: the first page of an unnamed file in memory.
final class SharedCounter: @unchecked Sendable {
    // @unchecked: the counter is atomic, and its memory is mapped as long as this object lives.

    let file: OpenDescriptor
    private let count: UnsafeMutablePointer<Atomic<Int>>

    convenience init() throws {
        let file = try OpenDescriptor("/dev/shm", CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY, mode: 0o600)
        let result = Kernel.ftruncate(file.number, 4096)
        guard result >= 0 else { throw Failure("ftruncate of a file in /dev/shm", result: result) }
        try self.init(file)
    }

    /// Maps an existing counter's file.
    init(_ file: consuming OpenDescriptor) throws {
        let mapped = Kernel.mmap(4096, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_SHARED, file.number, 0)
        guard mapped > 0, let start = UnsafeMutableRawPointer(bitPattern: mapped) else {
            throw Failure("mmap of a counter", result: mapped)
        }
        // The kernel fills the page with zeros, which is a valid atomic with the value 0.
        count = start.assumingMemoryBound(to: Atomic<Int>.self)
        self.file = file
    }

    deinit { Kernel.munmap(count, 4096) }

    // Relaxed: the counter publishes no other data.
    var value: Int { count.pointee.load(ordering: .relaxed) }
    func increment() { count.pointee.wrappingAdd(1, ordering: .relaxed) }
}
