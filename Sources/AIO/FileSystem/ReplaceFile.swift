internal import AIOCore
internal import CKernel

/// Files that are replaced as a whole: at every instant, and after a kill at any, the name stands for the old content or
/// for the new.
///
/// The new content is written to a file beside the old one, whose name is `.aio-replace-` and 13 random letters and
/// digits, and which then takes its name by renameat2(2). After an error or a cancel it is removed, and nothing has
/// changed. A process that is killed leaves it behind: what has such a name and is not being written may be removed.
///
/// It is another file, which has the name from then on:
/// - Permissions are those of the replaced file, without set-user-ID and set-group-ID, which a write would take away as
///   well; for a new name, `permissions` less the umask.
/// - User and group are those of the replaced file where the caller may set them, and the caller's otherwise.
/// - Extended attributes of `user.`, and the access control list, are kept. What the system labels files with
///   (`security.`, `trusted.`) is as for any new file.
/// - If the group cannot be kept, or the caller may not read the replaced file and so not know its list, there is no
///   list, and the group may do no more than everybody may.
/// - Other names of the replaced file (hard links) keep the old content, as do those who have it open.
/// - A symbolic link is followed: what it leads to is replaced, or made. Without `followLinks` the link itself is, as
///   by rename(2).
///
/// Throws `isDirectory`, and `invalidArgument` for what is no regular file.
extension FileSystem {
    /// Replaces a file's content by the caller's memory, or makes the file.
    ///
    /// One operation on a worker. The memory is borrowed until this returns. `cancelled` and `deadlineExceeded` mean that
    /// nothing has changed; once the file is in its place, the folder's sync is carried to its end. If that sync
    /// alone fails, its error is thrown though the new content has the name. openat2(2), write(2), fsync(2),
    /// renameat2(2).
    public static func replaceFile(
        _ path: Path, _ bytes: RawSpan, durability: Durability = .full, permissions: UInt16 = 0o644,
        followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        let replacement = try Replacement(path, .workingDirectory, durability, permissions, followLinks: followLinks)
        try await runtime.perform(replacement, .everything(bytes.withUnsafeBytes { $0 }), deadline)
    }

    /// `replaceFile` from an array.
    public static func replaceFile(
        _ path: Path, _ bytes: [UInt8], durability: Durability = .full, permissions: UInt16 = 0o644,
        followLinks: Bool = true, runtime: IORuntime = .shared, deadline: Deadline = .never
    ) async throws(IOError) {
        try await replaceFile(
            path, bytes.span.bytes, durability: durability, permissions: permissions, followLinks: followLinks,
            runtime: runtime, deadline: deadline)
    }

    /// `replaceFile` by a path that begins at `folder` (a file opened with `.directory`) and, unless `confinement` says
    /// otherwise, stays below it. The last name is not followed if it is a symbolic link: the link is replaced.
    public static func replaceFile(
        _ path: Path, in folder: File, confinement: File.Confinement = .beneath, _ bytes: RawSpan,
        durability: Durability = .full, permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try folder.begin("replace", deadline)
        defer { folder.lease.end() }
        let origin = PathOrigin(folder, confinement)
        let replacement = try Replacement(path, origin, durability, permissions, followLinks: false)
        try await folder.runtime.perform(replacement, .everything(bytes.withUnsafeBytes { $0 }), deadline)
    }

    /// `replaceFile` in a folder, from an array.
    public static func replaceFile(
        _ path: Path, in folder: File, confinement: File.Confinement = .beneath, _ bytes: [UInt8],
        durability: Durability = .full, permissions: UInt16 = 0o644, deadline: Deadline = .never
    ) async throws(IOError) {
        try await replaceFile(
            path, in: folder, confinement: confinement, bytes.span.bytes, durability: durability,
            permissions: permissions, deadline: deadline)
    }

    /// Replaces a file by what `body` writes, or makes the file.
    ///
    /// `body` gets an empty file, open for reading and writing, which it need not sync and does not close. When it
    /// returns, the file is synced and takes the name. If it throws, or the task is cancelled by then, the file is gone
    /// and nothing has changed. Permissions, owner and attributes are set before: `body` may set others.
    ///
    /// Throws what `body` throws, or `IOError`. The same system calls, in three operations more than `body` makes.
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
            // The first error is the one that tells what happened.
            try? await file.close()
            await runtime.discard(replacement)
            throw error
        }
        do throws(IOError) {
            // Its errors tell of writes that were put off.
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
    /// How the file itself is synced.
    var syncLevel: SyncLevel? {
        switch self {
        case .full: .full
        case .data: .data
        case .none: nil
        }
    }
}

extension IORuntime {
    /// One hand-over of a replacement.
    @discardableResult
    fileprivate func perform(
        _ replacement: Replacement, _ step: ReplacementStep.Step, _ deadline: Deadline
    ) async throws(IOError) -> Int32 {
        let work = ReplacementStep(replacement, step, deadline)
        do throws(IOError) {
            return try await perform(work, "replace", replacement.path, deadline)
        } catch {
            var error = error
            if replacement.isRefused { error.advice = "it is no regular file" }
            throw error
        }
    }

    /// Removes what is left of a replacement, also when the task is cancelled.
    fileprivate func discard(_ replacement: Replacement) async {
        guard replacement.isPending else { return }
        await performToTheEnd(ReplacementStep(replacement, .discard, .never), "replace")
    }
}

/// One hand-over of a replacement to a worker.
private final class ReplacementStep: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says; the bytes are borrowed from a caller that waits.
    enum Step {
        /// From the beginning to the end, with these bytes.
        case everything(UnsafeRawBufferPointer)
        /// Completes with the descriptor of the file beside, which the caller then owns.
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
        // What the file system had put off may fail now.
        let closed = Kernel.close(Int32(descriptor))
        guard result == 0, closed == 0 else { return result < 0 ? result : closed }
        return shouldEnd ? -Int(ECANCELED) : replacement.commit()
    }
}
