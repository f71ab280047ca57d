internal import CKernel

/// Operations that may wait for another party, and what is done about it without a thread.
extension Operation {
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
        case .nop, .transfer, .sync, .syncRange, .open, .close, .status, .allocate, .truncate, .advise, .rename,
            .unlink,
            .makeDirectory, .link, .symbolicLink, .call, .work, .splice, .tee, .futexWait, .poll, .pollEach, .timeout,
            .repeatingTimeout, .buffers, .cancelAll, .cancel:
            return .done(-Int(EINVAL))
        }
    }
}
