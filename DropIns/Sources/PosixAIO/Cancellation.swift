internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// aio_cancel(3).
///
/// A request that has not begun is cancelled, that is, one that waits for its turn or for a slot of the loop. As in
/// glibc, an operation that the kernel has goes on: cancelling it would mean to wait for the outcome, and a stream's
/// data might be lost.
struct Cancellation {
    enum Answer: Int32 {
        case cancelled = 0
        case notCancelled = 1
        case allDone = 2
    }

    /// Returns an answer, or negative EBADF or EINVAL.
    static func cancel(_ descriptor: Int32, _ block: UnsafeMutablePointer<aiocb>?) -> Int32 {
        guard Kernel.openFlags(descriptor) >= 0 else { return -EBADF }
        if let block, block.pointee.aio_fildes != descriptor { return -EINVAL }
        guard let library = Library.existing() else {
            // Nothing was ever submitted, so that a block in progress is invalid.
            return block.map { ControlBlock($0).error == EINPROGRESS } == true ? -EINVAL : Answer.allDone.rawValue
        }
        var cancellation = Cancellation(library: library)
        var errno: Int32 = 0
        let name = FileName(descriptor: descriptor, file: Descriptor.identify(descriptor, errno: &errno).file)
        // Which requests are on the file is not known. The program asks each for its state.
        if errno != 0, block == nil { return Answer.notCancelled.rawValue }
        let answer = library.locked { guarded in
            if let block { return cancellation.cancel(ControlBlock(block), guarded) }
            return cancellation.cancelAll(name, guarded)
        }
        library.follow(&cancellation.aftermath)
        return answer
    }

    private let library: Library
    private var aftermath = Aftermath()

    private init(library: Library) { self.library = library }

    private mutating func cancel(
        _ block: ControlBlock, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>
    ) -> Int32 {
        guard block.error == EINPROGRESS else { return Answer.allDone.rawValue }
        guard library.watch(of: block) != nil, let request = library.state.pointee.requests.element(block.index) else {
            return -EINVAL
        }
        return (tryToCancel(request, guarded) ? Answer.cancelled : .notCancelled).rawValue
    }

    private mutating func cancelAll(
        _ name: FileName, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>
    ) -> Int32 {
        guard let file = guarded.pointee.order.find(name) else { return Answer.allDone.rawValue }
        var answer = Answer.cancelled
        // Waiting requests first. Otherwise the end of a request would let the next one run.
        forEach(of: file) { cancellation, request in
            if request.pointee.place.isWaiting { cancellation.end(request, guarded) }
        }
        guard let file = guarded.pointee.order.find(name) else { return answer.rawValue }
        forEach(of: file) { cancellation, request in
            if !cancellation.tryToCancel(request, guarded) { answer = .notCancelled }
        }
        return answer.rawValue
    }

    /// In call order. `body` may end the request that it is given.
    private mutating func forEach(
        of file: UnsafeMutablePointer<OpenFile>, _ body: (inout Cancellation, RequestPointer) -> Void
    ) {
        var next = file.pointee.all.first
        while let request = next {
            next = file.pointee.all.after(request)
            body(&self, request)
        }
    }

    /// Ends the request if it had not begun. Returns whether it had not.
    private mutating func tryToCancel(
        _ request: RequestPointer, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>
    ) -> Bool {
        guard request.pointee.place.isWaiting || library.withdraw(request) else { return false }
        end(request, guarded)
        return true
    }

    private mutating func end(_ request: RequestPointer, _ guarded: UnsafeMutablePointer<LibraryState.Guarded>) {
        library.end(request, -Int(ECANCELED), guarded, &aftermath)
    }
}

extension Library {
    /// Withdraws a request that still waits for a slot of the loop.
    fileprivate func withdraw(_ request: RequestPointer) -> Bool {
        let place = request.pointee.mayWaitForEver ? state.pointee.streams : state.pointee.files
        return Self.running(place)?.withdrawWaiting(request) ?? false
    }
}
