internal import AIOCore
internal import CKernel

/// Atomic replacement of whole files. At every instant the name refers to the complete old content or to the complete
/// new content, also after a kill at any moment.
///
/// The new content is written to a temporary file in the same directory, named `.aio-replace-` and 13 random letters
/// and digits. renameat2(2) then moves it over the name. After an error or a cancellation the temporary file is removed
/// and nothing has changed. A process that is killed leaves it behind; a file of such a name that is not being written
/// may be removed.
///
/// The new content is in a new file:
/// - Permissions are those of the replaced file without set-user-ID and set-group-ID, which a write would also clear;
///   for a new name, `permissions` less the umask.
/// - Owner and group are those of the replaced file if the caller may set them, otherwise the caller's.
/// - Extended attributes of the namespace `user.` and the access control list are kept. The system's labels
///   (`security.`, `trusted.`) are those of any new file.
/// - If the group cannot be kept, or the caller may not read the replaced file and thus not its access control list,
///   then there is no list, and the group gets no more permissions than others have.
/// - Other hard links of the replaced file keep the old content, and so do processes that have it open.
/// - A symbolic link is followed: its target is replaced or created. With `followLinks` false the link itself is
///   replaced, as by rename(2).
///
/// The functions throw ``IOError/Code/isDirectory`` for a directory, and ``IOError/Code/invalidArgument`` for anything
/// else that is not a regular file.
extension FileSystem {
    /// Replaces a file's content with the caller's memory, or creates the file.
    ///
    /// One operation on a worker. The memory is borrowed until the call returns. After ``IOError/Code/cancelled`` or
    /// ``IOError/Code/deadlineExceeded`` nothing has changed. Once the file has its name, the directory's sync is
    /// completed regardless of a cancellation; if that sync fails, its error is thrown although the name has the new
    /// content. Kernel calls: openat2(2), write(2), fsync(2), renameat2(2).
    ///
    /// - Throws: ``IOError/Code/isDirectory``, ``IOError/Code/invalidArgument``, ``IOError/Code/noSpace``,
    ///   ``IOError/Code/permissionDenied`` if the directory is not writable, ``IOError/Code/cancelled``,
    ///   ``IOError/Code/deadlineExceeded``, or another error of a kernel call.
    public static func replaceFile(
        _ path: Path, _ bytes: RawSpan, durability: Durability = .full, permissions: UInt16 = 0o644,
        followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let replacement = try Replacement(path, .workingDirectory, durability, permissions, followLinks: followLinks)
        try await runtime.perform(replacement, .everything(bytes.withUnsafeBytes { $0 }), deadline)
    }

    /// Replaces a file's content with an array, or creates the file. Everything else is as from a span:
    /// ``replaceFile(_:_:durability:permissions:followLinks:runtime:deadline:)-(_,RawSpan,_,_,_,_,_)``.
    public static func replaceFile(
        _ path: Path, _ bytes: [UInt8], durability: Durability = .full, permissions: UInt16 = 0o644,
        followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        try await replaceFile(
            path, bytes.span.bytes, durability: durability, permissions: permissions, followLinks: followLinks,
            runtime: runtime, deadline: deadline)
    }

    /// Replaces a file's content with the caller's memory, or creates the file, by a path relative to `directory`, a
    /// file opened with ``File/OpenOptions/directory``. The path must stay below the directory unless `confinement`
    /// says otherwise. If the last component is a symbolic link, the link itself is replaced.
    ///
    /// The directory is in use until the call returns, so closing it waits. Everything else is as without a directory.
    ///
    /// - Throws: `EXDEV` or `ELOOP` (``IOError/errno``) for what `confinement` forbids, and the errors of
    ///   ``replaceFile(_:_:durability:permissions:followLinks:runtime:deadline:)-(_,RawSpan,_,_,_,_,_)``.
    public static func replaceFile(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, _ bytes: RawSpan,
        durability: Durability = .full, permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try directory.begin("replace", deadline)
        defer { directory.lease.end() }
        let origin = PathOrigin(directory, confinement)
        let replacement = try Replacement(path, origin, durability, permissions, followLinks: false)
        try await directory.runtime.perform(replacement, .everything(bytes.withUnsafeBytes { $0 }), deadline)
    }

    /// Replaces a file's content with an array, or creates the file, by a path relative to `directory`. Everything else
    /// is as from a span:
    /// ``replaceFile(_:in:confinement:_:durability:permissions:deadline:)-(_,_,_,RawSpan,_,_,_)``.
    public static func replaceFile(
        _ path: Path, in directory: File, confinement: File.Confinement = .beneath, _ bytes: [UInt8],
        durability: Durability = .full, permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try await replaceFile(
            path, in: directory, confinement: confinement, bytes.span.bytes, durability: durability,
            permissions: permissions, deadline: deadline)
    }

