internal import AIOCore

extension Operation {
    /// The operation's name in errors.
    var name: String { traits.name.description }
}
