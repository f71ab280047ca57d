internal import AIOCore
internal import CKernel

/// Where a relative path begins, and what the way from there must not do: for calls on a worker's thread.
struct PathOrigin: Sendable {
    let directory: Int32
    /// openat2(2)'s RESOLVE_ flags.
    let resolve: UInt64

    static var workingDirectory: PathOrigin { PathOrigin(directory: CK_AT_FDCWD, resolve: 0) }

    init(directory: Int32, resolve: UInt64) {
        self.directory = directory
        self.resolve = resolve
    }

    /// The folder is in use while it is used here.
    init(_ folder: File, _ confinement: File.Confinement) {
        self.init(directory: folder.descriptor.number, resolve: confinement.rawValue)
    }

    /// openat2(2). EAGAIN under a confinement means that something was renamed just then, and the kernel could not tell
    /// whether a `..` led out of the folder: it is asked again.
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

/// A path in two parts: the folder that its last name lies in, and that name.
///
/// The system calls that give and take away names know no confinement. But a single name in a folder that is held open
/// cannot lead out of it: so the way to the folder alone has to be confined.
struct PlacedName: Sendable {
    /// `.` if the path is a name alone.
    let folder: Path
    let name: Path

    /// Without the slashes at its end, by which the kernel would follow a symbolic link. nil if it does not end with a
    /// name: it is empty, or ends with `.` or `..`.
    init?(_ path: Path) {
        let slash = UInt8(ascii: "/")
        let bytes = path.bytes.reversed().drop { $0 == slash }.reversed()
        let name = Array(bytes.reversed().prefix { $0 != slash }.reversed())
        guard !name.isEmpty, name.count > 2 || !name.allSatisfy({ $0 == UInt8(ascii: ".") }) else { return nil }
        self.name = Path(bytes: name)
        let rest = bytes.dropLast(name.count)
        folder = rest.isEmpty ? "." : Path(bytes: rest)
    }

    /// For an operation of this name: throws what is wrong with the path.
    init(_ path: Path, for operation: String) throws(IOError) {
        guard !path.hasInteriorNUL else {
            throw IOError(.invalidArgument, operation, path: path, advice: "the path holds a NUL byte")
        }
        guard let placed = PlacedName(path) else {
            throw IOError(.invalidArgument, operation, path: path, advice: "the path does not end with a name")
        }
        self = placed
    }

    /// On a worker: opens the folder for its names alone.
    func openFolder(from origin: PathOrigin, _ flags: UInt64 = CK_O_PATH) -> Int {
        folder.withCString { origin.open($0, flags | CK_O_DIRECTORY) }
    }
}
