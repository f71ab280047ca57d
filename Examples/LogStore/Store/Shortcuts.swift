/// Mistakes that a store of this kind may make. The tests build each one in, to see that the simulation finds it.
package struct Shortcuts: OptionSet, Sendable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    /// An entry is acknowledged without a sync.
    package static let noSync = Shortcuts(rawValue: 1)
    /// The log is synced while the entry is being written, which need not include it.
    package static let syncBeforeWrite = Shortcuts(rawValue: 2)
    /// The checkpoint gets its name without a sync of the directory, before the old log is removed.
    package static let noDirectorySync = Shortcuts(rawValue: 4)
    /// The checksum of an entry is not looked at.
    package static let noChecksum = Shortcuts(rawValue: 8)
    /// An entry is acknowledged although its sync failed.
    package static let failedSyncIgnored = Shortcuts(rawValue: 16)
}
