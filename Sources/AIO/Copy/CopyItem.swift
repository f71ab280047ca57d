internal import AIOCore
internal import CKernel

/// A file to be copied, other than a directory.
struct CopyItem: Sendable {
    let source: CopyPlace
    let target: CopyPlace
    let type: FileType
    /// The size when the tree was read.
    let size: Int64
    /// The files created in the target's directory; nil if nothing needs to be checked.
    let made: MadeNames?
    /// An existing copy of the same file, to which this name becomes a hard link.
    var existing: CopyPlace?

    var isLarge: Bool { type == .regular && size >= OpenCopy.largeSize && existing == nil }

    /// Whether the copy may have an access control list inherited from the target's directory.
    private var mayInherit: Bool { made?.isAll != true }

    /// Copies a file that is not a regular file. On a worker's thread.
    func copySpecial(_ session: CopySession) throws(IOError) {
        let origin = try origin()
        let name = try PendingName(for: target)
        switch FileType(mode: origin.status.mode) {
        case .symbolicLink: try makeLink(name, origin)
        case .fifo, .socket, .characterDevice, .blockDevice: try makeNode(name, origin.status, session)
        default:
            throw IOError(
                .other, "copy", path: source.path, advice: "its type has changed meanwhile; copy it again")
        }
        let metadata = CopiedMetadata(status: origin.status, session: session, mayInherit: mayInherit)
        try metadata.apply(to: name, from: origin)
        try publish(name, origin, session)
    }

    private func origin() throws(IOError) -> CopyOrigin {
        let directory = try source.openDirectory()
        var status = ck_statx()
        _ = try check(CopyCalls.status(of: source.name, in: directory, &status), "stat", source.path)
        return CopyOrigin(place: source, directory: directory, status: status)
    }

    private func publish(_ name: PendingName, _ origin: CopyOrigin, _ session: CopySession) throws(IOError) {
        try name.publish(origin, made, replaces: session.options.replaces)
        session.add(files: 1)
    }

    private func makeLink(_ name: PendingName, _ origin: CopyOrigin) throws(IOError) {
        // No file system supports longer targets.
        let destination = UnsafeMutableRawBufferPointer.allocate(byteCount: 4097, alignment: 1)
        defer { destination.deallocate() }
        let read = source.name.withCString {
            Kernel.readlinkat(origin.directory.number, $0, destination.baseAddress!, 4096)
        }
        let count = try check(read, "readlink", source.path)
        destination[count] = 0
        let text = destination.baseAddress!.assumingMemoryBound(to: CChar.self)
        _ = try name.make { pending in
            pending.withCString { Kernel.symlinkat(text, name.directory.number, $0) }
        }
    }

    /// mknodat(2), with the device number in the kernel's encoding.
    private func makeNode(_ name: PendingName, _ status: ck_statx, _ session: CopySession) throws(IOError) {
        let (major, minor) = (status.special_device_major, status.special_device_minor)
        let device = minor & 0xff | major << 8 | (minor & ~0xff) << 12
        // Nobody else may use the node before its owner is set.
        let mode = UInt32(status.mode) & (session.options.keepsMetadata ? 0o170600 : 0o177777)
        _ = try name.make { pending in
            pending.withCString { Kernel.mknodat(name.directory.number, $0, mode, device) }
        }
    }

    /// Creates a hard link to `existing`. Returns false if that is impossible and the content must be copied.
    func makeHardLink(to existing: CopyPlace, _ session: CopySession) throws(IOError) -> Bool {
        let (origin, from) = (try origin(), try existing.openDirectory())
        let name = try PendingName(for: target)
        do throws(IOError) {
            _ = try name.make { CopyCalls.link(existing.name, in: from, to: $0, in: name.directory) }
        } catch {
            let reasons = [EMLINK, EXDEV, EPERM, EOPNOTSUPP].map(Errno.init(rawValue:))
            guard let errno = error.errno, reasons.contains(errno) else { throw error }
            return false
        }
        try publish(name, origin, session)
        return true
    }
}
