/// Mistakes that a log of this kind may make. The tests build each one in, to see that the simulation finds it.
package struct Shortcuts: OptionSet, Sendable {
    package let rawValue: Int

    package init(rawValue: Int) { self.rawValue = rawValue }

    /// A group is acknowledged without a sync.
    package static let noSync = Shortcuts(rawValue: 1)
    /// The name of a new file is not made durable.
    package static let noDirectorySync = Shortcuts(rawValue: 2)
    /// A group is acknowledged although its sync failed.
    package static let failedSyncIgnored = Shortcuts(rawValue: 4)
    /// An incomplete last line stays in the file, and the next one continues it.
    package static let incompleteLineKept = Shortcuts(rawValue: 8)
}
