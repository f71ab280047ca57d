internal import AIOCore
internal import Glibc

/// What went wrong with an operation, or with setting up what carries operations out.
///
/// `description` is one line that says what failed, on what, why and, where that is known, what to do.
public struct IOError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        case notFound, permissionDenied, alreadyExists, isDirectory, notDirectory, readOnly
        case invalidArgument, badDescriptor, fileClosed, notSupported
        /// The operation was cancelled, or its deadline passed, before it was done. Nothing of it happened.
        case cancelled, deadlineExceeded
        /// The file ended before as much was read as was asked for.
        case unexpectedEndOfFile
        /// A line, or what was to be read up to a delimiter, is longer than the limit that was given.
        case lineTooLong
        /// As many operations (or buffers) as the configuration allows are in use, and the caller asked not to wait.
        case limitReached
        /// It would have had to wait, and `TransferFlags.noWait` was given.
        case wouldBlock
        case noSpace, fileTooLarge, outOfMemory, tooManyOpenFiles, inputOutput
        /// Nobody listens at the address.
        case connectionRefused
        /// The other side ended the connection by force, or is gone.
        case connectionReset
        /// A connection ended before it was accepted.
        case connectionAborted
        /// A write to what nobody reads any more: the other side has closed, or this one has shut its writing down.
        case brokenPipe
        /// The other side did not answer in the kernel's time. For a deadline of the caller's there is `deadlineExceeded`.
        case timedOut
        case hostUnreachable, networkUnreachable
        /// Somebody else has the address.
        case addressInUse
        /// This machine has no such address.
        case addressNotAvailable
        case notConnected, alreadyConnected
        /// A datagram larger than the protocol, or the socket's buffer, takes.
        case messageTooLarge
        /// There is no host of this name, or it has no address.
        case nameNotFound
        /// Name servers did not answer, or not with sense: whether there is a host of this name is not known.
        case nameLookupFailed
        /// There is no such process, or no such child; or not any more.
        case noSuchProcess
        /// The runtime is shut down.
        case runtimeShutDown
        /// This process was forked from the one that the runtime or queue belongs to.
        case forked
        case engineUnavailable
        /// An earlier sync of the file failed: what was written before it may be lost, whatever a later sync says.
        case syncFailedBefore
        case other
    }

    public var code: Code
    /// The system's own number for it, if a system call failed.
    public var errno: Errno?
    /// What was attempted, in a word: "read", "open".
    public var operation: String
    public var path: Path?
    /// The network address or the host, as text, if the operation was on one.
    public var address: String?
    public var advice: String?

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

    /// For errors that are not the system's.
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
        case .nameNotFound: "there is no host of this name, or it has no address"
        case .nameLookupFailed: "the name could not be looked up"
        default: "failed"
        }
    }
}
