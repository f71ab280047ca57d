internal import AIOCore

extension Operation {
    /// The word that errors use.
    var name: String { traits.name.description }
}
