import AIO
import ArgumentParser

/// `aio copy`: copies files and trees.
struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Copy files and folders, many at a time.",
        usage: "aio copy [--sync] [--keep-existing] [--content-only] [--one-file-system] SOURCE... TARGET",
        discussion: """
            A TARGET that is a folder gets the copies under their own names; otherwise there is one SOURCE, and TARGET \
            is the copy's name. Folders are copied with everything in them: symbolic links as links, several names of \
            one file as such, holes as holes, with times, permissions, extended attributes and, where that is allowed, \
            owners. Blocks are shared where the file system can.

            Each file is made under another name and renamed when it is complete, also when the copy is interrupted. \
            What cannot be copied is said, a line each, and the rest goes on; the exit status is then 1.
            """)

    @Flag(help: "End only when every copy is durable.")
    var sync = false

    @Flag(help: "Leave files that are there already as they are, and count them as failures.")
    var keepExisting = false

    @Flag(help: "Copy content and permissions alone.")
    var contentOnly = false

    @Flag(help: "Do not go into folders on other file systems.")
    var oneFileSystem = false

    @Argument(help: ArgumentHelp("What is copied, and where to.", valueName: "path"))
    var paths: [String] = []

    func validate() throws {
        guard paths.count >= 2 else { throw ValidationError("copy wants a SOURCE and a TARGET") }
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
        let failures = try await interruptible(tick: { display.draw() }) { [options] in
            defer { display.end() }
            return try await Self.copy(Array(sources), to: target, options, progress, display)
        }
        if failures > 0 { throw ExitCode(1) }
    }

    /// Returns how many failures there were.
    private static func copy(
        _ sources: [Path], to target: Path, _ options: CopyOptions, _ progress: CopyProgress, _ display: CopyDisplay
    ) async throws -> Int {
        let isFolder = try await isDirectory(target)
        guard isFolder || sources.count == 1 else {
            throw Failure("\(target) is no folder; several files can only be copied into one")
        }
        let complaints = Complaints()
        for source in sources {
            let name = source.lastPart
            let isNamed = !name.isEmpty && name != Array(".".utf8) && name != Array("..".utf8)
            let copy = isFolder && isNamed ? target.with(name) : target
            do throws(IOError) {
                try await FileSystem.copy(source, to: copy, options: options, progress: progress) { error in
                    display.clear()
                    complaints.add(error)
                }
            } catch {
                if error.code == .cancelled { break }
                display.clear()
                complaints.add(error)
            }
        }
        return complaints.count
    }

    private static func isDirectory(_ path: Path) async throws -> Bool {
        do throws(IOError) { return try await FileSystem.status(of: path).isDirectory } catch {
            guard error.code == .notFound else { throw Failure("\(error)") }
            return false
        }
    }
}
