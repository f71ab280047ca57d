internal import AIOCore
internal import CKernel
internal import Glibc

extension SocketAddress {
    /// The addresses of a host by its name, in the order in which they are to be tried (RFC 6724), each with `port`. A host
    /// that is an address in digits is that address.
    ///
    /// getaddrinfo(3) on a worker, so as this machine is set up: files, DNS and whatever else there is. It cannot be
    /// interrupted: a cancelled task, or one whose deadline passes, gets `cancelled` or `deadlineExceeded` at once, and the
    /// worker goes on until the name servers have answered or libc gives up. At most a quarter of the workers of a loop
    /// look names up at once; more names wait their turn. Throws `nameNotFound`, or `nameLookupFailed` if name servers do
    /// not answer.
    public static func resolve(
        _ host: String, port: UInt16, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> [SocketAddress] {
        try runtime.check(NameLookup.operation)
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, NameLookup.operation) } catch {
            throw IOError(error.code, NameLookup.operation, address: host)
        }
        if let address = numeric(host, port) { return [address] }
        guard !host.isEmpty, !host.utf8.contains(0) else {
            let advice = "the name of a host is not empty, and holds no NUL byte"
            throw IOError(.invalidArgument, NameLookup.operation, address: host, advice: advice)
        }
        switch await runtime.nameLookups.outcome(of: PendingLookup(host), runtime, deadline) {
        case .found(let addresses): return addresses.map { $0.with(port: port) }
        case .failed(var error):
            error.address = host
            throw error
        }
    }
}

/// Looks a name up: getaddrinfo(3), which blocks.
final class NameLookup: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let host: String
    private var addresses: [SocketAddress] = []
    private var failure: Int32 = 0
    private var failureErrno: Int32 = 0

    static var operation: String { "resolve" }

    init(_ host: String) {
        self.host = host
        super.init(deadline: .never)
    }

    override func run() -> Int {
        var hints = addrinfo()
        // One answer an address, and not one for each type of socket.
        hints.ai_socktype = CK_SOCK_STREAM
        var list: UnsafeMutablePointer<addrinfo>?
        failure = getaddrinfo(host, nil, &hints, &list)
        failureErrno = errno
        guard failure == 0 else { return 0 }
        defer { freeaddrinfo(list) }
        var entry = list
        while let info = entry?.pointee {
            if let name = info.ai_addr, let address = SocketAddress(memory: name, count: info.ai_addrlen),
                !addresses.contains(address)
            {
                addresses.append(address)
            }
            entry = info.ai_next
        }
        return 0
    }

    /// Once it has been taken back.
    var outcome: PendingLookup.Outcome {
        switch failure {
        case 0 where !addresses.isEmpty: return .found(addresses)
        case 0, EAI_NONAME, CK_EAI_NODATA, CK_EAI_ADDRFAMILY: return .failed(IOError(.nameNotFound, Self.operation))
        case EAI_MEMORY: return .failed(IOError(.outOfMemory, Self.operation))
        case EAI_SYSTEM: return .failed(IOError(result: -failureErrno, Self.operation))
        case EAI_AGAIN:
            let advice = "the name servers did not answer (see /etc/resolv.conf); try again later"
            return .failed(IOError(.nameLookupFailed, Self.operation, advice: advice))
        default:
            let text = gai_strerror(failure).map { String(cString: $0) }
            return .failed(IOError(.nameLookupFailed, Self.operation, advice: text))
        }
    }
}

/// A name that somebody waits for: answered once, by the worker, a cancel or the deadline.
final class PendingLookup: Sendable {
    enum Outcome: Sendable {
        case found([SocketAddress])
        case failed(IOError)
    }

    private enum State: Sendable {
        case unanswered
        case waitedFor(UnsafeContinuation<Outcome, Never>)
        case answered(Outcome)
    }

    let host: String
    private let state = Guarded(State.unanswered)

    init(_ host: String) { self.host = host }

    var isAnswered: Bool { state.withLock { if case .answered = $0 { true } else { false } } }

    /// The first answer counts.
    func answer(_ outcome: Outcome) {
        let waiter = state.withLock { state -> UnsafeContinuation<Outcome, Never>? in
            switch state {
            case .unanswered:
                state = .answered(outcome)
                return nil
            case .waitedFor(let continuation):
                state = .answered(outcome)
                return continuation
            case .answered: return nil
            }
        }
        waiter?.resume(returning: outcome)
    }

    func fail(_ code: IOError.Code) { answer(.failed(IOError(code, NameLookup.operation))) }

    /// Waits for the answer. Called once.
    func wait() async -> Outcome {
        await withUnsafeContinuation { continuation in
            let answer = state.withLock { state -> Outcome? in
                if case .answered(let outcome) = state { return outcome }
                state = .waitedFor(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

/// The names that a runtime looks up: so many at once that workers are left for files.
final class NameLookups: Sendable {
    private typealias Line = WaitingLine<PendingLookup>

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: what lies in the line is touched under the lock alone.
        var runningCount = 0
        var waiting = Line()
    }

    private let limit: Int
    private let state = Guarded(State())

    init(workerLimit: Int) { limit = max(1, workerLimit / 4) }

    func outcome(
        of lookup: PendingLookup, _ runtime: IORuntime, _ deadline: Deadline
    ) async -> PendingLookup.Outcome {
        let loop = runtime.loops[0]
        let alarm =
            deadline == .never
            ? nil : loop.setAlarm(deadline.nanoseconds) { lookup.fail(.deadlineExceeded) }
        defer { if let alarm { loop.removeAlarm(alarm) } }
        let place = Line.Place(lookup)
        if begins(place) { carryOut(lookup, runtime) }
        // Who gave up stands in nobody's way.
        defer { state.withLock { _ = $0.waiting.remove(place) } }
        return await withTaskCancellationHandler {
            await lookup.wait()
        } onCancel: {
            lookup.fail(.cancelled)
        }
    }

    private func begins(_ place: Line.Place) -> Bool {
        state.withLock { state in
            guard state.runningCount < limit else {
                state.waiting.append(place)
                return false
            }
            state.runningCount += 1
            return true
        }
    }

    /// The next one that somebody still waits for; nil if there is none, and then one fewer runs.
    private func next() -> PendingLookup? {
        state.withLock { state in
            while let place = state.waiting.popFirst() {
                if !place.value.isAnswered { return place.value }
            }
            state.runningCount -= 1
            return nil
        }
    }

    /// In a task of its own, which sees the lookup to its end when nobody waits for it any more.
    private func carryOut(_ first: PendingLookup, _ runtime: IORuntime) {
        Task.detached { [self] in
            var lookup: PendingLookup? = first
            while let pending = lookup {
                let work = NameLookup(pending.host)
                do throws(IOError) {
                    _ = try await runtime.perform(work, NameLookup.operation, "", .never)
                    pending.answer(work.outcome)
                } catch {
                    var error = error
                    error.path = nil
                    pending.answer(.failed(error))
                }
                lookup = next()
            }
        }
    }
}
