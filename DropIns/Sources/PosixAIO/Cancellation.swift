internal import AIOCore
internal import CDropIns
internal import CKernel
internal import DropInSupport
internal import Synchronization

/// aio_cancel(3).
///
/// What has not begun is cancelled: it waits for its turn, or for a place with the loop. What the kernel has already
/// goes on, as in glibc: taking it back would mean to wait for the answer, and a stream's data might be lost.
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
            // Nothing was ever handed over. A block that says otherwise was made up.
            return block.map { ControlBlock($0).error == EINPROGRESS } == true ? -EINVAL : Answer.allDone.rawValue
        }
        var cancellation = Cancellation(library: library)
        let name = FileName(descriptor: descriptor, file: Descriptor.identify(descriptor).file)
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
        // What waits for its turn goes first: else the end of one would let it run.
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

    /// Whether the request had not begun; then it has ended.
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
    /// Takes back a request for which the loop has no place yet.
    fileprivate func withdraw(_ request: RequestPointer) -> Bool {
        let place = request.pointee.mayWaitForEver ? state.pointee.streams : state.pointee.files
        return Self.running(place)?.withdrawWaiting(request) ?? false
    }
}
