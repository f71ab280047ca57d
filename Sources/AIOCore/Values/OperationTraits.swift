internal import CKernel

/// What there is to know of an operation without knowing which it is.
///
/// `Operation.traits` is the one table, without a `default`: an operation that is added has a row, or nothing compiles. What
/// treats operations alike (tables, deadlines, retries, workers, names in errors) reads it.
public struct OperationTraits: BitwiseCopyable, Sendable {
    /// What it is called in errors and reports: as the system call.
    public let name: StaticString
    let handling: Handling
    /// What it works on; nil for operations on none, or on a path.
    let descriptor: Descriptor?
    /// The second descriptor of an operation on two.
    let otherDescriptor: Descriptor?
    /// What it waits for if it cannot go on at once; nil if it is done then, or waits for a device in a call that blocks.
    let awaits: Awaited?
    /// Whether what it does is mostly to wait for somebody else, or for the clock. There may be as many of these as a
    /// program has connections, without one of them being work for a device.
    let isWait: Bool
    /// Whether an EAGAIN is for the caller, who wants no waiting.
    let isWithoutWaiting: Bool
    /// Whether it completes more than once.
    let isRepeating: Bool
    /// Whether it completes with a descriptor that is then its owner's to close.
    let makesDescriptor: Bool
    /// Whether it gives something up that would otherwise be kept for ever: a descriptor, or what was half made. Such an
    /// operation is carried out whatever is asked for: no cancel takes it back, and no deadline ends it.
    let isRelease: Bool
    /// Whether it did nothing if it says EINTR, and is begun again: the submitting thread had a signal or task work pending.
    let restartsAfterInterrupt: Bool
    /// Whether a worker can carry it out by itself, and ends with its result.
    let isForAnyWorker: Bool
    /// Whether how it is carried out depends on the kind of its descriptor. What is for sockets alone is refused elsewhere.
    let needsKind: Bool

    /// Who carries it out, and what a cancel has to reach.
    enum Handling: UInt8, BitwiseCopyable {
        /// An engine, which a cancel asks for an end.
        case engine
        /// An engine, on a worker that looks now and then whether it is to end (`BlockingWork.requestEnd`).
        case work
        /// An engine; where that is a worker, it sleeps, and a cancel wakes it.
        case sleep
        /// An engine, until all is written (`EngineQueueWholeWrites`).
        case wholeWrite
        /// An engine, one step at a time (`EngineQueueSteps`).
        case steps
        /// The queue, when the time comes.
        case timer
        /// The queue, at once.
        case queue
    }

    @inline(__always)
    fileprivate init(
        _ name: StaticString, by handling: Handling = .engine, on descriptor: Descriptor? = nil,
        and other: Descriptor? = nil,
        awaits: Awaited? = nil, isWait: Bool = false, isWithoutWaiting: Bool = true,
        isRepeating: Bool = false, makesDescriptor: Bool = false, isRelease: Bool = false,
        restartsAfterInterrupt: Bool = false, isForAnyWorker: Bool = false, needsKind: Bool = true
    ) {
        self.name = name
        self.handling = handling
        self.descriptor = descriptor
        self.otherDescriptor = other
        self.awaits = awaits
        self.isWait = isWait
        self.isWithoutWaiting = isWithoutWaiting
        self.isRepeating = isRepeating
        self.makesDescriptor = makesDescriptor
        self.isRelease = isRelease
        self.restartsAfterInterrupt = restartsAfterInterrupt
        self.isForAnyWorker = isForAnyWorker
        self.needsKind = needsKind
    }

    /// What it wants of its descriptor, if that is what it waits for.
    @inline(__always)
    var interest: Interest? {
        if case .descriptor(let interest)? = awaits { interest } else { nil }
    }

    /// Work for a device or a file system.
    @inline(__always)
    fileprivate static func work(
        _ name: StaticString, on descriptor: Descriptor? = nil, makesDescriptor: Bool = false, isRelease: Bool = false
    ) -> OperationTraits {
        OperationTraits(
            name, on: descriptor, makesDescriptor: makesDescriptor, isRelease: isRelease, isForAnyWorker: true)
    }
}

