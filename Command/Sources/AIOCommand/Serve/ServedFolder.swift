import AIO
import AIOCore
import CKernel

/// The folder that is served. No path leads out of it.
final class ServedFolder: Sendable {
    let file: File
    /// Whether files here may be opened and read on a loop's thread. False for remote file systems, which can block it,
    /// and if the configuration disables inline attempts.
    private let isLocal: Bool

    init(_ path: Path, _ runtime: IORuntime) async throws(IOError) {
        file = try await File.open(path, options: [.directory], runtime: runtime)
        isLocal = file.descriptor.backing != .remote && runtime.configuration.inlineAttempts
    }

    /// Opens the regular file or folder that a path names, or throws a refusal.
    ///
    /// The first attempt runs on the calling thread and succeeds only if the kernel need not wait: the path must be in
    /// the dentry cache (RESOLVE_CACHED, since 5.12) and on the folder's own file system (RESOLVE_NO_XDEV). Otherwise a
    /// loop opens the file. O_NONBLOCK keeps both from waiting for the other end of a FIFO.
    func open(_ path: RequestPath, now: Int64) async throws(Refusal) -> OpenedFile {
        if isLocal, let result = openNow(path) {
            guard result >= 0 else { throw Refusal(Self.status(errno: -result)) }
            return try OpenedFile(adopting: Int32(result), file.descriptor.backing, now: now)
        }
        let opened: File
        do throws(IOError) {
            opened = try await File.open(
                Path(bytes: path.bytes), in: file, confinement: [.beneath, .noMagicLinks], options: [.nonBlocking])
        } catch {
            throw Refusal(Self.status(error))
        }
        return try await OpenedFile(opened, now: now)
    }

    /// openat2(2). nil if the call may have to wait, or if the kernel does not support the flags.
    private func openNow(_ path: RequestPath) -> Int? {
        var how = ck_open_how(
            flags: CK_O_RDONLY | CK_O_CLOEXEC | CK_O_NOCTTY | CK_O_NONBLOCK, mode: 0,
            resolve: CK_RESOLVE_BENEATH | CK_RESOLVE_NO_MAGICLINKS | CK_RESOLVE_NO_XDEV | CK_RESOLVE_CACHED)
        let result = path.cString.withUnsafeBytes { bytes in
            Kernel.openat2(file.descriptor.number, bytes.assumingMemoryBound(to: CChar.self).baseAddress!, &how)
        }
        switch -result {
        case Int(EAGAIN), Int(EXDEV), Int(EINVAL), Int(EINTR): return nil
        default: return result
        }
    }

    private static func status(errno: Int) -> Status {
        switch Int32(truncatingIfNeeded: errno) {
        case ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP: .notFound
        // The path leads out of the folder, the file is not readable, or it is a socket or a device without a driver.
        case EXDEV, EACCES, EPERM, ENXIO, ENODEV: .forbidden
        case EMFILE, ENFILE, ENOMEM, EAGAIN, EBUSY: .serviceUnavailable
        default: .internalServerError
        }
    }

    private static func status(_ error: IOError) -> Status {
        switch error.code {
        case .limitReached, .runtimeShutDown, .cancelled, .deadlineExceeded: .serviceUnavailable
        default: status(errno: Int(error.errno?.rawValue ?? EIO))
        }
    }
}
