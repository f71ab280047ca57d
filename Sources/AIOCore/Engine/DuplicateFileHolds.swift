internal import CKernel

/// Holds by a duplicate under a high number (fcntl(2), F_DUPFD_CLOEXEC), for what plain calls are made on.
///
/// Operations on one file share a duplicate while there are any: whether a number still names the file that it named
/// when the duplicate was made is asked of the kernel each time (F_DUPFD_QUERY, Linux 6.10, or kcmp(2)). Where neither is
/// to be had, each operation has a duplicate of its own.
///
/// The close of any descriptor of a file lets go of all record locks that the process has on it (fcntl(2), F_SETLK). So
/// a duplicate of a file with such locks, whoever has them, is kept until there are none (`KeptDuplicates`). A lock that
/// another thread takes between the question and the close is lost: the kernel has no close that asks.
public final class DuplicateFileHolds: FileHolds, @unchecked Sendable {
    // @unchecked: all but the constants is used under `lock` only.

    /// A duplicate, and the number that it was made of.
    private struct Shared: BitwiseCopyable {
        var number: Int32 = -1
        /// The duplicate.
        var descriptor = Descriptor(-1)
        var file = FileIdentity()
        /// Operations that it is held for; 0 if the place is free.
        var users = 0
    }

    /// Whether the kernel tells which numbers name one open file.
    public let canShare: Bool
    /// Whether it knows RWF_NOAPPEND (6.9).
    public let knowsNoAppend: Bool
    private let lock = Lock()
    private let least = Kernel.guestNumbers()
    /// By the number that the program uses.
    private let shared: UnsafeMutablePointer<Shared>
    /// Which of them a duplicate is, by how far its number is above the least: 255 for none.
    private let places: UnsafeMutablePointer<UInt8>
    private let kept: UnsafeMutablePointer<KeptDuplicates>

    private static var sharedMax: Int { 64 }
    private static var placeMax: Int { 512 }

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

    /// Joins the hold of a file or block device that this number names and that other operations hold already. nil if
    /// there is none. Whether
    /// the file is open for direct I/O by now is the caller's to know.
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
        // Not under the lock, which the call would stretch: as long as we are among the users it stays open.
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

    /// Under the lock: one user less. Whether there are others.
    private func leave(_ duplicate: Int32) -> Bool {
        let distance = Int(duplicate - least)
        guard distance < Self.placeMax, places[distance] != 255 else { return false }
        let place = shared + Int(places[distance])
        place.pointee.users -= 1
        if place.pointee.users > 0 { return true }
        places[distance] = 255
        return false
    }
}
