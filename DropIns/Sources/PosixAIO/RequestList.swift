internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CPosixWaits
internal import DropInSupport
internal import Synchronization

/// The state that the entries of one lio_listio share.
///
/// It lives until its last entry has ended and the call has left it. A waiting call may be interrupted before its
/// entries end, and a call that does not wait returns before that.
struct RequestList: Pooled {
    /// The memory of `progress`. It must be the first field and is accessed through `progress` only.
    private var progressStorage = (Int(0), UInt64(0), UInt(0))
    fileprivate var isWaitedFor = false
    /// Sent when all entries have ended, unless the call waits for them.
    fileprivate var notification = Notification.none
    var nextFree: UnsafeMutablePointer<RequestList>?

    static func initialize(_ place: UnsafeMutablePointer<RequestList>, index: Int32) {
        place.initialize(to: RequestList())
    }

    fileprivate struct Progress: ~Copyable {
        /// The number of entries that have not ended, plus one for the call.
        let count: Atomic<Int>
        /// The place at which a thread waits: see `Suspension`.
        let waiters: Atomic<UInt64>
        let hasFailed: Atomic<UInt>
    }
}

extension UnsafeMutablePointer<RequestList> {
    fileprivate var progress: UnsafeMutablePointer<RequestList.Progress> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: RequestList.Progress.self)
    }

    /// Counts an entry in. Called before the entry can end.
    func noteEntry() {
        let count = progress.pointee.count.wrappingAdd(1, ordering: .relaxed).newValue
        assert(count > 1, "an entry is counted in after the call has left the list")
    }

    /// Release: pairs with the acquire in `end(isInterrupted:)`. Nothing else is published through it.
    func noteFailure() { progress.pointee.hasFailed.store(1, ordering: .releasing) }
}

extension Library {
    fileprivate func makeList(isWaitedFor: Bool, _ event: UnsafeMutablePointer<sigevent>?)
        -> UnsafeMutablePointer<RequestList>?
    {
        guard let list = locked({ $0.pointee.lists.acquire() }) else { return nil }
        list.pointee.isWaitedFor = isWaitedFor
        list.pointee.notification = event.map { Notification($0.pointee) } ?? .none
        list.progress.pointee.count.store(1, ordering: .relaxed)
        list.progress.pointee.waiters.store(0, ordering: .relaxed)
        list.progress.pointee.hasFailed.store(0, ordering: .relaxed)
        return list
    }

    /// Counts out an entry that has ended, or the call. Returns the place of a thread to wake.
    func leave(_ list: UnsafeMutablePointer<RequestList>, hasFailed: Bool) -> UInt64 {
        if hasFailed { list.noteFailure() }
        let isWaitedFor = list.pointee.isWaitedFor
        // Acquire and release: the last one sees what all others did, and the waiting call sees the results.
        // Sequentially consistent with the sleeper's bit: see `Suspension`.
        let left = list.progress.pointee.count.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue
        assert(left >= 0, "more entries leave the list than have entered")
        switch left {
        case 0:
            if !isWaitedFor { list.pointee.notification.send(self) }
            locked { $0.pointee.lists.release(list) }
        case 1 where isWaitedFor:
            // The call may leave now and another may reuse the list: then that one is woken in vain.
            return list.progress.pointee.waiters.load(ordering: .sequentiallyConsistent)
        default:
            break
        }
        return 0
    }
}

/// lio_listio(3). The state of a waiting call is in the frame of the C function: see posix_waits.h.
struct Listing: BitwiseCopyable {
    private static var wait: Int32 { 0 }
    private static var doNotWait: Int32 { 1 }

    private let library: Library
    private let list: UnsafeMutablePointer<RequestList>
    private let submitted: Submitted
    private let turn: Suspension.Turn

