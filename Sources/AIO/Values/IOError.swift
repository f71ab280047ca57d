internal import AIOCore

#if canImport(Musl)
    internal import Musl
#else
    internal import Glibc
#endif

/// The failure of an operation, or of starting a runtime or queue.
///
/// ``description`` is one line: what failed, on what, why and, where that is known, what to do.
public struct IOError: Error, Sendable, CustomStringConvertible {
    /// The kind of an error, for switches. Most correspond to one errno.
    public enum Code: Sendable, Hashable {
        /// No such file, directory or name exists: ENOENT.
        case notFound
        /// The caller may not do this: EACCES or EPERM.
        case permissionDenied
        /// The file, directory or name exists already: EEXIST.
        case alreadyExists
        /// The path is a directory, and the operation is for files: EISDIR.
        case isDirectory
        /// The path, or a part of it, is not a directory: ENOTDIR.
        case notDirectory
        /// The file system is mounted read-only: EROFS.
        case readOnly
        /// An argument is out of range, or the file does not permit it: EINVAL. ``IOError/advice`` says more.
        case invalidArgument
        /// The descriptor is not open, or not for this direction: EBADF.
        case badDescriptor
        /// The file, stream or socket was closed on this side, before the operation or during its wait.
        case fileClosed
        /// The kernel, the file system or the file does not support this: EOPNOTSUPP or ENOSYS.
        case notSupported
        /// The task was cancelled, or cancellation of the operation was requested, before it was done. A single
        /// operation has then had no effect. A call that consists of several operations (a write of everything, a
        /// removal or copy of a tree) may have done some.
        case cancelled
        /// The caller's deadline passed before the operation was done. A single operation has then had no effect; a
        /// call that consists of several may have done some.
        case deadlineExceeded
        /// The file or stream ended before the requested number of bytes was read.
        case unexpectedEndOfFile
        /// A line, or the data up to a delimiter, exceeds the given limit.
        case lineTooLong
        /// All slots or buffers that the configuration permits are in use, and the caller does not want to wait.
        case limitReached
        /// The operation would have to wait, and `TransferFlags.noWait` was given: EAGAIN.
        case wouldBlock
        /// The device is full, or a quota is reached: ENOSPC or EDQUOT.
        case noSpace
        /// The file is, or would be, larger than a limit of the file system, the process (EFBIG) or the call permits.
        case fileTooLarge
        /// The kernel has no memory for this: ENOMEM.
        case outOfMemory
        /// The process or the system has too many open files: EMFILE or ENFILE.
        case tooManyOpenFiles
        /// The device failed: EIO.
        case inputOutput
        /// No socket listens on the address.
        case connectionRefused
        /// The peer reset the connection, or no longer exists.
        case connectionReset
        /// A connection ended before it was accepted.
        case connectionAborted
        /// A write without a reader: the peer has closed, or this side has shut down writing.
        case brokenPipe
        /// The peer did not answer within the kernel's own time limit. A caller's deadline gives ``deadlineExceeded``.
        case timedOut
        /// No route leads to the host, or it does not answer: EHOSTUNREACH or EHOSTDOWN.
        case hostUnreachable
        /// No route leads to the network, or the interface is down: ENETUNREACH or ENETDOWN.
        case networkUnreachable
        /// Another socket uses the address.
        case addressInUse
        /// The address does not belong to this machine.
        case addressNotAvailable
        /// The socket has no peer: ENOTCONN.
        case notConnected
        /// The socket has a peer already: EISCONN.
        case alreadyConnected
        /// The datagram is larger than the protocol or the socket's buffer permits.
        case messageTooLarge
        /// The host name does not exist or has no address.
        case nameNotFound
        /// The name servers gave no usable answer; whether the name exists is not known.
        case nameLookupFailed
        /// The process or child does not exist, or no longer exists.
        case noSuchProcess
        /// The runtime is shut down.
        case runtimeShutDown
        /// This process was forked from the one that created the runtime or queue.
        case forked
        /// The kernel, a container or the configuration does not permit the engine.
        case engineUnavailable
        /// An earlier sync of the file failed. Data written before it may be lost, even if a later sync succeeds.
        case syncFailedBefore
        /// Everything else: see ``IOError/errno``.
        case other
    }

