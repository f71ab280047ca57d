import AIO
import CKernel
import Testing

@testable import AIOSimulation

/// What one kernel answered to a call.
struct Answer: Equatable, CustomStringConvertible {
    var result: Int
    var bytes: [UInt8] = []
    var flags: UInt32 = 0
    /// A name, without what each kernel chooses for itself.
    var name = ""

    var description: String { "\(result) \(bytes.count) bytes \(bytes.prefix(4)) flags \(flags) \(name)" }
}

/// The descriptors of one of two kernels, in the same places on both.
struct Side {
    let caller: Caller
    var numbers: [Int] = []
    /// The name that a socket was bound to, as this kernel reports it.
    var names: [SocketAddress?] = []

    mutating func add(_ number: Int) {
        numbers.append(number)
        names.append(nil)
    }

    mutating func closeAll() {
        for index in numbers.indices where numbers[index] >= 0 { caller.close(numbers[index]) }
        (numbers, names) = ([], [])
    }

    /// The place and port of an address, with the port replaced by the place of the socket that has it.
    func comparable(_ name: SocketAddress?) -> String {
        guard let name else { return "none" }
        if let index = names.firstIndex(of: name) { return "name of \(index)" }
        switch name {
        case .v4, .v6: return "\(name.with(port: name.port == 0 ? 0 : 1))"
        case .abstract: return "abstract"
        case .unix, .unnamed: return "\(name)"
        }
    }
}

/// A random sequence of calls, made on a simulated kernel and on the real one. Their answers, and the readiness of all
/// descriptors after each call, must be the same.
struct Differential {
    var simulated: Side
    var real: Side
    private(set) var history: [String] = []
    private(set) var difference: String?

    init() {
        let world = World(seed: 1)
        simulated = Side(caller: .simulated(SimulatedKernel(host: "a", in: world)))
        real = Side(caller: .real)
        self.world = world
    }

    private let world: World

    var count: Int { simulated.numbers.count }
    func isOpen(_ index: Int) -> Bool { simulated.numbers[index] >= 0 }

    /// Makes a call on both kernels.
    mutating func compare(_ what: String, _ body: (inout Side) -> Answer) {
        guard difference == nil else { return }
        history.append(what)
        let expected = body(&real)
        let answer = body(&simulated)
        if answer != expected {
            difference = "\(what): simulated \(answer), real \(expected)"
            return
        }
        compareReadiness(what)
    }

    /// The real kernel may need a moment for what happens in the network.
    private mutating func compareReadiness(_ what: String) {
        for index in simulated.numbers.indices where isOpen(index) {
            let events = simulated.caller.events(simulated.numbers[index])
            var expected = real.caller.events(real.numbers[index])
            let deadline = ContinuousClock.now + .milliseconds(200)
            while events != expected, ContinuousClock.now < deadline {
                expected = real.caller.events(real.numbers[index])
            }
            if events != expected {
                difference =
                    "readiness of \(index) after \(what): simulated \(String(events, radix: 16)), "
                    + "real \(String(expected, radix: 16))"
                return
            }
        }
    }

    mutating func close() {
        simulated.closeAll()
        real.closeAll()
    }

    var report: String { (difference ?? "") + "\n" + history.joined(separator: "\n") }
}
