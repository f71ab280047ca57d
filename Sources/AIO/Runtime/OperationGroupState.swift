internal import AIOCore

/// The state that a group shares with its operations in flight. It lives until the last of them has completed.
final class OperationGroupState: @unchecked Sendable {
    // @unchecked: `places` never moves, and its contents are accessed under the lock of `state` alone.

    /// How completions are signalled.
    enum Event {
        /// The group's own descriptor, closed with it.
        case own(MarkedTimer)
        /// A duplicate of the caller's eventfd, closed with the group. The caller's number may belong to another file
        /// by the time of a completion, and a write would corrupt that file.
        case duplicate(Int32)
    }

    let event: Event
    private let places: UnsafeMutablePointer<Place>
    private let state: Guarded<State>

    /// The state of one operation. Its address is the operation's context on the loop.
    struct Place {
        /// Each operation in flight retains the group.
        let group: Unmanaged<OperationGroupState>
        let index: Int
        fileprivate var loop: IOLoop?
        fileprivate var token: Token?
        fileprivate var context: UInt = 0
        fileprivate var makesDescriptor = false
        fileprivate var isRelease = false
        fileprivate var completion: Completion?
    }

    struct State: Sendable {
        var free: [Int]
        /// A ring of completed places, oldest first.
        var ready: [Int]
        var firstReady = 0
        var readyCount = 0
    }

    /// A place that was acquired and is not in use yet.
    struct Handle {
        fileprivate let index: Int
        /// Odd, which tells the loop that no task waits: a continuation's address is even.
        let context: UInt
    }

    init(limit: Int, event: Event) {
        self.event = event
        state = Guarded(State(free: Array((0..<limit).reversed()), ready: Array(repeating: 0, count: limit)))
        places = .allocate(capacity: limit)
        for index in 0..<limit {
            (places + index).initialize(to: Place(group: .passUnretained(self), index: index))
        }
    }

    deinit {
        // Nothing is in flight; these completions were never drained.
        while pop(closingDescriptors: true) != nil {}
        places.deinitialize(count: state.withLock { $0.ready.count })
        places.deallocate()
        switch event {
        case .own(let timer): timer.close()
        case .duplicate(let number): Kernel.close(number)
        }
    }

    var eventNumber: Int32 {
        switch event {
        case .own(let timer): timer.number
        case .duplicate(let number): number
        }
    }

    /// Called before completions are popped: one that arrives later makes the descriptor readable again.
    func clearEvent() {
        guard case .own(let timer) = event else { return }
        timer.set(nil)
    }

    var usedCount: Int { state.withLock { $0.ready.count - $0.free.count } }

    func acquire() -> Handle? {
        state.withLock { state in
            state.free.popLast().map { Handle(index: $0, context: UInt(bitPattern: places + $0) | 1) }
        }
    }

    func release(_ handle: Handle) { state.withLock { $0.free.append(handle.index) } }

    func begin(_ handle: Handle, _ token: Token, _ loop: IOLoop, _ context: UInt, _ operation: Operation) {
        state.withLock { _ in
            let place = places + handle.index
            place.pointee.loop = loop
            place.pointee.token = token
            place.pointee.context = context
            place.pointee.makesDescriptor = operation.makesDescriptor
            place.pointee.isRelease = operation.isRelease
        }
        _ = Unmanaged.passRetained(self)
    }

    func requestCancel(_ isWanted: (UInt) -> Bool) -> Int {
        state.withLock { state in
            var count = 0
            for index in 0..<state.ready.count where isWanted(places[index].context) && !places[index].isRelease {
                guard let token = places[index].token, let loop = places[index].loop else { continue }
                loop.core.requestCancel(token)
                count += 1
            }
            return count
        }
    }

    // MARK: Completions

    /// Called on the loop's thread.
    static func complete(_ context: UInt, _ completion: Completion) {
        guard let place = UnsafeMutablePointer<Place>(bitPattern: context & ~1) else { return }
        // Balances the retain in `begin`; this may be the last reference to the group.
        let group = place.pointee.group.takeRetainedValue()
        group.complete(place, completion)
    }

    private func complete(_ place: UnsafeMutablePointer<Place>, _ completion: Completion) {
        state.withLock { state in
            place.pointee.completion = completion
            // The token is stale from here on.
            place.pointee.token = nil
            place.pointee.loop = nil
            state.ready[(state.firstReady + state.readyCount) % state.ready.count] = place.pointee.index
            state.readyCount += 1
        }
        switch event {
        case .own(let timer): timer.signal()
        case .duplicate(let number): Kernel.wake(number)
        }
    }

    /// The oldest completion; its place becomes free.
    func pop(closingDescriptors: Bool = false) -> (Completion, UInt)? {
        state.withLock { state in
            guard state.readyCount > 0 else { return nil }
            let index = state.ready[state.firstReady]
            state.firstReady = (state.firstReady + 1) % state.ready.count
            state.readyCount -= 1
            state.free.append(index)
            guard let completion = places[index].completion else { return nil }
            places[index].completion = nil
            if closingDescriptors, places[index].makesDescriptor, completion.result >= 0 {
                Kernel.close(completion.result)
            }
            return (completion, places[index].context)
        }
    }
}
