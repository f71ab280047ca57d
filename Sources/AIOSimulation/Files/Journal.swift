/// The changes of metadata in their order, with what they replaced.
///
/// This is the journal of ext4 (jbd2) and the log of XFS as a crash sees them: what is committed stays, and of the rest
/// a prefix survives (Documentation/filesystems/journalling.rst and xfs/xfs-delayed-logging-design.rst in the kernel's
/// sources). Each system call makes one transaction.
struct Journal {
    /// What a transaction replaced.
    enum Replaced {
        case name(Directory, FileName, Inode?)
        case attributes(Inode, InodeAttributes)
    }

    struct Transaction {
        let number: UInt64
        var replaced: [Replaced]
    }

    private(set) var transactions: [Transaction] = []
    private(set) var lastNumber: UInt64 = 0

    /// More are not kept: the oldest are committed, as the kernel does after some seconds.
    private static let limit = 4096

    mutating func begin() -> UInt64 {
        lastNumber += 1
        if transactions.count >= Self.limit { transactions.removeFirst(Self.limit / 2) }
        transactions.append(Transaction(number: lastNumber, replaced: []))
        return lastNumber
    }

    /// Adds to the transaction that was begun last.
    mutating func note(_ replaced: Replaced) {
        transactions[transactions.count - 1].replaced.append(replaced)
    }

    /// Everything up to a transaction is durable.
    mutating func commit(through number: UInt64) {
        transactions.removeFirst(transactions.prefix { $0.number <= number }.count)
    }
}
