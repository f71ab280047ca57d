internal import CKernel
internal import Synchronization

/// The registry of the library's descriptors inside a program that is unaware of them, and may close every number it
/// does not know: closefrom(3), close_range(2), a loop over close(2), dup2(2) onto any number. The drop-ins'
/// replacements of those calls consult it first.
///
/// A number is recorded under the lock under which it is created, and removed under the lock under which it is closed,
/// so a query under the lock is exact. Everything is in pages that the kernel wipes in a forked child (MADV_WIPEONFORK,
/// 4.14): there the numbers belong to anyone, and the lock is free.
public enum GuestNumbers {
    /// The layout of the pages: the lock, which is the thread that holds it (`pthread_self`); how many threads wait for
    /// it, and the futex word that they sleep on; the lowest number ever registered plus one, or 0 for none; then one
    /// bit per number.
    private enum Offset {
        static var owner: Int { 0 }
        static var lowest: Int { 8 }
        static var waiterCount: Int { 64 }
        static var releases: Int { 68 }
        static var bits: Int { 4096 }
    }

    // Accesses are relaxed: whoever relies on a value holds the lock.
    private typealias Word = UnsafeMutablePointer<Atomic<UInt64>>

    /// Higher numbers are not recorded.
    private static var capacity: Int { 1 << 16 }
    private static var size: Int { Offset.bits + capacity / 8 }

    // MARK: The guest's side

    /// fcntl(2), F_DUPFD_CLOEXEC: duplicates to a number that no program expects, from `least` on.
    public static func duplicate(_ descriptor: Int32, from least: Int32 = Kernel.guestNumbers()) -> Int {
        locked {
            noteLowest(least)
            let made = Kernel.duplicate(descriptor, from: least)
            if made >= 0 { note(Int32(made)) }
            return made
        }
    }

    /// Moves a descriptor to a number that no program expects. Without a free one it stays, and is recorded where it
    /// is.
    public static func moveUp(_ descriptor: Int32) -> Int32 {
        let moved = duplicate(descriptor)
        guard moved < 0 else {
            Kernel.close(descriptor)
            return Int32(moved)
        }
        locked {
            noteLowest(descriptor)
            note(descriptor)
        }
        return descriptor
    }

    /// close(2), whether or not the number is registered.
    public static func close(_ descriptor: Int32) {
        guard contains(descriptor), let word = word(of: descriptor) else {
            Kernel.close(descriptor)
            return
        }
        locked {
            Kernel.close(descriptor)
            // Relaxed: whoever relies on it holds the lock.
            word.pointee.bitwiseAnd(~bit(descriptor), ordering: .relaxed)
        }
    }

    /// Closes a descriptor of a type that the library creates for itself, without a file type (eventfd, epoll, timerfd,
    /// a ring). If the number names anything else, the program has closed it past all replacements of close(2), and the
    /// file is the program's.
    public static func closeOwn(_ descriptor: Int32) {
        if Kernel.isAnonymous(descriptor) { close(descriptor) } else { forget(descriptor) }
    }

    private static func forget(_ descriptor: Int32) {
        locked { _ = word(of: descriptor)?.pointee.bitwiseAnd(~bit(descriptor), ordering: .relaxed) }
    }

    private static func note(_ descriptor: Int32) {
        word(of: descriptor)?.pointee.bitwiseOr(bit(descriptor), ordering: .relaxed)
    }

    private static func noteLowest(_ number: Int32) {
        guard let page = page() else { return }
        let lowest = word32(page, Offset.lowest)
        let known = lowest.pointee.load(ordering: .relaxed)
        if known == 0 || UInt32(number) &+ 1 < known { lowest.pointee.store(UInt32(number) &+ 1, ordering: .relaxed) }
    }

    // MARK: The program's side

    /// Whether the number is certainly not registered, nor about to be; no lock is needed then.
    public static func isBelow(_ descriptor: Int32) -> Bool {
        guard let page = existingPage() else { return true }
        let lowest = word32(page, Offset.lowest).pointee.load(ordering: .relaxed)
        return lowest == 0 || descriptor < 0 || UInt32(descriptor) &+ 1 < lowest
    }

    /// Whether the number is registered.
    public static func contains(_ descriptor: Int32) -> Bool {
        guard let word = word(of: descriptor) else { return false }
        return word.pointee.load(ordering: .relaxed) & bit(descriptor) != 0
    }

