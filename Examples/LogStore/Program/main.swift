// A store on the command line: `log-store DIRECTORY` reads lines `KEY VALUE` from standard input, and prints `ok KEY`
// once the value is durable. The line `checkpoint` writes a checkpoint. At the end of the input it prints all keys.
import AIO
import Glibc
import LogStore

do {
    guard CommandLine.arguments.count == 2 else {
        throw IOError(.invalidArgument, "log-store", advice: "give it a DIRECTORY")
    }
    try await serve(try await LogStore.open(Path(CommandLine.arguments[1])))
} catch {
    try? await StreamWriter.standardError().writeAll("log-store: \(error)\n")
    exit(1)
}

func serve(_ store: LogStore) async throws {
    let output = StreamWriter.standardOutput()
    for try await line in StreamReader.standardInput().lines() {
        if line == "checkpoint" {
            try await store.checkpoint()
            try await output.writeAll("ok checkpoint\n")
            continue
        }
        let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else {
            throw IOError(.invalidArgument, "log-store", advice: "a line is KEY VALUE, or checkpoint")
        }
        try await store.put(String(parts[0]), Array(parts[1].utf8))
        try await output.writeAll("ok \(parts[0])\n")
    }
    for (key, value) in await store.state.sorted(by: { $0.key < $1.key }) {
        try await output.writeAll("\(key) \(String(decoding: value, as: UTF8.self))\n")
    }
    try await store.close()
}
