internal import AIOCore
internal import CKernel

/// A directory of a copied tree. It is writable until its contents are complete, and then gets the metadata of its
/// source. Only the task that copies the tree accesses it, and meanwhile the worker that creates or finishes it.
final class CopiedDirectory: @unchecked Sendable {
    // @unchecked: see above; tasks of the group only pass it through.
    let source: TreeDirectory
    let target: TreeDirectory
    let above: CopiedDirectory?
    /// Where the root of the target is created; other directories are created by name in their parent. nil for an
    /// existing target whose path does not end with a name.
    private let rootPlace: CopyPlace?
    /// The status of the source directory when the tree was read.
    private let status: FileStatus
    /// The names created in it; nil before the directory exists.
    private(set) var made: MadeNames?
    /// Directories in it that this copy has entered.
    private var entered: Set<CopiedLinks.Key> = []
    /// Its own permissions, if the owner needed more to fill it.
    private var narrowPermissions: UInt32?
    /// The number of files and directories in flight into it, plus 1 while its source is being read.
    var pendingCount = 1

    init(
        _ source: TreeDirectory, _ target: TreeDirectory, _ status: FileStatus, above: CopiedDirectory?,
        rootPlace: CopyPlace? = nil
    ) {
        self.source = source
        self.target = target
        self.status = status
        self.above = above
        self.rootPlace = rootPlace
        above?.pendingCount += 1
    }

    var depth: Int { target.depth }

    // MARK: Creation

    /// Creates the directory, accessible to its owner alone if metadata is kept. An existing directory is used as it
    /// is.
    func make(_ session: CopySession, _ deadline: Deadline) -> CopyStep {
        CopyStep(deadline) { [self] _ throws(IOError) in
            if let above {
                try make(target.name, in: try above.target.openForCopy(), session)
            } else if let rootPlace {
                // Nothing else is created in that directory.
                defer { rootPlace.directory.end() }
                try make(rootPlace.name, in: try rootPlace.openDirectory(), session)
            } else {
                try enter(try target.openForCopy())
            }
        }
    }

    private func make(_ name: Path, in directory: OpenDirectory, _ session: CopySession) throws(IOError) {
        let keeps = session.options.keepsMetadata
        let permissions = keeps ? 0o700 : UInt32(status.permissions & 0o1777)
        let result = CopyCalls.makeDirectory(name, in: directory, permissions)
        let isThere = result == -Int(EEXIST)
        if !isThere {
            _ = try check(result, "mkdir", target.path)
            if keeps { try grantOwner(name, in: directory) }
        }
        // An existing directory may be unreadable. A new one is readable, which setting its metadata requires.
        let flags = isThere || !keeps ? CK_O_PATH : CK_O_RDONLY
        let opened: Int
        if isThere, above == nil, target.name.endsWithSlash {
            // A trailing slash means that the caller wants a link followed.
            opened = CopyCalls.open(target.name, flags | CK_O_DIRECTORY)
        } else {
            opened = CopyCalls.open(name, in: directory, flags | CK_O_DIRECTORY)
        }
        if isThere, [-Int(ENOTDIR), -Int(ELOOP)].contains(opened) {
            throw IOError(
                .alreadyExists, "mkdir", errno: Errno(rawValue: EEXIST), path: target.path,
                advice: "it exists and is not a directory")
        }
        let number = Int32(try check(opened, "open", target.path))
        let directory = try OpenDirectory.adopt(number).forCopy(target.path)
        guard !isThere else { return try enter(directory) }
        try prepare(directory, keeps)
        begin(directory, isNew: true)
    }

    /// The umask may keep the owner from opening a new directory, which setting its metadata requires.
    private func grantOwner(_ name: Path, in directory: OpenDirectory) throws(IOError) {
        var own = ck_statx()
        _ = try check(CopyCalls.status(of: name, in: directory, &own), "stat", target.path)
        guard own.mode & 0o700 != 0o700 else { return }
        _ = try check(CopyCalls.changePermissions(of: name, in: directory, 0o700), "chmod", target.path)
    }

