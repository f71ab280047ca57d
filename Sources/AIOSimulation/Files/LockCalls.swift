internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    /// F_OFD_SETLKW, which the library does not use.
    static let waitingLock: Int32 = 38

    /// F_OFD_GETLK, F_OFD_SETLK and F_OFD_SETLKW.
    func recordLock(_ file: FileDescription, _ command: Int32, _ argument: Int) throws(CallError) -> Int {
        guard let pointer = UnsafeMutablePointer<ck_flock>(bitPattern: argument) else { throw CallError(EFAULT) }
        let request = pointer.pointee
        try require(request.process == 0, EINVAL)
        let range = try lockedRange(file, request)
        if command == CK_F_OFD_GETLK {
            try require(CK_F_RDLCK...CK_F_UNLCK ~= request.type, EINVAL)
            // Since 6.5, F_UNLCK asks for the caller's own locks.
            let lock =
                request.type == CK_F_UNLCK
                ? file.inode.locks.own(file, range)
                : file.inode.locks.conflict(file, exclusive: request.type == CK_F_WRLCK, range)
            describe(lock, in: pointer)
            return 0
        }
        switch request.type {
        case CK_F_RDLCK: try require(file.mayRead, EBADF)
        case CK_F_WRLCK: try require(file.mayWrite, EBADF)
        case CK_F_UNLCK: break
        default: throw CallError(EINVAL)
        }
        return try setLock(file, request.type, range, waits: command == Self.waitingLock)
    }

    private func setLock(
        _ file: FileDescription, _ type: Int16, _ range: ClosedRange<Int64>, waits: Bool
    ) throws(CallError) -> Int {
        let locks = file.inode.locks
        let exclusive = type == CK_F_WRLCK
        if type != CK_F_UNLCK, locks.conflict(file, exclusive: exclusive, range) != nil {
            try require(waits, EAGAIN)
            locks.wait(file)
            blockedOn = [file]
            throw CallError(result: Self.wouldBlock)
        }
        locks.stopWaiting(file)
        locks.set(file, exclusive: type == CK_F_UNLCK ? nil : exclusive, range)
        return 0
    }

    private func describe(_ lock: RecordLocks.Lock?, in result: UnsafeMutablePointer<ck_flock>) {
        guard let lock else {
            result.pointee.type = CK_F_UNLCK
            return
        }
        let isOpen = lock.range.upperBound == .max
        result.pointee = ck_flock(
            type: lock.isExclusive ? CK_F_WRLCK : CK_F_RDLCK, whence: Int16(CK_SEEK_SET), start: lock.range.lowerBound,
            length: isOpen ? 0 : lock.range.upperBound - lock.range.lowerBound + 1, process: -1)
    }

    private func lockedRange(_ file: FileDescription, _ request: ck_flock) throws(CallError) -> ClosedRange<Int64> {
        let base: Int64
        switch Int32(request.whence) {
        case CK_SEEK_SET: base = 0
        case CK_SEEK_CUR: base = file.position
        case CK_SEEK_END: base = file.inode.size
        default: throw CallError(EINVAL)
        }
        let (start, overflows) = base.addingReportingOverflow(request.start)
        try require(!overflows, EOVERFLOW)
        try require(start >= 0, EINVAL)
        guard request.length != 0 else { return start...Int64.max }
        guard request.length > 0 else {
            try require(start + request.length >= 0, EINVAL)
            return start + request.length...start - 1
        }
        let (end, ends) = start.addingReportingOverflow(request.length - 1)
        try require(!ends, EOVERFLOW)
        return start...end
    }
}
