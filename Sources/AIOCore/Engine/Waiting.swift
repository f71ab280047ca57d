internal import CKernel

/// Operations that may wait for another party, and what is done about it without a thread.
extension Operation {
    /// Whether what it does is mostly to wait for somebody else, or for the clock. There may be as many of these as a
    /// program has connections, without one of them being work for a device.
    @inline(__always)
    public var isWait: Bool {
        switch self {
        case .read(let transfer), .write(let transfer), .readVectored(let transfer), .writeVectored(let transfer):
            transfer.descriptor.kind == .stream
        case .socket, .waitForChild, .futexWait, .poll, .pollEach, .timeout, .repeatingTimeout: true
        case .splice(let splice), .tee(let splice): splice.input.kind == .stream
        default: false
        }
    }

    /// What it waits for behind a poll set, where its attempts are made one after the other; nil for all else.
    var interest: PollSet.Interest? {
        switch self {
        case .socket(let call): call.interest
        case .waitForChild: .reading
        case .poll: .polling
        default: transfer.map { $0.isWrite ? .writing : .reading }
        }
    }

    /// Whether an EAGAIN is for the caller, who wants no waiting.
    var isWithoutWaiting: Bool {
        switch self {
        case .socket(let call): call.isWithoutWaiting
        case .splice(let splice), .tee(let splice): splice.flags & CK_SPLICE_F_NONBLOCK != 0
        case .waitForChild(_, _, let options): options & CK_WNOHANG != 0
        default: transfer.map { $0.transfer.flags.contains(.noWait) } ?? true
        }
    }

    /// Whether trying again now and then is all that can be done after an EAGAIN (`SocketCall.isPacedByTime`).
    var isPacedByTime: Bool {
        if case .socket(let call) = self { call.isPacedByTime } else { false }
    }

    /// The poll that waits until an operation that completed with `result`, which is no end, can go on. nil if it is.
    func readiness(after result: Int32) -> Operation? {
        switch self {
        case .splice(let splice), .tee(let splice):
            switch Int(result) {
            case -Int(EAGAIN): return .poll(splice.input, events: CK_POLLIN)
            case Splice.outputIsFull: return .poll(splice.output, events: CK_POLLOUT)
            default: return nil
            }
        case .socket(.connect(let socket, _, _)):
            // The connection is on its way; the same call then says what became of it.
            return result == -EINPROGRESS || result == -EALREADY ? .poll(socket, events: CK_POLLOUT) : nil
        default:
            guard result == -EAGAIN, let descriptor else { return nil }
            switch interest {
            case .reading?: return .poll(descriptor, events: CK_POLLIN)
            case .writing?: return .poll(descriptor, events: CK_POLLOUT)
            case .polling?, nil: return nil
            }
        }
    }

    /// What an attempt without waiting comes to, of those operations that have an `interest` and are no transfers. `isBegun`: a connect was begun, and its socket is ready.
    func attemptWaiting(isBegun: Bool) -> StreamAttempt {
        switch self {
        case .socket(let call):
            let attempt = call.streamAttempt()
            // A connect is made again, which tells what became of the first (and lets the kernel note that it stands, as
            // SO_ERROR does not); unless another process did so before.
            if isBegun, isConnect, case .done(-Int(EISCONN)) = attempt { return .done(0) }
            return attempt
        case .waitForChild(let child, let status, let options):
            let result = Kernel.waitForChild(child.number, status, options | CK_WNOHANG)
            let isWaiting = result == 0 && status.pointee.process == 0 && options & CK_WNOHANG == 0
            return isWaiting ? .notReady : .done(result)
        default:
            return .done(-Int(EINVAL))
        }
    }
}

extension SocketCall {
    fileprivate func streamAttempt() -> StreamAttempt {
        if case .accept(let socket, _, _, _) = self, Self.mayBlock(accepting: socket.number) {
            // Even where there is a connection: another process may take it first.
            return Kernel.readyEvents(socket.number, CK_POLLIN) == 0 ? .notReady : .needsWorker
        }
        let result = attempt()
        switch result {
        case -Int(EAGAIN): return isWithoutWaiting || isPacedByTime ? .done(result) : .notReady
        case -Int(EINPROGRESS), -Int(EALREADY):
            if case .connect = self { return .notReady }
            return .done(result)
        default: return .done(result)
        }
    }
}

extension Splice {
    /// On a worker, without waiting: EAGAIN if there is nothing to move, `outputIsFull` if there is no room for it. A
    /// stream without O_NONBLOCK would have splice(2) wait for the other end in spite of SPLICE_F_NONBLOCK, so both ends
    /// are asked before.
    func result(isTee: Bool) -> Int {
        guard Kernel.readyEvents(input.number, CK_POLLIN) != 0 else { return -Int(EAGAIN) }
        guard Kernel.readyEvents(output.number, CK_POLLOUT) != 0 else { return Self.outputIsFull }
        let flags = flags | CK_SPLICE_F_NONBLOCK
        let result =
            isTee
            ? Kernel.tee(input.number, output.number, Int(count), flags)
            : Kernel.splice(input.number, inputOffset, output.number, outputOffset, Int(count), flags)
        return result == -Int(EAGAIN) ? Self.outputIsFull : result
    }

    /// For the queue alone, which makes EAGAIN of it: beyond all errnos, which end at 4095.
    static var outputIsFull: Int { -4096 - Int(EAGAIN) }
}
