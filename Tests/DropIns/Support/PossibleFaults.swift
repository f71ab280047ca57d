import Foundation

/// A call in the log of a library with planned faults (AIO_FAULTS_LOG).
struct LoggedCall: Hashable, Sendable {
    let name: Substring
    /// Its number among the calls of the name.
    let number: Int
    let arguments: [Int]

    /// nil for a line that has another form.
    init?(_ line: Substring) {
        let words = line.split(separator: " ")
        guard words.count >= 7, let colon = words[0].lastIndex(of: ":"),
            let number = Int(words[0][words[0].index(after: colon)...])
        else { return nil }
        name = words[0][..<colon]
        self.number = number
        arguments = words[1...6].compactMap { Int($0) }
        guard arguments.count == 6 else { return nil }
    }

    static func all(in log: Data) -> [LoggedCall] {
        String(decoding: log, as: UTF8.self).split(separator: "\n").compactMap(LoggedCall.init)
    }

    /// Those that did not go as the kernel would have had it. There is one such line, or with a child two, among many
    /// that a debug build of the tests would take long to read.
    static func faults(in log: Data) -> [LoggedCall] {
        var found: [LoggedCall] = []
        var rest = log[...]
        while let mark = rest.range(of: Data(" = fault\n".utf8)) {
            let end = UInt8(ascii: "\n")
            let start = rest[..<mark.lowerBound].lastIndex(of: end).map { $0 + 1 } ?? rest.startIndex
            found += all(in: rest[start..<mark.lowerBound])
            rest = rest[mark.upperBound...]
        }
        return found
    }
}

/// What the calls of the drop-in libraries can meet, as actions of AIO_FAULTS.
enum PossibleFaults {
    /// None for calls that cannot fail there, or only for a mistake. Nor for futex(2): the same number may be that of a
    /// wait in one run, and in the next that of a wake-up, which is never interrupted.
    static func actions(for call: LoggedCall) -> [String] {
        switch call.name {
        case "read", "write":
            // What has eight bytes is a wake-up.
            return call.arguments[2] == 8 ? [] : transfer(call)
        case "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2": return transfer(call)
        case "sendto", "recvfrom": return ["ECONNRESET", "ENOMEM", "EINTR", "short:1"]
        case "fsync", "fdatasync": return ["EIO", "ENOSPC", "EINTR", "slow:2ms"]
        case "close": return ["EIO", "EINTR"]
        case "openat2": return ["EMFILE", "EACCES"]
        case "statx": return ["ENOMEM", "EIO"]
        // F_DUPFD_CLOEXEC. Other commands fail for a wrong number alone.
        case "fcntl": return call.arguments[1] == 1030 ? ["EMFILE"] : []
        case "mmap", "mremap": return ["ENOMEM"]
        case "clone": return ["EAGAIN"]
        case "eventfd2", "memfd_create", "timerfd_create", "epoll_create1": return ["EMFILE", "ENOMEM"]
        case "epoll_ctl": return ["ENOMEM", "ENOSPC"]
        case "epoll_pwait", "epoll_pwait2", "io_getevents": return ["EINTR"]
        case "io_setup": return ["EAGAIN", "ENOMEM", "ENOSYS"]
        case "io_submit": return ["EAGAIN"]
        case "io_uring_setup": return ["EMFILE", "ENOMEM", "EPERM"]
        case "io_uring_enter": return ["EINTR", "EAGAIN", "EBUSY"]
        case "io_uring_register": return ["ENOMEM", "EINVAL"]
        case "fstatfs": return ["EIO"]
        case "getsockopt": return ["ENOBUFS"]
        case "kcmp", "statmount": return ["EPERM"]
        default: return []
        }
    }

    private static func transfer(_ call: LoggedCall) -> [String] {
        var actions = ["EIO", "EINTR", "short:1", "slow:2ms"]
        if call.name.contains("write") { actions.append("ENOSPC") }
        // RWF_NOWAIT.
        if call.name.hasSuffix("v2"), call.arguments[5] & 8 != 0 { actions += ["EAGAIN", "EOPNOTSUPP"] }
        return actions
    }

    /// Whether an engine makes the call for itself, and no operation is carried out by it: see `CallForm.isOfEngine`.
    static func isOfEngine(_ call: LoggedCall) -> Bool {
        call.name.hasPrefix("io_") || call.name.hasPrefix("epoll_")
            || ["eventfd2", "clone", "mmap", "mremap", "kcmp"].contains(call.name)
    }
}
