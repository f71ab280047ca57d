package import AIOCore

/// Which call does not go as the kernel would have it, and what becomes of it.
package struct FaultRule: Sendable {
    package enum Action: Sendable, Equatable {
        /// The call is not executed, and fails with this errno. A close is executed first, as the kernel gives the
        /// number up even if it reports an error.
        case fail(Int32)
        /// At most this many bytes are transferred. For a call that transfers none, nothing happens.
        case short(Int)
        /// About half of the bytes are transferred, and at least one.
        case half
        /// One bit of what a read returns is wrong.
        case flip
        /// The call is executed after this time.
        case slow(Nanoseconds)
        /// The call is executed once `FaultPlan.release` is called.
        case hang
    }

    /// Which of the calls that the rule applies to.
    package enum Occurrence: Sendable, Equatable {
        /// The n-th, from 1 on.
        case nth(Int)
        /// One in so many, at random.
        case oneIn(Int)
        case always
    }

    /// Which files the calls are on.
    package enum Place: Sendable, Equatable {
        case everywhere
        /// This path, what is below it, and descriptors opened from there.
        case under([UInt8])
        /// Files whose name begins so: in a simulation what is no file has a name, too.
        case beginning([UInt8])
        /// The file of this name.
        case exactly([UInt8])
    }

    /// The name of the system call; `read` and `write` stand for all their forms. nil for every call.
    package var name: [UInt8]?
    package var place: Place
    package var occurrence: Occurrence
    package var action: Action

    package init(_ name: String?, under path: String? = nil, ordinal: Int? = nil, _ action: Action) {
        self.init(
            name: name.map { Array($0.utf8) }, path.map { .under(Array($0.utf8)) } ?? .everywhere,
            ordinal.map { .nth($0) } ?? .always, action)
    }

    package init(name: [UInt8]?, _ place: Place, _ occurrence: Occurrence, _ action: Action) {
        self.name = name
        self.place = place
        self.occurrence = occurrence
        self.action = action
    }

    func applies(to form: CallForm, on files: [[UInt8]]) -> Bool {
        if let name, !form.isNamed(name) { return false }
        return mayApply(on: files)
    }

    /// Whether it is for a call that engines make for themselves, and no operation is: the engine carries operations
    /// out as always, since how it does that is what the rule is about.
    var isOfEngine: Bool { name.map(CallForm.isOfEngine) ?? false }

    func mayApply(on files: [[UInt8]]) -> Bool { place.contains(anyOf: files) }
}

extension FaultRule.Place {
    package func contains(anyOf files: [[UInt8]]) -> Bool {
        switch self {
        case .everywhere: true
        case .under(let path): files.contains { OpenNames.isPath($0, under: path) }
        case .beginning(let name): files.contains { $0.starts(with: name) }
        case .exactly(let name): files.contains(name)
        }
    }
}

/// A call that reached a plan.
package struct MadeCall: Sendable {
    package let name: StaticString
    /// The paths that it was made on, as far as they are known, and the kinds of descriptors without a path.
    package let files: [[UInt8]]
}
