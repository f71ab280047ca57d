#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// An errno(3) value of the operating system.
public struct Errno: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number of errno(3).
    public let rawValue: Int32

    /// From a number of errno(3); a negative result has to be negated first.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// For example "No such file or directory (ENOENT)".
    public var description: String {
        // The longest message of glibc has about 50 bytes; a translation may have more.
        var buffer = [CChar](repeating: 0, count: 256)
        guard strerror_r(rawValue, &buffer, buffer.count) == 0 else { return "error \(rawValue)" }
        let sentence = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return Self.names[rawValue].map { "\(sentence) (\($0))" } ?? "\(sentence) (errno \(rawValue))"
    }

    /// The names of the values that file systems, sockets and rings return.
    private static let names: [Int32: String] = [
        EPERM: "EPERM", ENOENT: "ENOENT", ESRCH: "ESRCH", ECHILD: "ECHILD", EINTR: "EINTR", EIO: "EIO", ENXIO: "ENXIO",
        E2BIG: "E2BIG", EBADF: "EBADF",
        EAGAIN: "EAGAIN", ENOMEM: "ENOMEM", EACCES: "EACCES", EFAULT: "EFAULT", EBUSY: "EBUSY", EEXIST: "EEXIST",
        EXDEV: "EXDEV", ENODEV: "ENODEV", ENOTDIR: "ENOTDIR", EISDIR: "EISDIR", EINVAL: "EINVAL", ENFILE: "ENFILE",
        EMFILE: "EMFILE", ENOTTY: "ENOTTY", ETXTBSY: "ETXTBSY", EFBIG: "EFBIG", ENOSPC: "ENOSPC", ESPIPE: "ESPIPE",
        EROFS: "EROFS", EMLINK: "EMLINK", EPIPE: "EPIPE", ERANGE: "ERANGE", EDEADLK: "EDEADLK",
        ENAMETOOLONG: "ENAMETOOLONG", ENOSYS: "ENOSYS", ENOTEMPTY: "ENOTEMPTY", ENODATA: "ENODATA", ELOOP: "ELOOP",
        EOVERFLOW: "EOVERFLOW",
        EOPNOTSUPP: "EOPNOTSUPP", ECONNRESET: "ECONNRESET", ETIMEDOUT: "ETIMEDOUT", ECONNREFUSED: "ECONNREFUSED",
        ECONNABORTED: "ECONNABORTED", EHOSTUNREACH: "EHOSTUNREACH", EHOSTDOWN: "EHOSTDOWN", ENETUNREACH: "ENETUNREACH",
        ENETDOWN: "ENETDOWN", EADDRINUSE: "EADDRINUSE", EADDRNOTAVAIL: "EADDRNOTAVAIL", ENOTCONN: "ENOTCONN",
        EISCONN: "EISCONN", EMSGSIZE: "EMSGSIZE", ENOTSOCK: "ENOTSOCK", EAFNOSUPPORT: "EAFNOSUPPORT",
        EPROTONOSUPPORT: "EPROTONOSUPPORT", ENOPROTOOPT: "ENOPROTOOPT", EDESTADDRREQ: "EDESTADDRREQ",
        ENOBUFS: "ENOBUFS", EPROTO: "EPROTO", EALREADY: "EALREADY", ESTALE: "ESTALE", EDQUOT: "EDQUOT",
        ECANCELED: "ECANCELED",
    ]
}
