internal import AIOCore
internal import CKernel

/// The directory where a relative path starts, and the restrictions on its resolution. For calls on a worker's thread.
struct PathOrigin: Sendable {
    let directory: Int32
    /// RESOLVE flags of openat2(2).
    let resolve: UInt64

    static var workingDirectory: PathOrigin { PathOrigin(directory: CK_AT_FDCWD, resolve: 0) }

    init(directory: Int32, resolve: UInt64) {
        self.directory = directory
        self.resolve = resolve
    }

    /// The directory must stay in use as long as this value is.
    init(_ directory: File, _ confinement: File.Confinement) {
        self.init(directory: directory.descriptor.number, resolve: confinement.rawValue)
    }

    /// openat2(2). With RESOLVE_BENEATH or RESOLVE_IN_ROOT, EAGAIN means that a concurrent rename or mount kept the
    /// kernel from checking a `..`; the call is then repeated. A rename anywhere in the system can be in the way, but
    /// hardly 64 times in a row.
    func open(_ path: UnsafePointer<CChar>, _ flags: UInt64, permissions: UInt16 = 0) -> Int {
        var how = ck_open_how(
            flags: flags | CK_O_CLOEXEC,
            mode: flags & CK_O_CREAT != 0 ? UInt64(permissions & 0o7777) : 0, resolve: resolve)
        let attempts = resolve & (CK_RESOLVE_BENEATH | CK_RESOLVE_IN_ROOT) != 0 ? 64 : 1
        var result = 0
        for _ in 0..<attempts {
            result = Kernel.openat2(directory, path, &how)
            guard result == -Int(EAGAIN) else { break }
        }
        return result
    }
}

/// A path in two parts: the parent directory, and the last name.
///
/// The system calls that create and remove names have no confinement. A single name in an open directory cannot lead
/// out of it, so it suffices to confine the resolution of the parent.
struct PlacedName: Sendable {
    /// `.` if the path is a single name.
    let directory: Path
    let name: Path

    /// Drops trailing slashes, with which the kernel would follow a symbolic link. nil if the path does not end with a
    /// name: it is empty, or ends with `.` or `..`.
    init?(_ path: Path) {
        let slash = UInt8(ascii: "/")
        let bytes = path.bytes.reversed().drop { $0 == slash }.reversed()
        let name = Array(bytes.reversed().prefix { $0 != slash }.reversed())
        guard !name.isEmpty, name.count > 2 || !name.allSatisfy({ $0 == UInt8(ascii: ".") }) else { return nil }
        self.name = Path(bytes: name)
        let rest = bytes.dropLast(name.count)
        directory = rest.isEmpty ? "." : Path(bytes: rest)
    }

    /// Throws if the path is unusable; `operation` is the name in the error.
    init(_ path: Path, for operation: String) throws(IOError) {
        guard !path.hasInteriorNUL else {
            throw IOError(.invalidArgument, operation, path: path, advice: "the path contains a NUL byte")
        }
        guard let placed = PlacedName(path) else {
            throw IOError(.invalidArgument, operation, path: path, advice: "the path does not end with a name")
        }
        self = placed
    }

    /// Opens the parent directory, by default with O_PATH. Runs on a worker.
    func openDirectory(from origin: PathOrigin, _ flags: UInt64 = CK_O_PATH) -> Int {
        directory.withCString { origin.open($0, flags | CK_O_DIRECTORY) }
    }
}
