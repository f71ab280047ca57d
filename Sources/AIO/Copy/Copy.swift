internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Copies a file, or a directory with everything in it, to `target`, which is the path of the copy.
    ///
    /// A file is created under a temporary name in the target's directory (`.aio-copy-` and random letters and digits)
    /// and renamed when it is complete; after an error or a cancellation it is removed. So the target's name never
    /// refers to a partial file. Blocks are shared if the file system supports it, and holes are kept. With
    /// ``CopyOptions/keepsMetadata`` the copy keeps times, permissions, extended attributes and, where permitted,
    /// owners. Symbolic links are copied as links, and hard links remain hard links. FIFOs, sockets and devices are
    /// created anew; devices require root. An existing target directory is copied into: what it contains stays, except
    /// for names that the source also has.
    ///
    /// The copy does not destroy its input: a target that is the source itself, also through a symbolic link or another
    /// hard link, is never replaced. Nor does one file of a tree replace another's copy, where two names are equal in
    /// the target's file system. Nothing is written outside of the target: a symbolic link in it that has the name of a
    /// directory of the source is a failure (``IOError/Code/alreadyExists``). Only `target` itself is followed, if it
    /// ends with a slash. The copy grants no additional access: access control lists inherited from the target's
    /// directories are removed.
    ///
    /// ``CopyOptions/depth`` limits the operations in flight. Memory is bounded as for
    /// ``walk(_:options:runtime:deadline:)``, except for files with several
    /// hard links, which are remembered until all links have been seen. If descriptors are short, less is done at a
    /// time. `progress` may be read at any time.
    ///
    /// `failure` is called with one error for each path in a tree that cannot be copied, and the rest is copied. Errors
    /// that concern the whole copy are thrown, and for a single file every error. After ``IOError/Code/cancelled`` or
    /// ``IOError/Code/deadlineExceeded``, what was copied stays: each file is complete, and directories have the
    /// permissions of their source. A source that shrinks meanwhile is ``IOError/Code/unexpectedEndOfFile``.
    ///
    /// Several copies that belong together share `files`.
    ///
    /// Kernel calls, on workers: openat2(2), getdents64(2), statx(2), ioctl_ficlone(2), copy_file_range(2), pread(2),
    /// pwrite(2), renameat2(2), and the calls for metadata.
    ///
    /// - Throws: ``IOError/Code/invalidArgument`` if source and target are the same, if the target lies inside the
    ///   source, or for a depth that is not 1 to 256; ``IOError/Code/cancelled``; ``IOError/Code/deadlineExceeded``;
    ///   for a single file, the error of a kernel call.
    @discardableResult
    public static func copy(
        _ source: Path, to target: Path, options: CopyOptions = CopyOptions(), progress: CopyProgress = CopyProgress(),
        files: CopiedFiles? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never,
        failure: (IOError) -> Void = { _ in }
    ) async throws(IOError) -> CopySummary {
        guard !source.hasInteriorNUL, !target.hasInteriorNUL else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "a path contains a NUL byte")
        }
        // Each operation has a few descriptors open; with more, a copy would run into the usual limit of 1024.
        guard (1...256).contains(options.depth) else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "the depth must be 1 to 256")
        }
        let inspection = CopyInspection(source, target, deadline)
        do throws(IOError) { _ = try await runtime.perform(inspection, "copy", source, deadline) } catch {
            throw inspection.failure ?? error
        }
        let session = CopySession(options, progress, freeDescriptors: inspection.freeDescriptors)
        let copy = try TreeCopy(session, source, target, files, runtime, deadline)
        defer { copy.giveBackBooks() }
        return inspection.type == .directory
            ? try await copy.runTree(failure) : try await copy.runFile(inspection.type, FileStatus(inspection.status))
    }
}
