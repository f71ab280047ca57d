import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// The kinds of streams.
enum StreamKind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case pipe, socket, fifo, terminal

    var testDescription: String { rawValue }
}

/// The two ends of a stream: what is written to one is read from the other.
struct Ends: Sendable {
    var reading: Int32
    var writing: Int32

    /// Makes a stream, runs `body` and closes both ends, unless `body` set them to -1.
    static func with<R>(
        _ kind: StreamKind = .pipe, nonBlocking: Bool = false, _ body: (inout Ends) async throws -> R
    ) async throws -> R {
        var ends = try Ends(kind, nonBlocking)
        defer {
            ends.closeReading()
            ends.closeWriting()
        }
        return try await body(&ends)
    }

    /// Takes existing descriptors.
    init(reading: Int32, writing: Int32) {
        self.reading = reading
        self.writing = writing
    }

    init(_ kind: StreamKind, _ nonBlocking: Bool) throws {
        switch kind {
        case .pipe: (reading, writing) = try Self.pipe()
        case .socket: (reading, writing) = try Self.sockets()
        case .fifo: (reading, writing) = try Self.fifo()
        case .terminal: (reading, writing) = try Self.terminal()
        }
        guard nonBlocking else { return }
        for end in [reading, writing] { _ = fcntl(end, F_SETFL, fcntl(end, F_GETFL) | O_NONBLOCK) }
    }

    mutating func closeReading() {
        if reading >= 0 { closeDescriptor(reading) }
        reading = -1
    }

    mutating func closeWriting() {
        if writing >= 0 { closeDescriptor(writing) }
        writing = -1
    }

    private static func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        // pipe2(2) with O_CLOEXEC, so that no child of another test inherits an end.
        let made = ends.withUnsafeMutableBufferPointer {
            SystemCall.call(SystemCall.pipe2, address($0.baseAddress), Int(O_CLOEXEC))
        }
        try #require(made == 0)
        return (ends[0], ends[1])
    }

    private static func sockets() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        try #require(socketpair(AF_UNIX, type, 0, &ends) == 0)
        return (ends[0], ends[1])
    }

    /// A FIFO in the file system. Its name is removed once both ends are open.
    private static func fifo() throws -> (Int32, Int32) {
        var template = Array("/tmp/swift-aio-fifo-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer {
            unlink("\(folder)/fifo")
            rmdir(folder)
        }
        try #require(mkfifo("\(folder)/fifo", 0o600) == 0)
        // O_RDWR first, so that neither of the other opens waits.
        let both = try openDescriptor("\(folder)/fifo", O_RDWR)
        defer { closeDescriptor(both) }
        return (try openDescriptor("\(folder)/fifo", O_RDONLY), try openDescriptor("\(folder)/fifo", O_WRONLY))
    }

    /// What is written to the master is read from the slave. Raw mode: no echo, and no buffering of lines.
    private static func terminal() throws -> (Int32, Int32) {
        try needs(.terminal)
        let master = try openDescriptor("/dev/ptmx", O_RDWR | O_NOCTTY)
        var unlock: Int32 = 0
        var number: UInt32 = 0
        // TIOCSPTLCK and TIOCGPTN: unlockpt(3) and ptsname(3), which Glibc's module does not show.
        let unlocked = withUnsafePointer(to: &unlock) { Kernel.ioctl(master, 0x4004_5431, address($0)) }
        let numbered = withUnsafeMutablePointer(to: &number) { Kernel.ioctl(master, 0x8004_5430, address($0)) }
        try #require(unlocked == 0 && numbered == 0)
        let slave = try openDescriptor("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        var settings = termios()
        tcgetattr(slave, &settings)
        cfmakeraw(&settings)
        tcsetattr(slave, TCSANOW, &settings)
        return (slave, master)
    }

    // MARK: Without the library

    func put(_ bytes: [UInt8]) {
        #expect(Glibc.write(writing, bytes, bytes.count) == bytes.count)
    }

    func get(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = Glibc.read(reading, &bytes, count)
        return Array(bytes.prefix(max(read, 0)))
    }

    /// Whether the last descriptor of an end is closed, wherever its number may be used now.
    var isReadingEndGone: Bool { Self.isGone(writing, Int16(POLLERR)) }
    var isWritingEndGone: Bool { Self.isGone(reading, Int16(POLLHUP)) }

    private static func isGone(_ other: Int32, _ sign: Int16) -> Bool {
        var entry = pollfd(fd: other, events: 0, revents: 0)
        return Glibc.poll(&entry, 1, 0) == 1 && entry.revents & sign != 0
    }

    /// Writes until the buffers are full. Returns the number of bytes.
    func fillUp() -> Int {
        let flags = fcntl(writing, F_GETFL)
        _ = fcntl(writing, F_SETFL, flags | O_NONBLOCK)
        defer { _ = fcntl(writing, F_SETFL, flags) }
        let chunk = [UInt8](repeating: 7, count: 4096)
        var total = 0
        while case let count = Glibc.write(writing, chunk, chunk.count), count > 0 { total += count }
        return total
    }

    /// Reads and discards that many bytes.
    func drain(_ count: Int) {
        var left = count
        while left > 0, case let got = get(min(left, 65536)).count, got > 0 { left -= got }
    }
}

/// eventfd2(2), which Glibc's module does not show.
func eventDescriptor(_ flags: Int32) throws -> Int32 {
    let number = SystemCall.call(CK_NR_eventfd2, 0, Int(flags), 0, 0, 0, 0)
    try #require(number >= 0)
    return Int32(number)
}

/// Adds `count` to an eventfd.
func signal(_ event: Int32, _ count: UInt64) {
    var count = count
    #expect(Glibc.write(event, &count, 8) == 8)
}
