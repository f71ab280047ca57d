internal import AIOCore
internal import CKernel

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

extension SocketAddress {
    /// Resolves a host name to its addresses, each with `port`, in the order in which they should be tried (RFC 6724).
    /// A numeric address resolves to itself.
    ///
    /// getaddrinfo(3) runs on a worker and uses the system's configuration: files, DNS, other sources. It cannot be
    /// interrupted. After a cancellation or a deadline the call throws at once, and the worker continues until the name
    /// servers answer or libc gives up. At most a quarter of a loop's workers resolve names at the same time; further
    /// names wait.
    ///
    /// - Throws: ``IOError/Code/nameNotFound``; ``IOError/Code/nameLookupFailed`` if the name servers do not answer;
    ///   ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``.
    public static func resolve(
        _ host: String, port: UInt16, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) -> [SocketAddress] {
        try runtime.check(NameLookup.operation)
        do throws(IOError) { try IOLoop.checkBeginning(deadline.nanoseconds, NameLookup.operation) } catch {
            throw IOError(error.code, NameLookup.operation, address: host)
        }
        if let address = numeric(host, port) { return [address] }
        guard !host.isEmpty, !host.utf8.contains(0) else {
            let advice = "a host name must not be empty or contain a NUL byte"
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

/// Resolves a name with getaddrinfo(3), which blocks.
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
        switch RuntimeStandIn.current?.addresses(host) {
        case .found(let found)?: addresses = found
        case .failed(let reason)?: failure = reason
        case nil: askSystem()
        }
        return 0
    }

    private func askSystem() {
        var hints = addrinfo()
        // One result per address instead of one for each socket type.
        hints.ai_socktype = CK_SOCK_STREAM
        var list: UnsafeMutablePointer<addrinfo>?
        failure = getaddrinfo(host, nil, &hints, &list)
        failureErrno = errno
        guard failure == 0 else { return }
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
    }

    /// The result. Valid once the work has been taken back.
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

/// A name that a caller waits for. It is answered once: by the worker, a cancellation or the deadline.
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

    /// Sets the result. The first answer counts.
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

/// The name lookups of a runtime, limited so that workers remain for files.
final class NameLookups: Sendable {
    private typealias Line = WaitingLine<PendingLookup>

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: the line's lookups are accessed under the lock alone.
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
        // A caller that gave up must not stay in the line.
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

    /// The next lookup that a caller still waits for. If there is none, returns nil and counts one running task less.
    private func next() -> PendingLookup? {
        state.withLock { state in
            while let place = state.waiting.popFirst() {
                if !place.value.isAnswered { return place.value }
            }
            state.runningCount -= 1
            return nil
        }
    }

    /// Runs in a task of its own, which completes the lookup even if its caller has given up.
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
