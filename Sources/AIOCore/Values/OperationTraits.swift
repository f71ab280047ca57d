internal import CKernel

/// The properties of an operation, independent of its case.
///
/// ``Operation/traits`` is the only table, without a `default`: an added operation does not compile without a row. All
/// code that treats operations uniformly (the in-flight table, deadlines, retries, workers, error texts) reads it.
public struct OperationTraits: BitwiseCopyable, Sendable {
    /// The name in errors and reports, close to the system call's.
    public let name: StaticString
    let handling: Handling
    /// The descriptor that the operation works on; nil if it works on none, or on a path.
    let descriptor: Descriptor?
    /// The second descriptor, of an operation on two.
    let otherDescriptor: Descriptor?
    /// The event that the operation waits for if it would block; nil if it never does, or blocks in the system call
    /// until a device is done.
    let awaits: Awaited?
    /// Whether the operation mostly waits for a peer or for the clock. A program may have one of these per connection
    /// without causing any work for a device.
    let isWait: Bool
    /// Whether EAGAIN is final: the caller asked for a non-blocking operation.
    let isWithoutWaiting: Bool
    /// Whether the operation has several completions.
    let isRepeating: Bool
    /// Whether it completes with a descriptor, which the caller then owns.
    let makesDescriptor: Bool
    /// Whether it releases a resource that would leak otherwise: a descriptor, or a half-finished file. A release is
    /// always executed: it cannot be cancelled, and deadlines do not apply to it.
    let isRelease: Bool
    /// Whether EINTR means that the operation did nothing and can be restarted: the submitting thread had a signal or
    /// task work pending.
    let restartsAfterInterrupt: Bool
    /// Whether a worker alone can execute the operation to its final result.
    let isForAnyWorker: Bool
    /// Whether its execution depends on the kind of its descriptor. Calls for sockets alone do not need it: the kernel
    /// refuses them on other files.
    let needsKind: Bool

    /// Who executes the operation, and how a cancel reaches it.
    enum Handling: UInt8, BitwiseCopyable {
        /// An engine. A cancel goes to the engine.
        case engine
        /// A worker, which checks for a requested end between two system calls (`BlockingWork.requestEnd`).
        case work
        /// An engine. If a worker executes it, the worker sleeps, and a cancel wakes it.
        case sleep
        /// An engine, repeatedly until everything is written (`WholeWrite`).
        case wholeWrite
        /// An engine, one step at a time (`Steps`).
        case steps
        /// The queue, at the deadline.
        case timer
        /// The queue, immediately.
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

    /// The readiness that the operation waits for, if it waits for its descriptor.
    @inline(__always)
    var interest: Interest? {
        if case .descriptor(let interest)? = awaits { interest } else { nil }
    }

    /// The traits of work for a device or a file system.
    @inline(__always)
    fileprivate static func work(
        _ name: StaticString, on descriptor: Descriptor? = nil, makesDescriptor: Bool = false, isRelease: Bool = false
    ) -> OperationTraits {
        OperationTraits(
            name, on: descriptor, makesDescriptor: makesDescriptor, isRelease: isRelease, isForAnyWorker: true)
    }
}

extension Operation {
    /// The row of this operation.
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
        case .poll(let file, _):
            OperationTraits(
                "poll", on: file, awaits: .descriptor(.polling), isWait: true, restartsAfterInterrupt: true)
        case .pollEach(let file, _):
            OperationTraits(
                "poll", by: .steps, on: file, awaits: .descriptor(.polling), isWait: true, isRepeating: true,
                restartsAfterInterrupt: true)
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
