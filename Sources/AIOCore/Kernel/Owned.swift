internal import CKernel

/// A descriptor with one owner: closed when that goes, unless it is somebody else's by then.
///
/// It has a high number. A program counts on the lowest free one for its next file, may have closed 0 to 2 and mean to open
/// them again, and closes low numbers that it does not know.
struct OwnedDescriptor: ~Copyable {
    private(set) var number: Int32

    /// From a system call's result, which is a descriptor or a negative errno.
    init(_ result: Int, _ engine: EngineKind, _ step: EngineFailure.Step) throws(EngineFailure) {
        guard result >= 0 else { throw EngineFailure(engine: engine, step: step, errno: Int32(-result)) }
        number = GuestNumbers.moveUp(Int32(result))
    }

    deinit {
        if number >= 0 { GuestNumbers.closeOwn(number) }
    }

    /// The number, which the caller then owns.
    consuming func release() -> Int32 {
        let released = number
        number = -1
        return released
    }
}

/// Mapped memory with one owner: unmapped when that goes.
struct MappedMemory: ~Copyable {
    let start: UnsafeMutableRawPointer
    let size: Int

    /// Maps `size` bytes of a ring, which a forked child does not get.
    init(ring: Int32, size: Int, offset: UInt64) throws(EngineFailure) {
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_SHARED | CK_MAP_POPULATE, ring, offset)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else {
            throw EngineFailure(engine: .ioUring, step: .ringMapping, errno: Int32(-result))
        }
        Kernel.madvise(start, size, CK_MADV_DONTFORK)
        self.start = start
        self.size = size
    }

    deinit { Kernel.munmap(start, size) }
}
