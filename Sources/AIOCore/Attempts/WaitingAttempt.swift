internal import CKernel

/// Operations that may wait for a peer, attempted without a thread.
extension Operation {
    /// Attempts an operation without waiting, for operations other than transfers that have an `interest`. `isBegun`: a
    /// connect has begun, and its socket is ready.
    func attemptWaiting(isBegun: Bool) -> StreamAttempt {
        switch self {
        case .socket(let call):
            let attempt = call.streamAttempt()
            // A connect is repeated for its outcome, which also makes the kernel mark the socket as connected, as
            // SO_ERROR does not. EISCONN: another process has done so before.
            if isBegun, isConnect, case .done(-Int(EISCONN)) = attempt { return .done(0) }
            return attempt
        case .waitForChild(let child, let status, let options):
            let result = Kernel.waitForChild(child.number, status, options | CK_WNOHANG)
            let isWaiting = result == 0 && status.pointee.process == 0 && options & CK_WNOHANG == 0
            return isWaiting ? .notReady : .done(result)
        case .nop, .transfer, .sync, .syncRange, .open, .close, .status, .allocate, .truncate, .advise, .rename,
            .unlink,
            .makeDirectory, .link, .symbolicLink, .call, .work, .splice, .tee, .futexWait, .poll, .pollEach, .timeout,
            .repeatingTimeout, .buffers, .cancelAll, .cancel:
            return .done(-Int(EINVAL))
        }
    }
}
