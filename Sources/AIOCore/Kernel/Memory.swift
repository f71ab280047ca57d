internal import CKernel

/// Memory mappings.
extension Kernel {
    /// mmap(2). A negative result is an errno; anything else is the address.
    public static func mmap(_ count: Int, _ protection: Int32, _ flags: Int32, _ descriptor: Int32, _ offset: UInt64)
        -> Int
    {
        call(CK_NR_mmap, 0, count, Int(protection), Int(flags), Int(descriptor), Int(offset))
    }

    /// munmap(2), libc's: see memory.h.
    @discardableResult
    public static func munmap(_ start: UnsafeMutableRawPointer, _ count: Int) -> Int {
        ck_munmap(start, count)
    }

    /// mremap(2) of a shared mapping with an old size of 0: maps the same memory again, replacing what is at `target`,
    /// or anywhere if that is 0. A negative result is an errno; anything else is the address.
    public static func mapAgain(_ start: UnsafeMutableRawPointer, _ count: Int, at target: UInt) -> Int {
        let flags = target == 0 ? CK_MREMAP_MAYMOVE : CK_MREMAP_MAYMOVE | CK_MREMAP_FIXED
        return call(CK_NR_mremap, address(start), 0, count, Int(flags), Int(bitPattern: target))
    }

    /// madvise(2).
    @discardableResult
    public static func madvise(_ start: UnsafeMutableRawPointer, _ count: Int, _ advice: Int32) -> Int {
        call(CK_NR_madvise, address(start), count, Int(advice))
    }

    /// memfd_create(2), close-on-exec; where that is refused, an unnamed file (O_TMPFILE) in /dev/shm or /tmp.
    public static func memoryDescriptor(_ name: StaticString) -> Int {
        let made = call(CK_NR_memfd_create, address(name.utf8Start), Int(CK_MFD_CLOEXEC))
        guard isRefusal(made) else { return made }
        var how = ck_open_how(flags: CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY | CK_O_CLOEXEC, mode: 0o600, resolve: 0)
        for folder in ["/dev/shm", "/tmp"] as [StaticString] {
            let opened = UnsafeRawPointer(folder.utf8Start).withMemoryRebound(to: CChar.self, capacity: 1) {
                openat2(CK_AT_FDCWD, $0, &how)
            }
            if opened >= 0 { return opened }
        }
        return made
    }

    /// process_vm_readv(2) of this process: copies memory that may be unmapped. Returns the bytes copied, or -EFAULT
    /// where a direct access would crash.
    public static func copyOwnMemory(
        from source: UnsafeMutableRawPointer?, to target: UnsafeMutableRawBufferPointer
    ) -> Int {
        var local = iovec(iov_base: target.baseAddress, iov_len: target.count)
        var remote = iovec(iov_base: source, iov_len: target.count)
        // By thread ID: once the main thread has exited, the process ID no longer identifies the memory.
        return call(CK_NR_process_vm_readv, Int(threadID()), address(&local), 1, address(&remote), 1, 0)
    }
}
