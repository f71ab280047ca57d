internal import AIOCore
internal import CKernel

/// Detects a forked child: rings and threads do not survive fork(2).
struct ProcessGuard: ~Copyable, @unchecked Sendable {
    // @unchecked: the page is written before it is shared, and afterwards only by the kernel, in a child.
    private let page: UnsafeMutableRawPointer?
    /// The only thread that may use a runtime over loops that are driven by hand; nil for all others.
    private let onlyThread: UInt?

    /// Maps a page that the kernel zeroes in a child (MADV_WIPEONFORK, Linux 4.14), so that the check is one load.
    init() { self.init(onlyThread: nil) }

    /// For a runtime whose loops the calling thread drives by hand. Its page stays zero: each check looks at the
    /// thread.
    init(forCallingThread: Void) { self.init(onlyThread: Kernel.currentThread()) }

    private init(onlyThread: UInt?) {
        self.onlyThread = onlyThread
        // Rounded up by the kernel where pages are larger.
        let result = Kernel.mmap(
            4096, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let page = UnsafeMutableRawPointer(bitPattern: result),
            Kernel.madvise(page, 4096, CK_MADV_WIPEONFORK) == 0
        else {
            // If no page can be mapped, nothing else will work either, and the check is omitted.
            page = nil
            return
        }
        if onlyThread == nil { page.storeBytes(of: 1, as: UInt8.self) }
        self.page = page
    }

    deinit {
        if let page { Kernel.munmap(page, 4096) }
    }

    @inline(__always)
    private var isZero: Bool { page.map { $0.load(as: UInt8.self) == 0 } ?? false }

    @inline(__always)
    var isForked: Bool { isZero && onlyThread == nil }

    @inline(__always)
    borrowing func check(_ operation: @autoclosure () -> String) throws(IOError) {
        if isZero { try checkThread(operation()) }
    }

    @inline(never)
    private borrowing func checkThread(_ operation: String) throws(IOError) {
        guard let onlyThread else {
            throw IOError(.forked, operation, advice: "create a new runtime or queue in the child, after the fork")
        }
        guard onlyThread == Kernel.currentThread() else {
            let task = Task.name.map { "the task \($0.debugDescription)" } ?? "the task"
            let advice = "\(task) left its simulation: it runs on another thread, which cannot be repeated"
            throw IOError(.invalidArgument, operation, advice: advice)
        }
    }
}
