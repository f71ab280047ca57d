internal import CKernel

/// Holds by duplicates under high numbers (fcntl(2), F_DUPFD_CLOEXEC), for plain system calls.
///
/// Concurrent operations on one file share a duplicate. The kernel is asked each time whether a number still names the
/// file of the duplicate (F_DUPFD_QUERY, Linux 6.10, or kcmp(2)). Without either, each operation has a duplicate of its
/// own.
///
/// Closing any descriptor of a file releases all record locks that the process has on it (fcntl(2), F_SETLK). The
/// duplicate of a file with such locks, whoever holds them, is therefore kept until there are none (`KeptDuplicates`).
/// A lock that another thread takes between this check and the close is lost (TOCTOU): the kernel has no conditional
/// close.
public final class DuplicateFileHolds: FileHolds, @unchecked Sendable {
    // @unchecked: everything but the constants is accessed under `lock` only.

    /// A duplicate, and the number that it duplicates.
    private struct Shared: BitwiseCopyable {
        var number: Int32 = -1
        /// The duplicate's descriptor.
        var descriptor = Descriptor(-1)
        var file = FileIdentity()
        /// The number of operations that hold it; 0 if the entry is free.
        var users = 0
    }

    /// Whether the kernel tells which numbers name one open file.
    public let canShare: Bool
    /// Whether the kernel supports RWF_NOAPPEND (6.9).
    public let knowsNoAppend: Bool
    private let lock = Lock()
    private let least = Kernel.guestNumbers()
    /// Indexed by the program's number, modulo `sharedMax`.
    private let shared: UnsafeMutablePointer<Shared>
    /// By a duplicate's distance from `least`, its index in `shared`; 255 for none.
    private let places: UnsafeMutablePointer<UInt8>
    private let kept: UnsafeMutablePointer<KeptDuplicates>

    /// Entries for the files in use at a time, few enough that an index fits a byte; and how far a duplicate's number
    /// may be from the first for it to be found by its number.
    private static var sharedMax: Int { 64 }
    private static var placeMax: Int { 512 }

    /// Holds on no file.
    public override init() {
        shared = .allocate(capacity: Self.sharedMax)
        shared.initialize(repeating: Shared(), count: Self.sharedMax)
        places = .allocate(capacity: Self.placeMax)
        places.initialize(repeating: 255, count: Self.placeMax)
        kept = .allocate(capacity: 1)
        kept.initialize(to: KeptDuplicates())
        (canShare, knowsNoAppend) = Self.askKernel()
        super.init()
    }

    deinit {
        shared.deallocate()
        places.deallocate()
        kept.deinitialize(count: 1)
        kept.deallocate()
    }

    private static func askKernel() -> (canShare: Bool, knowsNoAppend: Bool) {
        let made = Kernel.eventDescriptor()
        guard made >= 0 else { return (false, false) }
        let any = Int32(made)
        defer { Kernel.close(any) }
        return (Kernel.isSameOpenFile(any, any), Kernel.knowsNoAppend(any))
    }

    // MARK: Holding

    /// Joins an existing hold of the file or block device that this number names; nil without one. The caller must find
    /// out whether the file has been switched to direct I/O.
    public func join(_ number: Int32) -> (descriptor: Descriptor, file: FileIdentity)? {
        guard number >= 0 else { return nil }
        let place = shared + Int(number) % Self.sharedMax
        lock.lock()
        guard place.pointee.users > 0, place.pointee.number == number else {
            lock.unlock()
            return nil
        }
        place.pointee.users += 1
        let found = place.pointee
        lock.unlock()
        // Outside of the lock, which the system call would prolong: the duplicate stays open while this call is among
        // its users.
        guard Kernel.isSameOpenFile(number, found.descriptor.number) else {
            release(found.descriptor.number)
            return nil
        }
        return (found.descriptor, found.file)
    }

    /// Holds a file, so that others may join.
    public func hold(_ descriptor: Descriptor, _ file: FileIdentity) -> Outcome {
        let outcome = takeKept(descriptor, file).map(Outcome.held) ?? hold(descriptor)
        if case .held(let held) = outcome { share(descriptor.number, held, file) }
        return outcome
    }

    private func takeKept(_ descriptor: Descriptor, _ file: FileIdentity) -> Descriptor? {
        lock.lock()
        defer { lock.unlock() }
        guard kept.pointee.count > 0, let number = kept.pointee.take(descriptor.number, file) else { return nil }
        var held = descriptor
        held.number = number
        return held
    }

    public override func hold(_ descriptor: Descriptor) -> Outcome {
        let number = GuestNumbers.duplicate(descriptor.number, from: least)
        guard number >= 0 else { return number == -Int(EBADF) ? .notOpen : .noPlace }
        var held = descriptor
        held.number = Int32(number)
        return .held(held)
    }

    private func share(_ number: Int32, _ duplicate: Descriptor, _ file: FileIdentity) {
        let place = Int(number) % Self.sharedMax
        let distance = Int(duplicate.number - least)
        guard canShare, distance < Self.placeMax else { return }
        lock.lock()
        defer { lock.unlock() }
        guard shared[place].users == 0 else { return }
        assert(places[distance] == 255, "the duplicate is shared already")
        shared[place] = Shared(number: number, descriptor: duplicate, file: file, users: 1)
        places[distance] = UInt8(place)
    }

    // MARK: Letting go

    public override func release(_ descriptor: Descriptor) { release(descriptor.number) }

    private func release(_ duplicate: Int32) {
        lock.lock()
        let isUsed = leave(duplicate)
        lock.unlock()
        if isUsed { return }
        guard Kernel.hasRecordLocks(duplicate) else {
            GuestNumbers.close(duplicate)
            return
        }
        lock.lock()
        kept.pointee.add(duplicate)
        lock.unlock()
    }

    /// Under the lock: removes one user. Returns whether others remain.
    private func leave(_ duplicate: Int32) -> Bool {
        assert(lock.isHeld)
        let distance = Int(duplicate - least)
        assert(distance >= 0, "the descriptor is no duplicate")
        guard distance < Self.placeMax, places[distance] != 255 else { return false }
        let place = shared + Int(places[distance])
        assert(place.pointee.users > 0 && place.pointee.descriptor.number == duplicate, "the duplicate has no users")
        place.pointee.users -= 1
        if place.pointee.users > 0 { return true }
        places[distance] = 255
        return false
    }
}
