import CExitTestOutput
import Glibc

/// An unnamed regular file, closed when dropped. It is on a disk file system (in AIO_TEST_DIRECTORY, or /var/tmp),
/// since tmpfs does not support RWF_NOWAIT.
public final class TemporaryFile: Sendable {
    public let descriptor: Int32

    public init(_ bytes: [UInt8] = []) {
        var template = Array("\(TemporaryDirectory.parent)/aio-unit-XXXXXX".utf8CString)
        descriptor = mkstemp(&template)
        precondition(descriptor >= 0, "mkstemp: errno \(errno)")
        unlink(template)
        precondition(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count, "pwrite: errno \(errno)")
    }

    deinit { close(descriptor) }

    public var bytes: [UInt8] {
        let size = Int(lseek(descriptor, 0, SEEK_END))
        var bytes = [UInt8](repeating: 0, count: size)
        precondition(pread(descriptor, &bytes, size, 0) == size)
        return bytes
    }
}

/// Makes a directory with a unique name, which the caller removes. nil if that fails; then errno says why.
public func newDirectory(in parent: String) -> String? {
    var template = Array("\(parent)/swift-aio-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// A directory, removed with its files when dropped.
public final class TemporaryDirectory: Sendable {
    public let path: String

    static var parent: String { getenv("AIO_TEST_DIRECTORY").map { String(cString: $0) } ?? "/var/tmp" }

    public init() {
        guard let made = newDirectory(in: Self.parent) else { preconditionFailure("mkdtemp: errno \(errno)") }
        path = made
    }

    deinit {
        for name in entryNames(in: path) ?? [] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Creates a FIFO and returns its path.
    public func fifo(_ name: String) -> String {
        precondition(mkfifo(file(name), 0o600) == 0, "mkfifo: errno \(errno)")
        return file(name)
    }
}

/// Two connected descriptors, closed when dropped if they are still open.
public final class DescriptorPair {
    public private(set) var first: Int32
    public private(set) var second: Int32

    private init(_ numbers: (Int32, Int32)) { (first, second) = numbers }

    /// `first` is the reading end.
    public static func pipe(nonBlocking: Bool = false) -> DescriptorPair {
        var numbers: [Int32] = [0, 0]
        precondition(Glibc.pipe(&numbers) == 0, "pipe: errno \(errno)")
        for number in numbers where nonBlocking { _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK) }
        return DescriptorPair((numbers[0], numbers[1]))
    }

    public static func sockets() -> DescriptorPair {
        var numbers: [Int32] = [0, 0]
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        precondition(socketpair(AF_UNIX, type, 0, &numbers) == 0, "socketpair: errno \(errno)")
        return DescriptorPair((numbers[0], numbers[1]))
    }

    deinit {
        closeFirst()
        closeSecond()
    }

    public func closeFirst() {
        if first >= 0 { close(first) }
        first = -1
    }

    public func closeSecond() {
        if second >= 0 { close(second) }
        second = -1
    }

    /// Writes to `second`, which must have room.
    public func send(_ bytes: [UInt8]) {
        precondition(write(second, bytes, bytes.count) == bytes.count, "write: errno \(errno)")
    }
}

/// The descriptors that the process has open now. Only for exit tests, where nothing else runs.
///
/// The descriptors that Dispatch opens for itself with the first timer of each clock, at any moment, are left out: an
/// epoll descriptor, an eventfd and timerfds, with low numbers. The library's own have high numbers, unless the limit
/// is low. So are the pipes of a sanitizer's runtime, to the process that it asks for the names of functions.
public func openDescriptors() -> Set<Int32> {
    Set(entries(of: "/proc/self/fd")).filter { fcntl($0, F_GETFD) >= 0 && ($0 >= 256 || !isOfRuntime($0)) }
}

/// What was opened and closed since `before`, for the message of a failed expectation.
public func descriptorChanges(since before: Set<Int32>) -> String {
    let now = openDescriptors()
    let opened = now.subtracting(before).sorted().map { "\($0) = \(descriptorTarget($0))" }
    return "opened: \(opened), closed: \(before.subtracting(now).sorted())"
}

private func isOfRuntime(_ number: Int32) -> Bool {
    let target = descriptorTarget(number)
    return ["anon_inode:[eventpoll]", "anon_inode:[eventfd]", "anon_inode:[timerfd]"].contains(target)
        || ct_is_sanitized() != 0 && target.hasPrefix("pipe:")
}

/// Empty if the descriptor is not open.
private func descriptorTarget(_ number: Int32) -> String {
    var target = [CChar](repeating: 0, count: 256)
    guard readlink("/proc/self/fd/\(number)", &target, 255) > 0 else { return "" }
    return String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// The IDs of the process' threads, under the same conditions as `openDescriptors`. The kernel's io_uring threads are
/// left out: it keeps one as long as the thread that had the ring.
public func threads() -> Set<Int32> {
    Set(entries(of: "/proc/self/task")).filter { !threadName($0).hasPrefix("iou-") }
}

/// Empty if the thread is gone.
public func threadName(_ thread: Int32) -> String {
    guard let file = fopen("/proc/self/task/\(thread)/comm", "r") else { return "" }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 64)
    guard fgets(&line, 64, file) != nil else { return "" }
    return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func entries(of directory: String) -> [Int32] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    let own = dirfd(stream)
    var numbers: [Int32] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if let number = Int32(name), number != own { numbers.append(number) }
    }
    return numbers
}
