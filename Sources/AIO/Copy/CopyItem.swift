internal import AIOCore
internal import CKernel

/// A file to be copied that is no directory.
struct CopyItem: Sendable {
    let source: Path
    let target: Path
    let type: FileType
    /// As it was when the tree was read.
    let size: Int64
    /// A file that is there already, and that this is to be another name of.
    var existing: Path?

    var isLarge: Bool { type == .regular && size >= OpenCopy.largeSize && existing == nil }

    /// Copies anything but a regular file. On a worker's thread.
    func copySpecial(_ session: CopySession) throws(IOError) {
        var status = ck_statx()
        _ = try check(CopyCalls.status(of: source, followLinks: false, &status), "stat", source)
        let name = PendingName(for: target)
        switch FileType(mode: status.mode) {
        case .symbolicLink: try makeLink(name)
        case .fifo, .socket, .characterDevice, .blockDevice: try makeNode(name, status, session)
        default: throw IOError(.other, "copy", path: source, advice: "it is another kind of file by now; copy it again")
        }
        try CopiedMetadata(status: status, session: session).apply(toNameOf: name.pending, from: source)
        try name.publish(replaces: session.options.replaces)
        session.progress.add(files: 1)
    }

    private func makeLink(_ name: PendingName) throws(IOError) {
        // No file system has longer ones.
        let destination = UnsafeMutableRawBufferPointer.allocate(byteCount: 4097, alignment: 1)
        defer { destination.deallocate() }
        let count = try check(
            CopyCalls.at(source) { Kernel.readlinkat($0, $1, destination.baseAddress!, 4096) }, "readlink", source)
        destination[count] = 0
        let text = destination.baseAddress!.assumingMemoryBound(to: CChar.self)
        _ = try name.make { path in CopyCalls.at(path) { Kernel.symlinkat(text, $0, $1) } }
    }

    /// mknodat(2) with the device in the kernel's encoding.
    private func makeNode(_ name: PendingName, _ status: ck_statx, _ session: CopySession) throws(IOError) {
        let (major, minor) = (status.special_device_major, status.special_device_minor)
        let device = minor & 0xff | major << 8 | (minor & ~0xff) << 12
        // Until its owner is set, nobody else is to use it.
        let mode = UInt32(status.mode) & (session.options.keepsMetadata ? 0o170600 : 0o170777)
        _ = try name.make { path in CopyCalls.at(path) { Kernel.mknodat($0, $1, mode, device) } }
    }

    /// Gives `existing` another name. False if that cannot be: then the content is to be copied.
    func makeHardLink(to existing: Path, _ session: CopySession) throws(IOError) -> Bool {
        let name = PendingName(for: target)
        do throws(IOError) {
            _ = try name.make { CopyCalls.link(existing, to: $0) }
        } catch {
            let reasons = [EMLINK, EXDEV, EPERM, EOPNOTSUPP].map(Errno.init(rawValue:))
            guard let errno = error.errno, reasons.contains(errno) else { throw error }
            return false
        }
        try name.publish(replaces: session.options.replaces)
        session.progress.add(files: 1)
        return true
    }
}
