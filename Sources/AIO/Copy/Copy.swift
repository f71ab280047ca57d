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
    /// A tree is copied with as many files in flight as `options.depth` allows; memory is bounded as that of `walk`,
    /// but for files with several names, whose names are remembered until all are seen. What cannot be copied in it is
    /// told to `failure`, one error each, with its path; the rest goes on. Throws what concerns the whole: for a file
    /// every error, `invalidArgument` if source and target are one, or the target lies inside the source; `cancelled` or
    /// `deadlineExceeded`, with what was copied by then left in place, each file complete. A source that becomes shorter
    /// meanwhile is `unexpectedEndOfFile`. `progress` may be read all the while.
    ///
    /// The kernel calls are those of `walk`, ioctl_ficlone(2), copy_file_range(2), pread(2), pwrite(2), renameat2(2) and
    /// the calls for metadata, on workers.
    @discardableResult
    public static func copy(
        _ source: Path, to target: Path, options: CopyOptions = CopyOptions(), progress: CopyProgress = CopyProgress(),
        runtime: IORuntime = .shared, deadline: Deadline = .never, failure: (IOError) -> Void = { _ in }
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
        let session = CopySession(options, progress)
        let copy = TreeCopy(session, runtime, deadline)
        if inspection.type == .directory { return try await copy.run(source, target, failure) }
        let item = CopyItem(source: source, target: target, type: inspection.type, size: inspection.size)
        return try await copy.run(item)
    }
}
