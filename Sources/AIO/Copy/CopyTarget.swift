internal import AIOCore
internal import CKernel

/// Whether a copy can be made at all: what the source is, and that the target is not the source, nor inside it.
final class CopyInspection: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let source: Path
    private let target: Path
    private(set) var type = FileType.unknown
    private(set) var size: Int64 = 0
    private(set) var failure: IOError?

    init(_ source: Path, _ target: Path, _ deadline: Deadline) {
        self.source = source
        self.target = target
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        do throws(IOError) { try inspect() } catch {
            failure = error
            return -Int(error.errno?.rawValue ?? EINVAL)
        }
        return 0
    }

    private func inspect() throws(IOError) {
        var status = ck_statx()
        let followLinks = source.bytes.last == UInt8(ascii: "/")
        _ = try check(CopyCalls.status(of: source, followLinks: followLinks, &status), "stat", source)
        type = FileType(mode: status.mode)
        size = Int64(clamping: status.size)
        let file = FileIdentity(status)
        var other = ck_statx()
        let found = CopyCalls.status(of: target, followLinks: type == .directory, &other)
        if found == 0, FileIdentity(other) == file {
            throw IOError(.invalidArgument, "copy", path: source, advice: "\(target) is the same file")
        }
        guard type == .directory else {
            if found == 0, FileType(mode: other.mode) == .directory {
                throw IOError(.isDirectory, "copy", errno: Errno(rawValue: EISDIR), path: target)
            }
            return
        }
        if try isInside(file) {
            throw IOError(.invalidArgument, "copy", path: source, advice: "\(target) lies inside of it; copy elsewhere")
        }
    }

    /// Goes up from the target to the root.
    private func isInside(_ file: FileIdentity) throws(IOError) -> Bool {
        let flags = CK_O_PATH | CK_O_DIRECTORY
        var opened = CopyCalls.open(target, flags)
        // What is not there yet lies in what is.
        let folder = PlacedName(target)?.folder ?? target
        if opened < 0 { opened = CopyCalls.open(folder, flags) }
        var current = Int32(try check(opened, "open", folder))
        defer { Kernel.close(current) }
        while true {
            let here = FileIdentity(ofDescriptor: current)
            if here == file { return true }
            var how = ck_open_how(flags: flags | CK_O_CLOEXEC, mode: 0, resolve: 0)
            let above = Int32(try check("..".withCString { Kernel.openat2(current, $0, &how) }, "open", target))
            Kernel.close(current)
            current = above
            // The root is above itself.
            if FileIdentity(ofDescriptor: above) == here { return false }
        }
    }
}
