internal import CKernel

extension Operation {
    /// Executes the operation on the calling thread, which may block; for workers only.
    ///
    /// Returns the value or a negative errno.
    public func blockingResult() -> Int {
        switch self {
        case .nop:
            return 0
        case .transfer(let transfer):
            return transfer.blockingResult()
        case .sync(let descriptor, .data):
            return Kernel.fdatasync(descriptor.number)
        case .sync(let descriptor, .full):
            return Kernel.fsync(descriptor.number)
        case .syncRange(let descriptor, let offset, let count, let flags):
            return Kernel.syncFileRange(descriptor.number, offset, count, flags)
        case .open(let directory, let path, let how):
            return Kernel.openat2(directory, path, how)
        case .close(let descriptor):
            return Kernel.close(descriptor)
        case .status(let directory, let path, let flags, let mask, let result):
            return Kernel.statx(directory, path, flags, mask, result)
        case .allocate(let descriptor, let mode, let offset, let count):
            return Kernel.fallocate(descriptor.number, mode, offset, count)
        case .truncate(let descriptor, let size):
            return Kernel.ftruncate(descriptor.number, size)
        case .advise(let descriptor, let offset, let count, let advice):
            return Kernel.fadvise(descriptor.number, offset, count, advice)
        case .rename, .unlink, .makeDirectory, .link, .symbolicLink:
            return namingResult()
        case .call(let call):
            return call.blockingResult()
        case .work(let work):
            return work.takeUnretainedValue().carryOut()
        case .socket(let call):
            return call.attempt()
        case .splice(let splice):
            return splice.result(isTee: false)
        case .tee(let splice):
            return splice.result(isTee: true)
        case .waitForChild:
            if case .done(let result) = attemptWaiting(isBegun: false) { return result }
            return -Int(EAGAIN)
        case .futexWait(let wait):
            return wait.blockingResult()
        case .poll, .pollEach, .timeout, .repeatingTimeout, .buffers, .cancel, .cancelAll:
            // The engine or the queue executes these without a worker.
            return -Int(EINVAL)
        }
    }

    /// The operations on names.
    private func namingResult() -> Int {
        switch self {
        case .rename(let directory, let path, let newDirectory, let newPath, let flags):
            return Kernel.renameat2(directory, path, newDirectory, newPath, flags)
        case .unlink(let directory, let path, let flags):
            return Kernel.unlinkat(directory, path, flags)
        case .makeDirectory(let directory, let path, let permissions):
            return Kernel.mkdirat(directory, path, permissions)
        case .link(let directory, let path, let newDirectory, let newPath, let flags):
            return Kernel.linkat(directory, path, newDirectory, newPath, flags)
        case .symbolicLink(let target, let directory, let path):
            return Kernel.symlinkat(target, directory, path)
        default:
            return -Int(EINVAL)
        }
    }

}
