internal import AIOCore
internal import CKernel

/// The changes of watched files and directories, in the order in which they happened: the result of
/// ``FileSystem/changes(of:_:followLinks:runtime:deadline:)-([Path],_,_,_,_)``.
///
/// The kernel queues events up to a limit (the sysctl `fs.inotify.max_queued_events`, usually 16384). Events beyond it
/// are lost, and ``Change/Kind/overflow`` marks the place. The library buffers the result of one read. The kernel
/// merges identical consecutive events.
///
/// A directory is watched with its entries, but not recursively. A loop over the sequence ends when nothing is watched
/// any more, when the sequence is closed, and when the task is cancelled; a later loop continues with the next change.
/// Close it with ``close()``; a sequence that is dropped without a close is closed in the
/// background and reported in the log.
public final class Changes: AsyncSequence, Sendable {
    public typealias Element = Change
    public typealias Failure = IOError

    private let runtime: IORuntime
    private let descriptor: Descriptor
    private let lease = FileLease()
    private let state: Guarded<State>

    private struct State: ~Copyable, @unchecked Sendable {
        // @unchecked: this value alone owns the memory.

        /// The watched paths by watch descriptor.
        var paths: [Int32: Path]
        /// Changes that were read and not yet returned, in reverse order.
        var pending: [Change] = []
        /// Whether a task is in `next`, and the operation that it waits for.
        var isAsked = false
        var wait: Task<IOError?, Never>?
        var isClosing = false
        /// Room for hundreds of events, or for the longest name.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16384, alignment: 8)

        init(paths: [Int32: Path]) { self.paths = paths }

        deinit { memory.deallocate() }
    }

    /// Takes ownership of an inotify descriptor.
    init(adopting number: Int32, paths: [Int32: Path], runtime: IORuntime) {
        self.runtime = runtime
        descriptor = Descriptor(number, kind: .stream)
        state = Guarded(State(paths: paths))
    }

    deinit {
        guard !lease.isClosed else { return }
        let path = state.withLock { $0.paths.values.first }
        runtime.configuration.log(
            "the sequence of changes of \(path.map { "\($0)" } ?? "nothing") was dropped without close()")
        runtime.closeUnobserved(descriptor.number)
    }

    // MARK: Receiving

    /// The next change; waits if there is none. nil when nothing is watched any more, and after ``close()``, also if
    /// the sequence is closed during the wait.
    ///
    /// No thread blocks. After ``IOError/Code/cancelled`` or ``IOError/Code/deadlineExceeded`` no change is lost.
    /// Kernel calls: poll(2), in the engine's form, and read(2).
    ///
    /// - Throws: ``IOError/Code/cancelled`` in a cancelled task, where a loop over the sequence ends;
    ///   ``IOError/Code/deadlineExceeded``; ``IOError/Code/invalidArgument`` if another task is asking.
    public func next(deadline: Deadline = .never) async throws(IOError) -> Change? {
        try runtime.check(Self.operation)
        guard lease.begin() else { return nil }
        defer { lease.end() }
        guard beginAsking() else {
            throw IOError(
                .invalidArgument, Self.operation, advice: "another task is already waiting for the next change")
        }
        defer { state.withLock { $0.isAsked = false } }
        while true {
            try IOLoop.checkBeginning(deadline.nanoseconds, Self.operation)
            switch try take() {
            case .change(let change): return change
            case .end: return nil
            case .nothingYet: try await wait(deadline)
            }
        }
    }

    private static var operation: String { "inotify" }

    private func beginAsking() -> Bool {
        state.withLock { state in
            defer { state.isAsked = true }
            return !state.isAsked
        }
    }

    private enum Answer: Sendable {
        case change(Change)
        case nothingYet
        case end
    }

    /// Reads on the calling thread: the descriptor is non-blocking, and the events are in memory.
    private func take() throws(IOError) -> Answer {
        try state.withLock { state throws(IOError) in
            if state.pending.isEmpty, !state.isClosing, !state.paths.isEmpty { try fill(&state) }
            if let change = state.pending.popLast() { return .change(change) }
            return state.isClosing || state.paths.isEmpty ? .end : .nothingYet
        }
    }

