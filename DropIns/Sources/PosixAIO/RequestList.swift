internal import AIOCore
internal import CDropIns
internal import CKernel
internal import CPosixWaits
internal import DropInSupport
internal import Synchronization

/// What the entries of one lio_listio have in common.
///
/// It lives until its last entry has ended and the call itself has left it: a call that waits may be interrupted, and
/// one that does not wait returns before its entries end.
struct RequestList: Pooled {
    /// The memory of `progress`: first, and only ever used as that.
    private var progressStorage = (Int(0), UInt64(0), UInt(0))
    fileprivate var isWaitedFor = false
    /// Sent at the end, if it is not waited for.
    fileprivate var notification = Notification.none
    var nextFree: UnsafeMutablePointer<RequestList>?

    static func initialize(_ place: UnsafeMutablePointer<RequestList>, index: Int32) {
        place.initialize(to: RequestList())
    }

    fileprivate struct Progress: ~Copyable {
        /// Entries that have not ended, and one for the call.
        let count: Atomic<Int>
        /// Where a thread waits for it: see `Suspension`.
        let waiters: Atomic<UInt64>
        let hasFailed: Atomic<UInt>
    }
}

extension UnsafeMutablePointer<RequestList> {
    fileprivate var progress: UnsafeMutablePointer<RequestList.Progress> {
        UnsafeMutableRawPointer(self).assumingMemoryBound(to: RequestList.Progress.self)
    }

    /// Before the entry can end.
    func noteEntry() { progress.pointee.count.wrappingAdd(1, ordering: .relaxed) }

    /// Release, with the acquire of who asks: nothing else hangs on it.
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

    /// An entry has ended, or the call leaves. Returns where a thread waits that is to be woken.
    func leave(_ list: UnsafeMutablePointer<RequestList>, hasFailed: Bool) -> UInt64 {
        if hasFailed { list.noteFailure() }
        let isWaitedFor = list.pointee.isWaitedFor
        // Both directions: the last one sees what all others did, and the one that waits sees the results.
        switch list.progress.pointee.count.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue {
        case 0:
            if !isWaitedFor { list.pointee.notification.send(self) }
            locked { $0.pointee.lists.release(list) }
        case 1 where isWaitedFor:
            // The call may leave at this moment and another use the list: then that one is woken in vain.
            return list.progress.pointee.waiters.load(ordering: .sequentiallyConsistent)
        default:
            break
        }
        return 0
    }
}

/// lio_listio(3). One that waits lies in the frame of the call, which is C's: see posix_waits.h.
struct Listing: BitwiseCopyable {
    private static var wait: Int32 { 0 }
    private static var doNotWait: Int32 { 1 }

    private let library: Library
    private let list: UnsafeMutablePointer<RequestList>
    private let submitted: Submitted
    private let turn: Suspension.Turn

    /// 0 or a positive error. Or it sleeps.
    static func begin(
        _ frame: WaitFrame<Listing>, _ mode: Int32, _ entries: BlockList?, _ count: Int32,
        _ event: UnsafeMutablePointer<sigevent>?
    ) -> Int {
        guard mode == wait || mode == doNotWait else { return Int(EINVAL) }
        guard let library = Library.shared(),
            let list = library.makeList(isWaitedFor: mode == wait, event)
        else { return Int(EAGAIN) }
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

    /// After a sleep. As `begin`.
    func goOn(_ call: SleepingCall, _ slept: Int) -> Int {
        slept == -Int(EINTR) ? Int(end(isInterrupted: true)) : sleep(call)
    }

    /// Until all entries have ended.
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
        /// The error of the last that was refused; 0 if none was.
        var refused: Int32 = 0
    }

    /// One after the other: the loop is woken by the first and finds them all.
    private static func submit(
        _ entries: BlockList?, _ count: Int32, _ list: UnsafeMutablePointer<RequestList>
    ) -> Submitted {
        var submitted = Submitted()
        guard let entries else { return submitted }
        let began = Statistics.beginSubmit()
        defer { Statistics.completeSubmit(began) }
        for index in 0..<Int(max(count, 0)) {
            guard let block = ControlBlock(entries[index]) else { continue }
            let opcode = block.address.pointee.aio_lio_opcode
            guard opcode != Submission.nothing else { continue }
            let result = Submission.accept(block, opcode, in: list)
            if result == 0 { submitted.accepted += 1 } else { submitted.refused = result }
        }
        return submitted
    }

    /// What came of the entries.
    private func end(isInterrupted: Bool) -> Int32 {
        let hasFailed = list.progress.pointee.hasFailed.load(ordering: .acquiring) != 0
        _ = library.leave(list, hasFailed: false)
        if isInterrupted { return EINTR }
        // As in glibc: with nothing accepted the call fails as its last entry did.
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
