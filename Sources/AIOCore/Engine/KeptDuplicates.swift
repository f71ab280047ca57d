internal import CKernel

/// Duplicates of files on which the process has record locks, and that no operation needs at the moment. Their close would
/// let go of all these locks (fcntl(2), F_SETLK), so they are kept until there are none, and used again for the next
/// operation on the same open file: a database that locks its files has one for each of them, not one for each operation.
///
/// Used under the lock of `DuplicateFileHolds`.
struct KeptDuplicates: ~Copyable {
    private struct Item: BitwiseCopyable {
        var duplicate: Int32
        var file: FileIdentity
    }

    private let items: UnsafeMutablePointer<Item>
    private(set) var count = 0
    /// Where the next look at old ones begins.
    private var next = 0

    /// More than a process has files, by most limits. What finds no place stays open for good.
    private static var capacity: Int { 4096 }
    /// So many are looked at when one is added: a system call each.
    private static var looks: Int { 2 }

    init() { items = .allocate(capacity: Self.capacity) }

    deinit { items.deallocate() }

    /// Takes out a duplicate of the open file that `number` names. nil if there is none.
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
        for _ in 0..<min(Self.looks, count) { look() }
        guard count < Self.capacity else { return }
        items[count] = Item(duplicate: duplicate, file: FileIdentity(ofDescriptor: duplicate))
        count += 1
    }

    /// Closes one if its file has no locks any more.
    private mutating func look() {
        next = next < count ? next : 0
        guard !Kernel.hasRecordLocks(items[next].duplicate) else {
            next += 1
            return
        }
        GuestNumbers.close(items[next].duplicate)
        remove(next)
    }

    private mutating func remove(_ index: Int) {
        count -= 1
        items[index] = items[count]
    }
}