    /// The first registered number from `first` on; nil if there is none.
    public static func next(from first: Int32) -> Int32? {
        guard existingPage() != nil else { return nil }
        var number = max(Int(first), 0)
        while number < capacity, let word = word(of: Int32(number)) {
            let bits = word.pointee.load(ordering: .relaxed) >> UInt64(number % 64)
            if bits != 0 { return Int32(number + bits.trailingZeroBitCount) }
            number = (number | 63) + 1
        }
        return nil
    }

    /// Runs `body` while no other thread creates or closes a registered number. Async-signal-safe, since close(2) is: a
    /// handler may run inside of `body`.
    ///
    /// One compare-and-exchange both takes the lock and names its owner, so that a handler finds either. libc's locks
    /// know their owner only a few instructions later, and a handler that came in between would wait for itself.
    public static func locked<Result>(_ body: () -> Result) -> Result {
        guard let page = page() else { return body() }
        let owner = owner(page)
        let thread = Kernel.currentThread()
        // Relaxed: only this thread itself can have stored its own ID.
        if owner.pointee.load(ordering: .relaxed) == thread { return body() }
        if !take(owner, for: thread) { wait(page, for: thread) }
        defer { release(page) }
        return body()
    }

    private static func take(_ owner: UnsafeMutablePointer<Atomic<UInt>>, for thread: UInt) -> Bool {
        // Acquires what the last owner did. Sequentially consistent: see `wait`.
        owner.pointee.compareExchange(expected: 0, desired: thread, ordering: .sequentiallyConsistent).exchanged
    }

    /// Takes the lock once its owner has released it.
    private static func wait(_ page: UnsafeMutableRawPointer, for thread: UInt) {
        let (waiterCount, releases) = (word32(page, Offset.waiterCount), word32(page, Offset.releases))
        // All sequentially consistent, against a lost wake-up. This thread counts itself in and then looks at the
        // owner; the owner clears itself and then looks at the count. At least one sees the other's store, and the word
        // has changed by then, or wakes this thread.
        waiterCount.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while true {
            let count = releases.pointee.load(ordering: .sequentiallyConsistent)
            if take(owner(page), for: thread) { break }
            _ = Kernel.futexWaitPastStandIn(releases, while: count, until: .never)
        }
        waiterCount.pointee.wrappingSubtract(1, ordering: .relaxed)
    }

    private static func release(_ page: UnsafeMutableRawPointer) {
        let releases = word32(page, Offset.releases)
        owner(page).pointee.store(0, ordering: .sequentiallyConsistent)
        guard word32(page, Offset.waiterCount).pointee.load(ordering: .sequentiallyConsistent) > 0 else { return }
        releases.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWakePastStandIn(releases, 1)
    }

    // MARK: The pages

    private static func bit(_ descriptor: Int32) -> UInt64 { 1 << UInt64(descriptor % 64) }

    private static func word(of descriptor: Int32) -> Word? {
        guard descriptor >= 0, descriptor < capacity, let page = existingPage() else { return nil }
        let words = (page + Offset.bits).assumingMemoryBound(to: Atomic<UInt64>.self)
        return words + Int(descriptor / 64)
    }

    // Sound: the memory starts zeroed, and is accessed only through these types.
    private static func owner(_ page: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Atomic<UInt>> {
        (page + Offset.owner).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    private static func word32(_ page: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Atomic<UInt32>> {
        (page + offset).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    private static func existingPage() -> UnsafeMutableRawPointer? {
        // Acquire: the mapping was created and advised before its address was stored.
        UnsafeMutableRawPointer(bitPattern: pageAddress.load(ordering: .acquiring))
    }

    private static func page() -> UnsafeMutableRawPointer? {
        if let page = existingPage() { return page }
        let result = Kernel.mmap(size, CK_PROT_READ | CK_PROT_WRITE, CK_MAP_PRIVATE | CK_MAP_ANONYMOUS, -1, 0)
        guard result > 0, let start = UnsafeMutableRawPointer(bitPattern: result) else { return nil }
        Kernel.madvise(start, size, CK_MADV_WIPEONFORK)
        // Release: publishes the mapping. Acquire: another thread's may have come first.
        let (exchanged, original) = pageAddress.compareExchange(
            expected: 0, desired: UInt(result), ordering: .acquiringAndReleasing)
        guard exchanged else {
            Kernel.munmap(start, size)
            return UnsafeMutableRawPointer(bitPattern: original)
        }
        return start
    }
}

/// The address of the pages; 0 before the first number. A forked child inherits it, as it does the mapping.
private let pageAddress = Atomic<UInt>(0)
