package import AIOCore

/// Which call does not go as the kernel would have it, and what becomes of it.
package struct FaultRule: Sendable {
    package enum Action: Sendable, Equatable {
        /// The call is not executed, and fails with this errno. A close is executed first, as the kernel gives the
        /// number up even if it reports an error.
        case fail(Int32)
        /// At most this many bytes are transferred. For a call that transfers none, nothing happens.
        case short(Int)
        /// The call is executed after this time.
        case slow(Nanoseconds)
        /// The call is executed once `FaultPlan.release` is called.
        case hang
    }

    /// The name of the system call; `read` and `write` stand for all their forms. nil for every call.
    package var name: [UInt8]?
    /// Only calls on this path, on what is below it, or on descriptors opened from there. nil for every call.
    package var path: [UInt8]?
    /// The number of the call among those that the rule applies to, from 1 on. nil for each of them.
    package var ordinal: Int?
    package var action: Action

    package init(_ name: String?, under path: String? = nil, ordinal: Int? = nil, _ action: Action) {
        self.name = name.map { Array($0.utf8) }
        self.path = path.map { Array($0.utf8) }
        self.ordinal = ordinal
        self.action = action
    }

    init(name: [UInt8]?, path: [UInt8]?, ordinal: Int?, action: Action) {
        self.name = name
        self.path = path
        self.ordinal = ordinal
        self.action = action
    }

    func applies(to form: CallForm, on paths: [[UInt8]]) -> Bool {
        if let name, !form.isNamed(name) { return false }
        guard let path else { return true }
        return paths.contains { OpenNames.isPath($0, under: path) }
    }
}

/// A call that reached a plan.
package struct MadeCall: Sendable {
    package let name: StaticString
    /// The path that it was made on, if that is known.
    package let path: [UInt8]?
}