    /// Uses an existing directory, unless it is the source itself, or one that this copy has entered already.
    private func enter(_ directory: OpenDirectory) throws(IOError) {
        guard directory.file.inode != status.inode || directory.file.device != status.fileSystem else {
            throw CopyIdentity.sameFile(source.path, target.path)
        }
        let key = CopiedLinks.Key(device: directory.file.device, inode: directory.file.inode)
        guard above?.entered.contains(key) != true else {
            throw IOError(
                .alreadyExists, "copy", errno: Errno(rawValue: EEXIST), path: source.path,
                advice: "will not copy into \(target.path), which this copy has just created")
        }
        begin(directory, isNew: false)
    }

    private func begin(_ directory: OpenDirectory, isNew: Bool) {
        made = MadeNames(isAll: isNew)
        above?.entered.insert(CopiedLinks.Key(device: directory.file.device, inode: directory.file.inode))
        target.adopt(directory)
    }

    /// Prepares a new directory: removes inherited access control lists, and makes sure that its owner can fill it.
    private func prepare(_ directory: OpenDirectory, _ keepsMetadata: Bool) throws(IOError) {
        if keepsMetadata {
            for list in AttributeCopy.lists {
                let result = list.withCString { Kernel.fremovexattr(directory.number, $0) }
                if AttributeCopy.isWithout(result) { continue }
                _ = try check(result, "removexattr", target.path)
            }
            return
        }
        var own = ck_statx()
        _ = try check(Kernel.status(directory.number, FileStatus.mask, &own), "stat", target.path)
        let permissions = UInt32(own.mode & 0o7777)
        guard permissions & 0o700 != 0o700 else { return }
        narrowPermissions = permissions
        let result = OpenPermissions.set(permissions | 0o700, directory.number)
        _ = try check(result, "chmod", target.path)
    }

    // MARK: Completion

    /// Sets metadata and syncs, once the contents are complete or the copy ends.
    func finish(_ session: CopySession, _ deadline: Deadline) -> CopyStep {
        CopyStep(deadline) { [self] _ throws(IOError) in
            defer {
                source.end()
                target.end()
            }
            let directory = try target.openForCopy()
            if let narrowPermissions {
                let result = OpenPermissions.set(narrowPermissions, directory.number)
                _ = try check(result, "chmod", target.path)
            }
            guard session.options.keepsMetadata || session.options.sync else { return }
            // The open descriptor may be an O_PATH one.
            let opened = CopyCalls.open(".", in: directory, CK_O_RDONLY | CK_O_DIRECTORY)
            let descriptor = Int32(try check(opened, "open", target.path))
            defer { Kernel.close(descriptor) }
            try keepMetadata(descriptor, session)
            if session.options.sync { _ = try check(Kernel.fsync(descriptor), "fsync", target.path) }
        }
    }

    private func keepMetadata(_ descriptor: Int32, _ session: CopySession) throws(IOError) {
        guard session.options.keepsMetadata else { return }
        var now = ck_statx()
        // A source directory without read permission has been reported. It is copied as far as possible, with its
        // status.
        var opened: OpenDirectory?
        switch source.open() {
        case .success(let directory): opened = directory
        case .failure(let failure) where failure.result == -Int(EACCES) || failure.result == -Int(EPERM): break
        case .failure(let failure): throw IOError(result: Int32(failure.result), "open", path: source.path)
        }
        if let opened {
            _ = try check(Kernel.status(opened.number, FileStatus.mask, &now), "stat", source.path)
        } else if let directory = source.above {
            let found = CopyCalls.status(of: source.name, in: try directory.openForCopy(), &now)
            _ = try check(found, "stat", source.path)
        } else {
            let path = source.name
            _ = try check(CopyCalls.status(of: path, followLinks: path.endsWithSlash, &now), "stat", path)
        }
        // A directory created here has only the lists of its source.
        let mayInherit = made?.isAll != true && opened != nil
        try CopiedMetadata(status: now, session: session, mayInherit: mayInherit).apply(
            to: descriptor, from: opened?.number, target.path)
    }
}