    /// Returns 0, a positive error, or DROP_IN_SLEEPS.
    static func begin(
        _ frame: WaitFrame<Listing>, _ mode: Int32, _ entries: BlockList?, _ count: Int32,
        _ event: UnsafeMutablePointer<sigevent>?
    ) -> Int {
        guard mode == wait || mode == doNotWait else { return Int(EINVAL) }
        guard let library = Library.shared(),
            let list = library.makeList(isWaitedFor: mode == wait, event)
        else {
            forEach(in: entries, count) { block, _ in _ = block.refuse(EAGAIN) }
            return Int(EAGAIN)
        }
        let submitted = submit(entries, count, list)
        guard mode == wait else {
            _ = library.leave(list, hasFailed: false)
            return Int(submitted.refused)
        }
        let listing = Listing(
            library: library, list: list, submitted: submitted, turn: library.state.pointee.suspension.turn())
        frame.state.initialize(to: listing)
        return listing.sleep(frame.call)
    }

    /// Continues after a sleep. Returns what `begin` does.
    func goOn(_ call: SleepingCall, _ slept: Int) -> Int {
        slept == -Int(EINTR) ? Int(end(isInterrupted: true)) : sleep(call)
    }

    /// Sleeps until all entries have ended.
    private func sleep(_ call: SleepingCall) -> Int {
        let ticket = turn.ticket()
        list.progress.pointee.waiters.bitwiseOr(turn.bit, ordering: .sequentiallyConsistent)
        guard list.progress.pointee.count.load(ordering: .sequentiallyConsistent) > 1 else {
            return Int(end(isInterrupted: false))
        }
        return turn.sleep(call, ticket, until: .never)
    }

    private struct Submitted: BitwiseCopyable {
        var accepted = 0
        /// The error of the last entry that was refused; 0 if none was.
        var refused: Int32 = 0
    }

    /// Submits one entry at a time. The first wakes the loop, which then finds the others too.
    private static func submit(
        _ entries: BlockList?, _ count: Int32, _ list: UnsafeMutablePointer<RequestList>
    ) -> Submitted {
        var submitted = Submitted()
        let began = Statistics.beginSubmit()
        defer { Statistics.completeSubmit(began) }
        forEach(in: entries, count) { block, opcode in
            let result = Submission.accept(block, opcode, in: list)
            if result == 0 { submitted.accepted += 1 } else { submitted.refused = result }
        }
        return submitted
    }

    /// Calls `body` with each block that is to be submitted, and its opcode.
    private static func forEach(in entries: BlockList?, _ count: Int32, _ body: (ControlBlock, Int32) -> Void) {
        guard let entries else { return }
        for index in 0..<Int(max(count, 0)) {
            guard let block = ControlBlock(entries[index]) else { continue }
            let opcode = block.address.pointee.aio_lio_opcode
            if opcode != Submission.nothing { body(block, opcode) }
        }
    }

    /// The result of the call.
    private func end(isInterrupted: Bool) -> Int32 {
        let hasFailed = list.progress.pointee.hasFailed.load(ordering: .acquiring) != 0
        _ = library.leave(list, hasFailed: false)
        if isInterrupted { return EINTR }
        // As in glibc: if no entry was accepted, the call fails with the error of the last one.
        if submitted.accepted == 0 { return submitted.refused }
        return submitted.refused != 0 || hasFailed ? EIO : 0
    }
}

@c(posix_aio_begin_listing)
func beginListing(
    _ place: UnsafeMutableRawPointer?, _ mode: Int32, _ list: BlockList?, _ count: Int32,
    _ event: UnsafeMutablePointer<sigevent>?
) -> Int {
    guard let frame = WaitFrame<Listing>(place) else { return Int(EINVAL) }
    return Listing.begin(frame, mode, list, count, event)
}

@c(posix_aio_go_on_listing)
func goOnListing(_ place: UnsafeMutableRawPointer?, _ slept: Int) -> Int {
    guard let frame = WaitFrame<Listing>(place) else { return Int(EINVAL) }
    return frame.state.pointee.goOn(frame.call, slept)
}
