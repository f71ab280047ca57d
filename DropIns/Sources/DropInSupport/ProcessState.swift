internal import AIOCore
internal import CDropIns
internal import CKernel
internal import Synchronization

/// A library's one object in this process. It is made at the first call, and again in a forked child, which has neither
/// the threads nor the rings of its parent.
///
/// Its address is kept in a page that the kernel wipes in a child (MADV_WIPEONFORK, 4.14), so that the child finds no
/// object and an unlocked mutex, even if it was created without libc. Whatever else the child inherits is abandoned:
/// other threads of the parent may have held locks in it.
public enum ProcessState {
    private struct Page {
        var object: UInt
        var mutex: pthread_mutex_t
    }

    /// The object. `make` creates it under a lock. If it returns nil, the next call tries again.
    @inline(__always)
    public static func object<Object: ~Copyable>(
        _ make: () -> UnsafeMutablePointer<Object>?
    ) -> UnsafeMutablePointer<Object>? {
        existing() ?? made(make)
    }

    /// The object if it exists.
    @inline(__always)
    public static func existing<Object: ~Copyable>() -> UnsafeMutablePointer<Object>? {
        guard let page = UnsafeMutablePointer<Page>(bitPattern: pageAddress.load(ordering: .acquiring)) else {
            return nil
        }
        // Acquire: pairs with the release in `made`, so that the object's contents are visible.
        return UnsafeMutablePointer(bitPattern: atomic(page).pointee.load(ordering: .acquiring))
    }

    private static func made<Object: ~Copyable>(
        _ make: () -> UnsafeMutablePointer<Object>?
    ) -> UnsafeMutablePointer<Object>? {
        guard let page = page() else { return nil }
        pthread_mutex_lock(&page.pointee.mutex)
        defer { pthread_mutex_unlock(&page.pointee.mutex) }
        if let object: UnsafeMutablePointer<Object> = existing() { return object }
        let object = make()
        atomic(page).pointee.store(UInt(bitPattern: object), ordering: .releasing)
        return object
    }

    @inline(__always)
    private static func atomic(_ page: UnsafeMutablePointer<Page>) -> UnsafeMutablePointer<Atomic<UInt>> {
        // The first field, which is accessed atomically only.
        UnsafeMutableRawPointer(page).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    private static func page() -> UnsafeMutablePointer<Page>? {
        if let page = UnsafeMutablePointer<Page>(bitPattern: pageAddress.load(ordering: .acquiring)) { return page }
        let result = Kernel.mmap(4096, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        Kernel.madvise(start, 4096, CK_MADV_WIPEONFORK)
        let (exchanged, original) = pageAddress.compareExchange(
            expected: 0, desired: UInt(result), ordering: .acquiringAndReleasing)
        guard exchanged else {
            Kernel.munmap(start, 4096)
            return UnsafeMutablePointer(bitPattern: original)
        }
        // Zeroed: no object, and an unlocked mutex.
        return start.assumingMemoryBound(to: Page.self)
    }
}

/// The address of the page; 0 before the first call. Children inherit the address and the mapping.
private let pageAddress = Atomic<UInt>(0)