    private func fill(_ state: inout State) throws(IOError) {
        // If the program has closed the descriptor, its number may name another file, whose data must not be consumed.
        let checked = Kernel.checkChangeDescriptor(descriptor.number)
        guard checked >= 0 else {
            var error = IOError(
                result: Int32(truncatingIfNeeded: checked), Self.operation, path: state.paths.values.first)
            if error.code == .badDescriptor { error.advice = "the program has closed the descriptor" }
            throw error
        }
        let count = Kernel.read(descriptor.number, state.memory.baseAddress!, state.memory.count)
        guard count >= 0 else {
            if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
            throw IOError(
                result: Int32(truncatingIfNeeded: count), Self.operation, path: state.paths.values.first)
        }
        for (event, name) in ChangeRecords(UnsafeRawBufferPointer(rebasing: state.memory[..<count])) {
            guard let kind = Change.Kind(event) else { continue }
            let isDirectory = event.mask & CK_IN_ISDIR != 0
            state.pending.append(
                Change(kind: kind, path: state.paths[event.watch], name: name, isDirectory: isDirectory))
            // The watch descriptor may be reused.
            if kind == .ignored { state.paths[event.watch] = nil }
        }
        state.pending.reverse()
    }

    /// Waits until there is something to read, or until the sequence is closed.
    private func wait(_ deadline: Deadline) async throws(IOError) {
        // In a task of its own, which `close` can cancel.
        let task = Task { [runtime, descriptor] () -> IOError? in
            let operation = Operation.poll(descriptor, events: CK_POLLIN)
            do throws(IOError) {
                _ = try await runtime.perform(operation, deadline.nanoseconds, Self.operation, nil)
                return nil
            } catch {
                return error
            }
        }
        let isClosing = state.withLock { state in
            state.wait = task
            return state.isClosing
        }
        if isClosing { task.cancel() }
        let error = await withTaskCancellationHandler {
            await task.value
        } onCancel: {
            task.cancel()
        }
        let isEnded = state.withLock { state in
            state.wait = nil
            return state.isClosing
        }
        if let error, !isEnded { throw error }
    }

    // MARK: Closing

    /// Ends the sequence, also for a task that waits for it, and closes the descriptor. A close is never cancelled.
    /// Kernel call: close(2), on a worker, since the kernel waits in it for events that are being added.
    ///
    /// - Throws: ``IOError/Code/fileClosed`` if it is closed already.
    public func close() async throws(IOError) {
        try runtime.check("close")
        guard lease.close() else { throw IOError(.fileClosed, "close") }
        let (wait, path) = state.withLock { state in
            state.isClosing = true
            return (state.wait, state.paths.values.first)
        }
        wait?.cancel()
        await lease.waitForUsers()
        let (result, refusal) = await runtime.performToTheEnd(Closing(descriptor.number), "close")
        if let refusal { throw refusal }
        guard result >= 0 else { throw IOError(result: result, "close", path: path) }
    }

    private final class Closing: BlockingWork, @unchecked Sendable {
        // @unchecked: as BlockingWork says.
        private let number: Int32

        init(_ number: Int32) {
            self.number = number
            super.init(deadline: .never, isRelease: true)
        }

        override func run() -> Int {
            var checked = Kernel.checkChangeDescriptor(number)
            // The kernel did not tell. A release asks once more, because the descriptor would stay open.
            if checked < 0, checked != -Int(EBADF) { checked = Kernel.checkChangeDescriptor(number) }
            return checked < 0 ? checked : Kernel.close(number)
        }
    }

    // MARK: AsyncSequence

    public func makeAsyncIterator() -> Iterator { Iterator(changes: self) }

    /// Returns one change after the other; nil also in a cancelled task. The iterators of one `Changes` share its
    /// changes.
    public struct Iterator: AsyncIteratorProtocol {
        let changes: Changes

        public mutating func next() async throws(IOError) -> Change? { try await nextUnlessCancelled() }

        public mutating func next(isolation actor: isolated (any Actor)?) async throws(IOError) -> Change? {
            try await nextUnlessCancelled()
        }

        private func nextUnlessCancelled() async throws(IOError) -> Change? {
            do throws(IOError) { return try await changes.next() } catch {
                guard error.endsEvents else { throw error }
                return nil
            }
        }
    }
}
