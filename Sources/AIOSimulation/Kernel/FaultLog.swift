internal import AIO
internal import FaultInjection

/// The faults that happened, each with its place: which of the calls of one name on one file it was.
struct FaultLog {
    private struct Place: Hashable {
        let call: String
        let file: [UInt8]?
    }

    private(set) var faults: [InjectedFault] = []
    /// How many calls there were, counted as the rules do.
    private var counts: [Place: Int] = [:]

    /// Counts a call on these files. Returns its number among those of its name on the first of them.
    mutating func count(_ form: CallForm, _ files: [[UInt8]]) -> Int {
        let own = Place(call: "\(form.name)", file: files.first)
        for name in form.names {
            for file in [nil] + files.enumerated().filter({ files.firstIndex(of: $1) == $0 }).map(\.element) {
                counts[Place(call: "\(name)", file: file), default: 0] += 1
            }
        }
        return counts[own] ?? 0
    }

    mutating func add(
        _ effect: SimulatedFault.Effect, _ form: CallForm, _ files: [[UInt8]], _ number: Int, _ world: World
    ) {
        let file = files.first.map { String(decoding: $0, as: UTF8.self) }
        let fault = SimulatedFault(effect, .nth(number), of: "\(form.name)", onExactly: file)
        faults.append(InjectedFault(fault: fault, call: world.callCount, time: world.now))
    }
}

extension SimulatedFault.Effect {
    init(_ action: FaultRule.Action) {
        self =
            switch action {
            case .fail(let errno): .error(Errno(rawValue: errno))
            case .half, .short: .short
            case .flip: .bitFlip
            case .hang: .hang
            case .slow(let time): .slow(.nanoseconds(Int64(clamping: time)))
            }
    }

    var action: FaultRule.Action {
        switch self {
        case .error(let errno): .fail(errno.rawValue)
        case .short: .half
        case .bitFlip: .flip
        case .hang: .hang
        case .slow(let time): .slow(time.nanoseconds)
        }
    }
}
