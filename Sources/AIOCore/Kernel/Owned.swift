internal import CKernel

/// A descriptor with one owner, closed with it unless its number has since been taken over by another file.
///
/// It has a high number. Programs expect the lowest free number for their next file, may have closed 0 to 2 to reopen
/// them, and close low numbers that they do not know.
struct OwnedDescriptor: ~Copyable {
    private(set) var number: Int32

    /// Takes the result of a system call, a descriptor or a negative errno.
    init(_ result: Int, _ engine: EngineKind, _ step: EngineFailure.Step) throws(EngineFailure) {
        guard result >= 0 else { throw EngineFailure(engine: engine, step: step, errno: Int32(-result)) }
        number = GuestNumbers.moveUp(Int32(result))
    }

    deinit {
        if number >= 0 { GuestNumbers.closeOwn(number) }
    }

    /// Gives up the number, which the caller then owns.
    consuming func release() -> Int32 {
        let released = number
        number = -1
        return released
    }
}

/// Mapped memory with one owner, unmapped with it.
struct MappedMemory: ~Copyable {
    let start: UnsafeMutableRawPointer
    let size: Int

    /// Maps `size` bytes of a ring, excluded from forked children (MADV_DONTFORK).
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
