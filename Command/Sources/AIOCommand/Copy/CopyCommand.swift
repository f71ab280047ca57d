import AIO
import ArgumentParser

/// `aio copy`: copies files and trees.
struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy files and directories, many at a time.",
        usage: "aio copy [--sync] [--keep-existing] [--content-only] [--one-file-system] SOURCE... TARGET",
        discussion: """
            If TARGET is a directory, the copies are created in it under their own names. Otherwise there must be one \
            SOURCE, and TARGET is the name of the copy. Directories are copied recursively: symbolic links as links, \
            hard links as hard links, holes as holes, with times, permissions, extended attributes and, if permitted, \
            owners. Blocks are shared where the file system can share them.

            Each file is written under a temporary name and renamed when it is complete. An interrupted copy leaves \
            complete files and no partial ones. What cannot be copied is reported on standard error, one line each, \
            and the copy goes on; the exit status is then 1. So it is with a file that would replace itself, or the \
            copy of another SOURCE of the same name, and with a directory whose name is a symbolic link in TARGET: \
            nothing is written through the link.
            """)

    @Flag(help: "Sync all copies to the device before exiting.")
    var sync = false

    @Flag(help: "Do not replace existing files; report each as a failure.")
    var keepExisting = false

    @Flag(help: "Copy only content, and permissions less the umask, as cp -r does.")
    var contentOnly = false

    @Flag(help: "Do not descend into directories on other file systems.")
    var oneFileSystem = false

    @Argument(help: ArgumentHelp("The sources, and the target.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        guard paths.count >= 2 else { throw ValidationError("copy needs a SOURCE and a TARGET") }
    }

    func run() async throws {
        let all = RawArguments.paths(paths)
        let (sources, target) = (all.dropLast(), all[all.count - 1])
        var options = CopyOptions()
        options.sync = sync
        options.replaces = !keepExisting
        options.keepsMetadata = !contentOnly
        options.staysOnFileSystem = oneFileSystem
        let progress = CopyProgress()
        let display = CopyDisplay(progress, Array(sources))
        let remains = {
            let files = progress.files == 1 ? "1 file was copied" : "\(progress.files) files were copied"
            return progress.files == 0 ? "no file was copied" : "\(files) completely; no partial file is left behind"
        }
        let failures = try await interruptible(tick: { display.draw() }, remains: remains) { [options] in
            defer { display.end() }
            return try await CopyJob(target, options, progress, display).run(Array(sources))
        }
        if failures > 0 { throw ExitCode(1) }
    }
}

/// All the copies of one command.
private struct CopyJob {
    private let target: Path
    private let options: CopyOptions
    private let progress: CopyProgress
    private let display: CopyDisplay
    private let complaints = Complaints()
    private let files = CopiedFiles()

    init(_ target: Path, _ options: CopyOptions, _ progress: CopyProgress, _ display: CopyDisplay) {
        self.target = target
        self.options = options
        self.progress = progress
        self.display = display
    }

    /// Returns the number of failures.
    func run(_ sources: [Path]) async throws -> Int {
        let isFolder = try await isDirectory(target)
        guard isFolder || sources.count == 1 else {
            throw Failure("\(target): not a directory; several sources can only be copied into a directory")
        }
        var seen: Set<Path> = []
        for source in sources {
            // As in cp(1), this is no error.
            guard seen.insert(source).inserted else {
                say { Console.complain("\(source): given more than once; it is copied once") }
                continue
            }
            do throws(IOError) {
                try await FileSystem.copy(
                    source, to: place(of: source, isFolder), options: options, progress: progress, files: files
                ) { error in
                    say { complaints.add(error) }
                }
            } catch {
                if error.code == .cancelled { break }
                say { complaints.add(error) }
            }
        }
        return complaints.count
    }

    private func place(of source: Path, _ isFolder: Bool) -> Path {
        guard isFolder else { return target }
        let name = source.lastPart
        let isNamed = !name.isEmpty && name != Array(".".utf8) && name != Array("..".utf8)
        // A source without a name of its own (`.`, `..`, `/`) is copied into the target itself, even if the target is a
        // link.
        return target.with(isNamed ? name : [])
    }

    private func say(_ line: () -> Void) {
        display.clear()
        line()
    }

    private func isDirectory(_ path: Path) async throws -> Bool {
        do throws(IOError) { return try await FileSystem.status(of: path).isDirectory } catch {
            guard error.code == .notFound else { throw Failure("\(error)") }
            return false
        }
    }
}
