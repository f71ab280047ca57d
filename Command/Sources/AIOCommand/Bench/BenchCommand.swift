import ArgumentParser

/// `aio bench`: measures this library against other interfaces for the same I/O.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure every way of doing the same I/O, side by side.",
        discussion: """
            Without the name of a bench it is that of files: `aio bench --direct` is `aio bench files --direct`. Each has \
            options of its own: `aio bench files --help`.
            """,
        subcommands: [
            FilesCommand.self, PipeCommand.self, EchoCommand.self, MixedCommand.self, BenchServerCommand.self,
        ],
        defaultSubcommand: FilesCommand.self)
}
