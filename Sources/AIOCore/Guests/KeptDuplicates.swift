internal import CKernel

/// Duplicates that no operation needs, of files on which the process has record locks. Closing one would release all of
/// these locks (fcntl(2), F_SETLK), so each is kept until there are none, and reused by the next operation on the same
/// open file: a database that locks its files has one duplicate per file, not one per operation.
///
/// Used under the lock of `DuplicateFileHolds`.
struct KeptDuplicates: ~Copyable {
    private struct Item: BitwiseCopyable {
        var duplicate: Int32
        var file: FileIdentity
    }

    private let items: UnsafeMutablePointer<Item>
    private(set) var count = 0
    /// Where the next check of old duplicates starts.
    private var next = 0

    /// More than most limits allow open files. A duplicate beyond it stays open permanently.
    private static var capacity: Int { 4096 }
    /// The number of duplicates to check when one is added: a system call each.
    private static var looks: Int { 2 }

    init() { items = .allocate(capacity: Self.capacity) }

    deinit { items.deallocate() }

    /// Removes and returns a duplicate of the open file that `number` names; nil without one.
    mutating func take(_ number: Int32, _ file: FileIdentity) -> Int32? {
        for index in 0..<count
        where items[index].file == file && Kernel.isSameOpenFile(number, items[index].duplicate) {
            let found = items[index].duplicate
            remove(index)
            return found
        }
        return nil
    }

    mutating func add(_ duplicate: Int32) {
        // Not whether it is kept already: a program can close its number past the replacements of close(2).
        assert(!GuestNumbers.isBelow(duplicate), "the number is the program's")
        for _ in 0..<min(Self.looks, count) { look() }
        guard count < Self.capacity else { return }
        items[count] = Item(duplicate: duplicate, file: FileIdentity(ofDescriptor: duplicate))
        count += 1
    }

    /// Closes the next duplicate if its file has no locks any more.
    private mutating func look() {
        next = next < count ? next : 0
        assert(next < count, "there is no duplicate to look at")
        guard !Kernel.hasRecordLocks(items[next].duplicate) else {
            next += 1
            return
        }
        GuestNumbers.close(items[next].duplicate)
        remove(next)
    }

    private mutating func remove(_ index: Int) {
        assert(index >= 0 && index < count, "no duplicate at the index")
        count -= 1
        items[index] = items[count]
    }
}
