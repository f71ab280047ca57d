internal import AIOCore
internal import CKernel

extension FileSystem {
    /// Copies a file, or a directory with everything in it, to `target`, which is the copy's name.
    ///
    /// A file is made under another name in the target's folder (`.aio-copy-` and digits), and renamed when it is
    /// complete, so that nothing half is ever found under its own name; after an error or a cancel it is removed. Blocks
    /// are shared where the file system can, holes are kept; with `options.keepsMetadata`, so are times, permissions,
    /// extended attributes, and owners where that is allowed. Symbolic links are copied themselves, names of one file
    /// stay names of one file; FIFOs, sockets and devices are made anew, devices by root alone. What is in a directory
    /// that is there already stays, but for names that the source has too.
    ///
    /// Nothing is destroyed by it: what is the source itself, also by a symbolic link or another name, is never replaced,
    /// nor a copy by another one of the same tree, where two names are one in the target's file system. Nothing is
    /// written out of the target: a symbolic link in it that has the name of a directory of the source is a failure
    /// (`alreadyExists`); only `target` itself is followed, if it ends with a slash.
    ///
    /// Access is not widened: access control lists that the target's folders give to new files are taken off again.
    ///
    /// A tree is copied with as many files in flight as `options.depth` allows; memory is bounded as that of `walk`,
    /// but for files with several names, whose names are remembered until all are seen. What cannot be copied in it is
    /// told to `failure`, one error each, with its path; the rest goes on. Throws what concerns the whole: for a file
    /// every error, `invalidArgument` if source and target are one, or the target lies inside the source; `cancelled` or
    /// `deadlineExceeded`, with what was copied by then left in place, each file complete, and directories with the
    /// permissions of their source. A source that becomes shorter meanwhile is `unexpectedEndOfFile`. With too few
    /// descriptors for all that it would have open, less is done at a time. `progress` may be read all the while.
    ///
    /// Several copies that are to be one share `files`.
    ///
    /// The kernel calls are those of `walk`, ioctl_ficlone(2), copy_file_range(2), pread(2), pwrite(2), renameat2(2) and
    /// the calls for metadata, on workers.
    @discardableResult
    public static func copy(
        _ source: Path, to target: Path, options: CopyOptions = CopyOptions(), progress: CopyProgress = CopyProgress(),
        files: CopiedFiles? = nil, runtime: IORuntime = .shared, deadline: Deadline = .never,
        failure: (IOError) -> Void = { _ in }
    ) async throws(IOError) -> CopySummary {
        guard !source.hasInteriorNUL, !target.hasInteriorNUL else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "a path holds a NUL byte")
        }
        guard (1...256).contains(options.depth) else {
            throw IOError(.invalidArgument, "copy", path: source, advice: "depth is 1 to 256")
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
