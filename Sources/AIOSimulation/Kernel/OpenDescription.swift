internal import AIOCore
internal import CKernel

/// An open file description (open(2)): what a descriptor number refers to. A subclass for each kind of file.
///
/// All functions return a value or a negative errno. One that would block returns -EAGAIN if the description has
/// O_NONBLOCK or the call says so, and otherwise `SimulatedKernel.wouldBlock`.
class OpenDescription {
    /// The O_ flags that F_GETFL reports: the access mode and the status flags.
    var flags: UInt64
    /// The number of descriptors that refer to it.
    fileprivate(set) var referenceCount = 0
    /// Operations that wait for a change of readiness. Each is called once, and removed before.
    private var waiters: [(number: UInt64, action: () -> Void)] = []
    private var lastWaiter: UInt64 = 0
    /// Where it does not answer, by a fault.
    var stalls = Stalls()

    init(flags: UInt64) { self.flags = flags }

    /// The name in traces, for example "/data/log" or "tcp 10.0.0.1:80".
    var name: String { "descriptor" }

    /// preadv2(2); `offset` is nil at the description's own position. `flags` are RWF_ flags.
    func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int { -Int(EINVAL) }
    /// pwritev2(2).
    func write(_ buffers: [UnsafeRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int { -Int(EINVAL) }
    /// poll(2): the events that hold now, POLLERR and POLLHUP included.
    var readyEvents: UInt32 { UInt32(CK_POLLIN | CK_POLLOUT) }
    /// Whether epoll(7) accepts it; not a regular file or a directory.
    var isPollable: Bool { true }
    /// statx(2) with AT_EMPTY_PATH.
    func status(_ status: UnsafeMutablePointer<ck_statx>) -> Int { -Int(EINVAL) }
    /// Called when the last descriptor is closed.
    func lastClose() {}

    // MARK: Waiting

    /// Has `action` called at the next change of readiness. Returns a number for `removeWaiter`.
    func addWaiter(_ action: @escaping () -> Void) -> UInt64 {
        lastWaiter += 1
        waiters.append((lastWaiter, action))
        return lastWaiter
    }

    func removeWaiter(_ number: UInt64) { waiters.removeAll { $0.number == number } }

    var waiterCount: Int { waiters.count }

    /// Calls the actions of those who have waited longest.
    func wake(_ count: Int) {
        let woken = waiters.prefix(count)
        waiters.removeFirst(woken.count)
        for waiter in woken { waiter.action() }
    }

    /// To be called by subclasses after every change of what `readyEvents`, a read or a write would return.
    func readinessChanged() {
        guard !waiters.isEmpty else { return }
        wake(waiters.count)
    }

    fileprivate func addReference() { referenceCount += 1 }

    fileprivate func removeReference() {
        referenceCount -= 1
        assert(referenceCount >= 0, "a descriptor was closed twice")
        if referenceCount == 0 { lastClose() }
    }
}

/// How many files the processes of a host have open.
final class OpenFileCount {
    fileprivate(set) var count = 0
    /// fs.file-max.
    var limit = Int.max
}

/// A process's descriptors.
///
/// The numbers begin far above those of the real process: a simulated number that reaches the real kernel, from a
/// thread that is not the simulation's, fails with EBADF instead of hitting another file.
struct DescriptorTable {
    static let firstNumber: Int32 = 1 << 28

    private struct Entry {
        let description: OpenDescription
        var closesOnExec: Bool
    }

    private var entries: [Entry?] = []
    /// RLIMIT_NOFILE.
    var limit = 1 << 20
    private(set) var count = 0
    /// Those of all processes of the host.
    let files: OpenFileCount

    init(_ files: OpenFileCount) { self.files = files }

    /// EMFILE or ENFILE, if no new file can be opened; nil if one can.
    var refusal: Int32? {
        if count >= limit { return EMFILE }
        return files.count >= files.limit ? ENFILE : nil
    }

    /// 0, 1 and 2, whose numbers programs take for granted.
    var standard: [OpenDescription?] = []

    subscript(_ number: Int) -> OpenDescription? {
        if standard.indices.contains(number) { return standard[number] }
        let index = number - Int(Self.firstNumber)
        return entries.indices.contains(index) ? entries[index]?.description : nil
    }

    /// All open numbers, ascending.
    var numbers: [Int32] {
        entries.indices.filter { entries[$0] != nil }.map { Self.firstNumber + Int32($0) }
    }

    /// Adds a description under the lowest free number that is not below `least`; -EMFILE or -ENFILE at a limit.
    mutating func add(_ description: OpenDescription, closesOnExec: Bool = true, from least: Int = 0) -> Int {
        // A duplicate opens no new file.
        if let refusal, refusal == EMFILE || description.referenceCount == 0 { return -Int(refusal) }
        if description.referenceCount == 0 { files.count += 1 }
        let start = max(0, least - Int(Self.firstNumber))
        let free = entries.indices.dropFirst(start).first { entries[$0] == nil } ?? max(start, entries.count)
        while entries.count <= free { entries.append(nil) }
        entries[free] = Entry(description: description, closesOnExec: closesOnExec)
        count += 1
        description.addReference()
        return Int(Self.firstNumber) + free
    }

    /// The flag FD_CLOEXEC of an open number.
    func closesOnExec(_ number: Int) -> Bool {
        let index = number - Int(Self.firstNumber)
        return entries.indices.contains(index) && entries[index]?.closesOnExec == true
    }

    mutating func setClosesOnExec(_ number: Int, _ closesOnExec: Bool) {
        let index = number - Int(Self.firstNumber)
        if entries.indices.contains(index) { entries[index]?.closesOnExec = closesOnExec }
    }

    /// dup3(2) onto a number, whose former description is closed. EBADF for numbers that the table does not have.
    mutating func replace(_ number: Int, by description: OpenDescription, closesOnExec: Bool) -> Int {
        let index = number - Int(Self.firstNumber)
        guard index >= 0, index < limit else { return -Int(EBADF) }
        while entries.count <= index { entries.append(nil) }
        description.addReference()
        let former = entries[index]
        entries[index] = Entry(description: description, closesOnExec: closesOnExec)
        if former == nil { count += 1 }
        if let former { release(former.description) }
        return number
    }

    /// close(2).
    mutating func remove(_ number: Int) -> Int {
        guard let description = self[number] else { return -Int(EBADF) }
        guard !standard.indices.contains(number) else {
            standard[number] = nil
            return 0
        }
        entries[number - Int(Self.firstNumber)] = nil
        count -= 1
        release(description)
        return 0
    }

    private func release(_ description: OpenDescription) {
        if description.referenceCount == 1 { files.count -= 1 }
        description.removeReference()
    }
}