extension Operation {
    @inline(__always)
    public var traits: OperationTraits {
        switch self {
        case .nop: OperationTraits("nop")
        case .transfer(let transfer): transfer.traits
        case .sync(let file, .full): .work("fsync", on: file)
        case .sync(let file, .data): .work("fdatasync", on: file)
        case .syncRange(let file, _, _, _): .work("sync_file_range", on: file)
        case .open: .work("open", makesDescriptor: true)
        case .close: .work("close", isRelease: true)
        case .status: .work("statx")
        case .allocate(let file, _, _, _): .work("fallocate", on: file)
        case .truncate(let file, _): .work("truncate", on: file)
        case .advise(let file, _, _, _): .work("fadvise", on: file)
        case .rename: .work("rename")
        case .unlink(_, _, let flags): .work(flags & CK_AT_REMOVEDIR != 0 ? "rmdir" : "unlink")
        case .makeDirectory: .work("mkdir")
        case .link: .work("link")
        case .symbolicLink: .work("symlink")
        case .call(let call): .work(call.kind.name)
        case .work(let work): OperationTraits("work", by: .work, isRelease: work.takeUnretainedValue().isRelease)
        case .socket(let call): call.traits
        case .splice(let splice): splice.traits("splice")
        case .tee(let splice): splice.traits("tee")
        case .waitForChild(let child, _, let options):
            OperationTraits(
                "waitid", on: child, awaits: .descriptor(.reading), isWait: true,
                isWithoutWaiting: options & CK_WNOHANG != 0,
                needsKind: false)
        case .futexWait: OperationTraits("futex", by: .sleep, awaits: .wakeUp, isWait: true)
        case .poll(let file, _): OperationTraits("poll", on: file, awaits: .descriptor(.polling), isWait: true)
        case .pollEach(let file, _):
            OperationTraits(
                "poll", by: .steps, on: file, awaits: .descriptor(.polling), isWait: true, isRepeating: true)
        case .timeout: OperationTraits("timeout", by: .timer, awaits: .clock, isWait: true)
        case .repeatingTimeout: OperationTraits("timeout", by: .timer, awaits: .clock, isWait: true, isRepeating: true)
        case .buffers(let call): OperationTraits("buffers", by: .queue, isRelease: call.isRelease)
        case .cancelAll, .cancel: OperationTraits("cancel", by: .queue)
        }
    }
}

extension Transfer {
    @inline(__always)
    fileprivate var traits: OperationTraits {
        OperationTraits(
            isWrite ? "write" : "read", by: isWholeWrite ? .wholeWrite : .engine, on: descriptor,
            awaits: .descriptor(isWrite ? .writing : .reading),
            isWait: descriptor.kind == .stream, isWithoutWaiting: flags.contains(.noWait), restartsAfterInterrupt: true,
            isForAnyWorker: descriptor.kind != .stream)
    }
}

extension Splice {
    @inline(__always)
    fileprivate func traits(_ name: StaticString) -> OperationTraits {
        OperationTraits(
            name, on: input, and: output, awaits: .descriptor(.reading), isWait: input.kind == .stream,
            isWithoutWaiting: flags & CK_SPLICE_F_NONBLOCK != 0)
    }
}

extension BufferGroupCall {
    fileprivate var isRelease: Bool {
        switch self {
        case .register: false
        case .provide, .unregister: true
        }
    }
}

extension SocketCall {
    @inline(__always)
    var traits: OperationTraits {
        switch self {
        case .create: Self.traits("socket", makesDescriptor: true)
        case .bind(let socket, _, _): Self.traits("bind", socket)
        case .listen(let socket, _): Self.traits("listen", socket)
        case .accept(let socket, _, _, _): Self.traits("accept", socket, .reading, makesDescriptor: true)
        case .acceptEach(let socket, _):
            Self.traits("accept", by: .steps, socket, .reading, isRepeating: true, makesDescriptor: true)
        case .connect(let socket, _, _): Self.traits("connect", socket, .writing)
        case .receive(let socket, _, _, let flags, _): Self.traits("receive", socket, .reading, flags: flags)
        case .receiveBuffered(let socket, _, let flags, let isRepeating):
            Self.traits("receive", by: .steps, socket, .reading, flags: flags, isRepeating: isRepeating)
        case .receiveMessage(let socket, _, let flags, _): Self.traits("receive", socket, .reading, flags: flags)
        case .send(let socket, _, _, let flags, _): Self.traits("send", socket, .writing, flags: flags)
        case .sendZeroCopy(let socket, _, _, let flags): Self.traits("send", socket, .writing, flags: flags)
        case .sendMessage(let socket, _, let flags, _): Self.traits("send", socket, .writing, flags: flags)
        case .shutdown(let socket, _): Self.traits("shutdown", socket)
        }
    }

    @inline(__always)
    private static func traits(
        _ name: StaticString, by handling: OperationTraits.Handling = .engine, _ socket: Descriptor? = nil,
        _ interest: Interest? = nil, flags: Int32 = 0,
        isRepeating: Bool = false, makesDescriptor: Bool = false
    ) -> OperationTraits {
        OperationTraits(
            name, by: handling, on: socket, awaits: interest.map { .descriptor($0) }, isWait: true,
            isWithoutWaiting: flags & CK_MSG_DONTWAIT != 0,
            isRepeating: isRepeating, makesDescriptor: makesDescriptor, restartsAfterInterrupt: true, needsKind: false)
    }
}
