internal import AIOCore
internal import CDropIns
internal import CKernel

/// What is known within one call of the program's memory: the page looked at last need not be looked at again.
struct KnownMemory {
    private var readable: UInt = 0
    private var writable: UInt = 0

    /// Whether the memory is there for sure, readable and writable, so that the kernel need not be asked.
    static func isThere(_ address: UInt, _ count: Int) -> Bool {
        di_is_stack(address, count) || di_is_heap(address, count)
    }

    mutating func canRead(_ address: UInt, _ count: Int) -> Bool {
        if Self.isThere(address, count) { return true }
        let page = address >> 12
        let isOnePage = (address &+ UInt(max(count, 1) - 1)) >> 12 == page
        if isOnePage, page == readable || page == writable, page != 0 { return true }
        guard Kernel.canRead(address, count) else { return false }
        if isOnePage { readable = page }
        return true
    }

    /// Writes the key of the control block at `address`, which is readable, as the kernel does. False where that
    /// faults. Not to be asked for where the key is zero already, as it always is: of what the kernel does that leaves
    /// out no more than that it refuses blocks in memory that cannot be written.
    mutating func canWriteKey(of address: UInt) -> Bool {
        let place = address &+ UInt(CK_IOCB_KEY_OFFSET)
        guard let key = UnsafeMutablePointer<UInt64>(bitPattern: place) else { return false }
        if !Self.isThere(place, 8) && (place >> 12 != writable || place & 7 != 0) {
            // The key and the flags behind it: both are written, and the flags put back.
            let kept = UnsafeRawPointer(key).loadUnaligned(as: UInt64.self)
            guard Kernel.canOverwrite(place, 8) else { return false }
            UnsafeMutableRawPointer(key).storeBytes(of: kept, as: UInt64.self)
            if (place & 0xfff) <= 0xff8 { writable = place >> 12 }
        }
        UnsafeMutableRawPointer(key).storeBytes(of: 0, as: UInt32.self)
        return true
    }
}
