internal import AIOCore
internal import CKernel

/// Tells whether this is still the process that made it: rings and threads do not survive fork(2).
struct ProcessGuard: ~Copyable, @unchecked Sendable {
    // @unchecked: the page is written before it is shared, and by the kernel when it makes a child.
    private let page: UnsafeMutableRawPointer?

    /// A page that the kernel wipes in a child (MADV_WIPEONFORK, 4.14), so that asking is one load.
    init() {
        let result = Kernel.mmap(
            4096, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let page = UnsafeMutableRawPointer(bitPattern: result),
            Kernel.madvise(page, 4096, CK_MADV_WIPEONFORK) == 0
        else {
            // Without memory for a page nothing else will work either; the check is then left out.
            page = nil
            return
        }
        page.storeBytes(of: 1, as: UInt8.self)
        self.page = page
    }

    deinit {
        if let page { Kernel.munmap(page, 4096) }
    }

    @inline(__always)
    var isForked: Bool { page.map { $0.load(as: UInt8.self) == 0 } ?? false }

    @inline(__always)
    borrowing func check(_ operation: @autoclosure () -> String) throws(IOError) {
        if isForked {
            throw IOError(
                .forked, operation(), advice: "make a new runtime or queue in the child, after the fork")
        }
    }
}
