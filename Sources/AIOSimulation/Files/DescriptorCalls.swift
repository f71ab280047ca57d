internal import AIOCore
internal import CKernel

/// fcntl(2), ioctl(2), close(2) and inotify(7).
extension SimulatedKernel {
    /// nil for commands that streams know.
    func control(_ descriptor: Int, _ command: Int, _ argument: Int) throws(CallError) -> Int? {
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        let command = Int32(truncatingIfNeeded: command)
        switch command {
        case Self.descriptorFlags: return descriptors.closesOnExec(descriptor) ? 1 : 0
        case Self.setDescriptorFlags:
            descriptors.setClosesOnExec(descriptor, argument & 1 != 0)
            return 0
        case CK_F_GETFL: return Int(open.flags | Self.largeFile(open))
        case CK_F_DUPFD_CLOEXEC, Self.duplicate:
            try require(0..<descriptors.limit + Int(DescriptorTable.firstNumber) ~= argument, EINVAL)
            return descriptors.add(open, closesOnExec: command == CK_F_DUPFD_CLOEXEC, from: argument)
        case CK_F_DUPFD_QUERY:
            guard let other = descriptors[argument] else { throw CallError(EBADF) }
            return other === open ? 1 : 0
        default: break
        }
        guard let file = open as? FileDescription else { return command == CK_F_SETFL ? setFlags(open, argument) : nil }
        // None of the others works with O_PATH.
        try require(!file.isPathOnly, EBADF)
        switch command {
        case CK_F_SETFL:
            try require(UInt64(argument) & CK_O_DIRECT == 0 || file is RegularFileDescription, EINVAL)
            return setFlags(open, argument)
        case CK_F_OFD_GETLK, CK_F_OFD_SETLK, Self.waitingLock: return try recordLock(file, command, argument)
        default: throw CallError(EINVAL)
        }
    }

    /// dup3(2).
    func duplicate(_ descriptor: Int, to number: Int, _ flags: Int) throws(CallError) -> Int {
        try require(UInt64(truncatingIfNeeded: flags) & ~CK_O_CLOEXEC == 0 && descriptor != number, EINVAL)
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        return descriptors.replace(number, by: open, closesOnExec: flags != 0)
    }

    /// F_DUPFD.
    private static let duplicate: Int32 = 0
    /// F_GETFD and F_SETFD.
    private static let descriptorFlags: Int32 = 1
    private static let setDescriptorFlags: Int32 = 2

    /// The kernel adds O_LARGEFILE to every open file of a 64-bit process.
    private static func largeFile(_ open: OpenDescription) -> UInt64 {
        guard let file = open as? FileDescription, !file.isPathOnly else { return 0 }
        #if arch(arm64)
            return 0o400000
        #else
            return 0o100000
        #endif
    }

    private func setFlags(_ open: OpenDescription, _ flags: Int) -> Int {
        // O_ASYNC and O_NOATIME too, which nothing here looks at.
        let settable = CK_O_APPEND | CK_O_NONBLOCK | CK_O_DIRECT
        open.flags = open.flags & ~settable | UInt64(truncatingIfNeeded: flags) & settable
        return 0
    }

    /// nil for requests that streams know.
    func ioctl(_ descriptor: Int, _ request: Int, _ argument: Int) throws(CallError) -> Int? {
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        if let queue = open as? ChangeQueue {
            try require(request == Int(CK_FIONREAD), ENOTTY)
            return try store(queue.byteCount, argument)
        }
        guard let file = open as? FileDescription else { return nil }
        try require(!file.isPathOnly, EBADF)
        switch UInt64(truncatingIfNeeded: request) {
        case CK_FIONREAD where file is RegularFileDescription:
            return try store(Int(clamping: file.inode.size - file.position), argument)
        case CK_FICLONE: return try clone(from: argument, to: file)
        default: throw CallError(ENOTTY)
        }
    }

    private func store(_ value: Int, _ address: Int) throws(CallError) -> Int {
        guard let result = UnsafeMutablePointer<Int32>(bitPattern: address) else { throw CallError(EFAULT) }
        result.pointee = Int32(truncatingIfNeeded: value)
        return 0
    }

    /// FICLONE: ext4 cannot share extents.
    private func clone(from descriptor: Int, to target: FileDescription) throws(CallError) -> Int {
        let source = try openFile(descriptor)
        try require(!(source.inode is Directory || target.inode is Directory), EISDIR)
        try require(source is RegularFileDescription && target is RegularFileDescription, EINVAL)
        try require(source.mayRead && target.mayWrite && target.flags & CK_O_APPEND == 0, EBADF)
        throw CallError(EOPNOTSUPP)
    }

    /// prlimit64(2). RLIMIT_NOFILE alone limits anything.
    func limit(_ resource: Int, _ newAddress: Int, _ oldAddress: Int) throws(CallError) -> Int {
        let isOfDescriptors = resource == Int(CK_RLIMIT_NOFILE)
        let old = isOfDescriptors ? UInt64(descriptors.limit) : .max
        if let new = UnsafePointer<ck_rlimit>(bitPattern: newAddress)?.pointee {
            try require(new.soft <= new.hard, EINVAL)
            if isOfDescriptors { descriptors.limit = Int(clamping: new.soft) }
        }
        UnsafeMutablePointer<ck_rlimit>(bitPattern: oldAddress)?.pointee = ck_rlimit(soft: old, hard: old)
        return 0
    }

    // MARK: inotify(7)

    func changeDescriptor(_ flags: Int) throws(CallError) -> Int {
        try require(flags & ~Int(CK_IN_CLOEXEC | CK_IN_NONBLOCK) == 0, EINVAL)
        let kept = UInt64(flags) & CK_O_NONBLOCK
        let queue = ChangeQueue(flags: kept, limit: fileSystem.limits.queuedChanges)
        return descriptors.add(queue, closesOnExec: flags & Int(CK_IN_CLOEXEC) != 0)
    }

    func addWatch(_ descriptor: Int, _ address: Int, _ mask: Int) throws(CallError) -> Int {
        let mask = UInt32(truncatingIfNeeded: mask)
        guard let open = descriptors[descriptor] else { throw CallError(EBADF) }
        // Without a single event.
        try require(mask & 0xffff != 0, EINVAL)
        guard let queue = open as? ChangeQueue else { throw CallError(EINVAL) }
        let follows = mask & CK_IN_DONT_FOLLOW == 0
        let entry = try file(
            Int(CK_AT_FDCWD), address, flags: follows ? 0 : Int(CK_AT_SYMLINK_NOFOLLOW))
        // IN_ONLYDIR.
        try require(mask & 0x0100_0000 == 0 || entry.inode is Directory, ENOTDIR)
        return Int(queue.watch(entry.inode, mask))
    }
}
