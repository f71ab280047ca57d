import ArgumentParser

/// `aio bench`: measures this library against other interfaces for the same I/O.
struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure different ways of doing the same I/O, side by side.",
        discussion: """
            Without a name, `files` is run: `aio bench --direct` is `aio bench files --direct`. Each benchmark has its \
            own options; see for example `aio bench files --help`.
            """,
        subcommands: [
            FilesCommand.self, PipeCommand.self, EchoCommand.self, MixedCommand.self, BenchServerCommand.self,
        ],
        defaultSubcommand: FilesCommand.self)
}