    /// The kind of the error.
    public var code: Code
    /// The errno, if a system call failed.
    public var errno: Errno?
    /// The operation in a word: "read", "open".
    public var operation: String
    /// The path that the operation was about, if it had one.
    public var path: Path?
    /// The network address or host name as text, if the operation had one.
    public var address: String?
    /// What to do about the error, or a detail, on one line without a full stop.
    public var advice: String?

    /// An error of a program's own that reads like one of the library: `operation` is a word, such as "read".
    public init(
        _ code: Code, _ operation: String, errno: Errno? = nil, path: Path? = nil, address: String? = nil,
        advice: String? = nil
    ) {
        self.code = code
        self.errno = errno
        self.operation = operation
        self.path = path
        self.address = address
        self.advice = advice
    }

    /// From a negative errno.
    init(result: Int32, _ operation: String, path: Path? = nil) {
        self.init(Code(errno: -result), operation, errno: Errno(rawValue: -result), path: path)
    }

    /// From a completion with a negative result.
    init(_ completion: Completion, _ operation: String, path: Path?) {
        self.init(result: completion.result, operation, path: path)
        if completion.flags.contains(.deadlinePassed) {
            code = .deadlineExceeded
            errno = nil
        } else if code == .cancelled {
            errno = nil
        }
    }

    /// One line: operation, path or address, reason, and advice.
    public var description: String {
        var text = operation
        if let path { text += " \(path)" }
        if let address { text += " \(address.visible)" }
        text += ": " + (errno.map { "\($0)" } ?? code.sentence)
        if let advice { text += ": \(advice)" }
        return text
    }
}

extension IOError.Code {
    init(errno: Int32) {
        switch errno {
        case ENOENT: self = .notFound
        case EACCES, EPERM: self = .permissionDenied
        case EEXIST: self = .alreadyExists
        case EISDIR: self = .isDirectory
        case ENOTDIR: self = .notDirectory
        case EROFS: self = .readOnly
        case EINVAL: self = .invalidArgument
        case EBADF: self = .badDescriptor
        case EOPNOTSUPP, ENOSYS: self = .notSupported
        case ECANCELED: self = .cancelled
        case EAGAIN: self = .wouldBlock
        case ENOSPC, EDQUOT: self = .noSpace
        case EFBIG: self = .fileTooLarge
        case ENOMEM: self = .outOfMemory
        case EMFILE, ENFILE: self = .tooManyOpenFiles
        case EIO: self = .inputOutput
        case ECONNREFUSED: self = .connectionRefused
        case ECONNRESET: self = .connectionReset
        case ECONNABORTED: self = .connectionAborted
        case EPIPE: self = .brokenPipe
        case ETIMEDOUT: self = .timedOut
        case EHOSTUNREACH, EHOSTDOWN: self = .hostUnreachable
        case ENETUNREACH, ENETDOWN: self = .networkUnreachable
        case EADDRINUSE: self = .addressInUse
        case EADDRNOTAVAIL: self = .addressNotAvailable
        case ENOTCONN: self = .notConnected
        case EISCONN: self = .alreadyConnected
        case EMSGSIZE: self = .messageTooLarge
        case ESRCH, ECHILD: self = .noSuchProcess
        default: self = .other
        }
    }

    /// The text for errors without an errno.
    fileprivate var sentence: String {
        switch self {
        case .fileClosed: "the file is closed"
        case .cancelled: "cancelled"
        case .deadlineExceeded: "the deadline passed"
        case .unexpectedEndOfFile: "the file ended early"
        case .lineTooLong: "a line is longer than the limit"
        case .limitReached: "the limit of operations in flight is reached"
        case .runtimeShutDown: "the runtime is shut down"
        case .forked: "not usable in a forked child"
        case .engineUnavailable: "the engine is not available"
        case .syncFailedBefore: "an earlier sync of this file failed, so data may be lost"
        case .invalidArgument: "invalid argument"
        case .nameNotFound: "the host does not exist or has no address"
        case .nameLookupFailed: "the name could not be looked up"
        default: "failed"
        }
    }
}
