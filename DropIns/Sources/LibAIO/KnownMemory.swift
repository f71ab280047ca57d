internal import AIOCore
internal import CDropIns
internal import CKernel

/// What one call knows about the program's memory. The page that was probed last need not be probed again.
struct KnownMemory {
    private var readable: UInt = 0
    private var writable: UInt = 0

    /// Whether the memory is certainly mapped, readable and writable, so that it need not be probed.
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

    /// Writes the key of the control block at `address`, which is readable, as the kernel does. False where the kernel
    /// would fault. Callers skip it if the key is zero already, as it always is. The only difference is that the kernel
    /// refuses blocks in memory that cannot be written.
    mutating func canWriteKey(of address: UInt) -> Bool {
        let place = address &+ UInt(CK_IOCB_KEY_OFFSET)
        guard let key = UnsafeMutablePointer<UInt64>(bitPattern: place) else { return false }
        if !Self.isThere(place, 8) && (place >> 12 != writable || place & 7 != 0) {
            // Probing overwrites the key and the flags after it. The flags are restored.
            let kept = UnsafeRawPointer(key).loadUnaligned(as: UInt64.self)
            guard Kernel.canOverwrite(place, 8) else { return false }
            UnsafeMutableRawPointer(key).storeBytes(of: kept, as: UInt64.self)
            if (place & 0xfff) <= 0xff8 { writable = place >> 12 }
        }
        UnsafeMutableRawPointer(key).storeBytes(of: 0, as: UInt32.self)
        return true
    }
}
