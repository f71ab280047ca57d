// This library's side of `Benchmarks/run`: `bench-aio SUBJECT ARGUMENT...` carries out one turn and prints its figures
// as a line of JSON. The environment variable AIO_ENGINE chooses the engine.
import AIO
import Glibc

func run(_ subject: String, _ arguments: inout Arguments) async throws {
    switch subject {
    case "queue-nop": try queueNop(&arguments)
    case "queue-read": try queueTransfers(&arguments, isWrite: false)
    case "queue-write": try queueTransfers(&arguments, isWrite: true)
    case "perform-nop": try await performNop(&arguments)
    case "tasks-read": try await taskTransfers(&arguments, isWrite: false)
    case "tasks-write": try await taskTransfers(&arguments, isWrite: true)
    case "timed-read": try await timedReads(&arguments)
    case "read-file": try await readFiles(&arguments)
    case "with-file": try await withFiles(&arguments)
    case "open": try await openAndClose(&arguments)
    case "status": try await statuses(&arguments)
    case "lines": try await lines(&arguments)
    case "chunks": try await chunks(&arguments)
    case "walk": try await walk(&arguments)
    case "memory": try await memory(&arguments)
    default: throw Refusal(text: "no such subject; main.swift has them")
    }
}

func main(_ words: ArraySlice<String>) async -> Int32 {
    let subject = words.first ?? ""
    var arguments = Arguments(Array(words.dropFirst()))
    do {
        try await run(subject, &arguments)
        return 0
    } catch {
        let complaint = "bench-aio \(subject): \((error as? Refusal)?.text ?? "\(error)")\n"
        _ = write(2, complaint, complaint.utf8.count)
        return 1
    }
}

// The first thread sleeps: were it libdispatch's, valgrind could not run the program.
Task.detached { exit(await main(CommandLine.arguments.dropFirst())) }
while true { pause() }
