internal import AIOCore
internal import CKernel

/// An open description of a pipe, a socket, or another file that one waits for. It has no position, and refuses
/// offsets with ESPIPE.
class StreamDescription: OpenDescription {
    unowned let kernel: SimulatedKernel
    private let inode: UInt64

    init(_ kernel: SimulatedKernel, flags: UInt64) {
        self.kernel = kernel
        inode = kernel.streams.newInode()
        super.init(flags: flags)
    }

    /// The S_IFMT bits of its status. Anonymous inodes (eventfd, timerfd, pidfd) have none.
    var fileType: UInt16 { 0 }
    /// The bytes that can be read, or a negative errno, for FIONREAD; nil if the file does not know it.
    var availableCount: Int? { nil }
    /// Whether lseek(2) succeeds without effect (noop_llseek); ESPIPE otherwise.
    var ignoresSeeks: Bool { false }
    /// Whether preadv2(2) and pwritev2(2) take RWF_NOWAIT: EOPNOTSUPP otherwise.
    var readsWithoutWaiting: Bool { true }
    var writesWithoutWaiting: Bool { true }

    var isNonBlocking: Bool { flags & CK_O_NONBLOCK != 0 }
    var isReadable: Bool { flags & CK_O_ACCMODE != CK_O_WRONLY }
    var isWritable: Bool { flags & CK_O_ACCMODE != CK_O_RDONLY }

    /// The result of a call that would block.
    func blocked(_ withoutWaiting: Bool = false) -> Int {
        guard !isNonBlocking, !withoutWaiting else { return -Int(EAGAIN) }
        kernel.blockedOn = [self]
        return SimulatedKernel.wouldBlock
    }

    /// Reads as read(2); `withoutWaiting` is RWF_NOWAIT.
    func read(_ target: inout ReadTarget, withoutWaiting: Bool) -> Int { -Int(EINVAL) }
    /// Writes as write(2); `withoutWaiting` is RWF_NOWAIT.
    func write(_ source: inout WriteSource, withoutWaiting: Bool) -> Int { -Int(EINVAL) }

    override func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        guard isReadable else { return -Int(EBADF) }
        guard offset == nil else { return -Int(ESPIPE) }
        let withoutWaiting = flags & CK_RWF_NOWAIT != 0
        guard !withoutWaiting || readsWithoutWaiting else { return -Int(EOPNOTSUPP) }
        var target = ReadTarget(buffers)
        return read(&target, withoutWaiting: withoutWaiting)
    }

    override func write(_ buffers: [UnsafeRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        guard isWritable else { return -Int(EBADF) }
        guard offset == nil else { return -Int(ESPIPE) }
        let withoutWaiting = flags & CK_RWF_NOWAIT != 0
        guard !withoutWaiting || writesWithoutWaiting else { return -Int(EOPNOTSUPP) }
        var source = WriteSource(buffers)
        return write(&source, withoutWaiting: withoutWaiting)
    }

    override func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int {
        status.pointee = ck_statx()
        status.pointee.mask = CK_STATX_TYPE | CK_STATX_INO
        status.pointee.mode = fileType | 0o600
        status.pointee.inode = inode
        status.pointee.link_count = 1
        status.pointee.block_size = 4096
        return 0
    }
}

/// The memory that a read fills, buffer by buffer.
struct ReadTarget {
    private let buffers: [UnsafeMutableRawBufferPointer]
    private var index = 0
    private var position = 0
    /// The bytes that still fit.
    private(set) var room: Int
    private(set) var count = 0

    init(_ buffers: [UnsafeMutableRawBufferPointer]) {
        self.buffers = buffers
        room = buffers.reduce(0) { $0 + $1.count }
    }

    /// Copies as many bytes as fit. Returns their number.
    @discardableResult
    mutating func put(_ bytes: UnsafeRawBufferPointer) -> Int {
        var copied = 0
        while copied < bytes.count, room > 0 {
            let free = buffers[index].count - position
            let part = min(free, bytes.count - copied)
            if part > 0 {
                // Within the buffer's bounds: `part` is at most what is free in it.
                let place = UnsafeMutableRawBufferPointer(rebasing: buffers[index][position..<position + part])
                place.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[copied..<copied + part]))
            }
            copied += part
            position += part
            room -= part
            if position == buffers[index].count { (index, position) = (index + 1, 0) }
        }
        count += copied
        return copied
    }
}

/// The memory that a write takes its bytes from, buffer by buffer.
struct WriteSource {
    private let buffers: [UnsafeRawBufferPointer]
    private var index = 0
    private var position = 0
    /// The bytes that have not been taken.
    private(set) var remaining: Int

    init(_ buffers: [UnsafeRawBufferPointer]) {
        self.buffers = buffers
        remaining = buffers.reduce(0) { $0 + $1.count }
    }

    /// Takes the next bytes, at most `limit`.
    mutating func take(_ limit: Int) -> [UInt8] {
        var taken: [UInt8] = []
        let wanted = min(limit, remaining)
        taken.reserveCapacity(wanted)
        while taken.count < wanted {
            let part = min(buffers[index].count - position, wanted - taken.count)
            // Within the buffer's bounds: `part` is at most what is left of it.
            taken.append(contentsOf: UnsafeRawBufferPointer(rebasing: buffers[index][position..<position + part]))
            position += part
            if position == buffers[index].count { (index, position) = (index + 1, 0) }
        }
        remaining -= wanted
        return taken
    }
}
