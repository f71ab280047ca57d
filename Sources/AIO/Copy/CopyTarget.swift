internal import AIOCore
internal import CKernel

/// Checks whether a copy is possible: determines the type of the source, and makes sure that the target is neither the
/// source nor inside it.
final class CopyInspection: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let source: Path
    private let target: Path
    private(set) var status = ck_statx()
    private(set) var failure: IOError?
    /// The number of descriptors that this process may still open.
    private(set) var freeDescriptors = 0

    init(_ source: Path, _ target: Path, _ deadline: Deadline) {
        self.source = source
        self.target = target
        super.init(deadline: deadline.nanoseconds)
    }

    var type: FileType { FileType(mode: status.mode) }

    override func run() -> Int {
        freeDescriptors = Kernel.freeDescriptors()
        do throws(IOError) { try inspect() } catch {
            failure = error
            return -Int(error.errno?.rawValue ?? EINVAL)
        }
        return 0
    }

    private func inspect() throws(IOError) {
        _ = try check(CopyCalls.status(of: source, followLinks: source.endsWithSlash, &status), "stat", source)
        var (own, led, ledSource) = (ck_statx(), ck_statx(), ck_statx())
        let isThere = CopyCalls.status(of: target, followLinks: target.endsWithSlash, &own) == 0
        let leads = CopyCalls.status(of: target, followLinks: true, &led) == 0
        let sourceLeads = CopyCalls.status(of: source, followLinks: true, &ledSource) == 0
        if isThere, CopyIdentity.isSame(status, sourceLeads ? ledSource : nil, own, leads ? led : nil) {
            throw CopyIdentity.sameFile(source, target)
        }
        guard type == .directory else { return try inspectFile(isThere ? own : nil) }
        if try isInside(FileIdentity(status)) {
            throw IOError(
                .invalidArgument, "copy", path: source, advice: "\(target) lies inside the source; copy elsewhere")
        }
    }

    private func inspectFile(_ existing: ck_statx?) throws(IOError) {
        if let existing, FileType(mode: existing.mode) == .directory {
            throw IOError(.isDirectory, "copy", errno: Errno(rawValue: EISDIR), path: target)
        }
        // Only a directory's path may end with a slash.
        guard !target.endsWithSlash else {
            throw IOError(.notDirectory, "copy", errno: Errno(rawValue: ENOTDIR), path: target)
        }
    }

    /// Walks up from the target to the root.
    private func isInside(_ file: FileIdentity) throws(IOError) -> Bool {
        let flags = CK_O_PATH | CK_O_DIRECTORY
        var opened = CopyCalls.open(target, flags)
        // A target that does not exist yet lies in an existing directory.
        let directory = PlacedName(target)?.directory ?? target
        if opened < 0 { opened = CopyCalls.open(directory, flags) }
        var current = Int32(try check(opened, "open", directory))
        defer { Kernel.close(current) }
        while true {
            let here = FileIdentity(ofDescriptor: current)
            if here == file { return true }
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            let above = Int32(try check("..".withCString { Kernel.openat2(current, $0, &how) }, "open", target))
            Kernel.close(current)
            current = above
            // The root is its own parent.
            if FileIdentity(ofDescriptor: above) == here { return false }
        }
    }
}