    /// Replaces a file with what `body` writes, or creates the file.
    ///
    /// `body` gets an empty file, open for reading and writing; it need not sync the file and must not close it. When
    /// `body` returns, the file is synced and takes the name. If `body` throws, or the task is cancelled by then, the
    /// file is removed and nothing has changed. Permissions, owner and attributes are set before `body` runs, which may
    /// change them. The kernel calls are the same, in three operations beside those of `body`.
    ///
    /// - Throws: what `body` throws, or ``IOError`` with the codes of
    ///   ``replaceFile(_:_:durability:permissions:followLinks:runtime:deadline:)-(_,RawSpan,_,_,_,_,_)``.
    public static func replaceFile<R>(
        _ path: Path, durability: Durability = .full, permissions: UInt16 = 0o644, followLinks: Bool = true,
        runtime: IORuntime = .shared, _ body: (File) async throws -> R
    ) async throws -> R {
        let replacement = try Replacement(path, .workingDirectory, durability, permissions, followLinks: followLinks)
        let number = try await runtime.perform(replacement, .begin, .never)
        let file = File(.classify(number), path: path, runtime: runtime)
        let result: R
        do {
            result = try await body(file)
            if let level = durability.syncLevel { try await file.sync(level) }
        } catch {
            // The error of `body` is the cause; an error of the close would hide it.
            try? await file.close()
            await runtime.discard(replacement)
            throw error
        }
        do throws(IOError) {
            // close(2) may report a write error that the file system deferred.
            try await file.close()
            try await runtime.perform(replacement, .commit, .never)
        } catch {
            await runtime.discard(replacement)
            throw error
        }
        return result
    }
}

extension Durability {
    /// How the file itself is synced; nil for not at all.
    var syncLevel: SyncLevel? {
        switch self {
        case .full: .full
        case .data: .data
        case .none: nil
        }
    }
}

extension IORuntime {
    /// Carries out one step of a replacement.
    @discardableResult
    fileprivate func perform(
        _ replacement: Replacement, _ step: ReplacementStep.Step, _ deadline: Deadline
    ) async throws(IOError) -> Int32 {
        let work = ReplacementStep(replacement, step, deadline)
        do throws(IOError) {
            return try await perform(work, "replace", replacement.path, deadline)
        } catch {
            var error = error
            if replacement.isRefused { error.advice = "it is not a regular file" }
            throw error
        }
    }

    /// Removes what a failed replacement left, also in a cancelled task.
    fileprivate func discard(_ replacement: Replacement) async {
        guard replacement.isPending else { return }
        await performToTheEnd(ReplacementStep(replacement, .discard, .never), "replace")
    }
}

/// One step of a replacement, as work for a worker.
private final class ReplacementStep: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the bytes are borrowed from a caller that waits.
    enum Step {
        /// The whole replacement, with these bytes.
        case everything(UnsafeRawBufferPointer)
        /// Completes with the descriptor of the temporary file, which then belongs to the caller.
        case begin
        case commit
        case discard
    }

    private let replacement: Replacement
    private let step: Step

    init(_ replacement: Replacement, _ step: Step, _ deadline: Deadline) {
        self.replacement = replacement
        self.step = step
        let isRelease = if case .discard = step { true } else { false }
        super.init(deadline: deadline.nanoseconds, isRelease: isRelease)
    }

    override func run() -> Int {
        switch step {
        case .everything(let bytes):
            let result = replaceAll(bytes)
            replacement.discard()
            return result
        case .begin:
            let result = replacement.begin()
            if result < 0 { replacement.discard() }
            return result
        case .commit:
            return shouldEnd ? -Int(ECANCELED) : replacement.commit()
        case .discard:
            replacement.discard()
            return 0
        }
    }

    private func replaceAll(_ bytes: UnsafeRawBufferPointer) -> Int {
        let descriptor = replacement.begin()
        guard descriptor >= 0 else { return descriptor }
        var result = WholeFile.write(bytes, Int32(descriptor), self)
        if result == 0 { result = replacement.sync(Int32(descriptor)) }
        // close(2) may report a write error that the file system deferred.
        let closed = Kernel.close(Int32(descriptor))
        guard result == 0, closed == 0 else { return result < 0 ? result : closed }
        return shouldEnd ? -Int(ECANCELED) : replacement.commit()
    }
}
