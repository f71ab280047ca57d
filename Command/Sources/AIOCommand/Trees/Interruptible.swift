import AIO

/// Runs `body` in a task of its own and cancels the task when a signal asks the command to stop. Calls `tick` every 50
/// ms. `body` must remove incomplete results before it returns; `remains` describes what is left.
func interruptible<R: Sendable>(
    tick: @escaping @Sendable () -> Void = {}, remains: () -> String = { "nothing is left behind" },
    _ body: @escaping @concurrent @Sendable () async throws -> R
) async throws -> R {
    Interruption.listen()
    // On a loop: a hand-over to a worker and back then switches threads least often.
    let work = Task(executorPreference: IORuntime.shared.loops.first) { try await body() }
    let watcher = Task {
        while !Task.isCancelled {
            if Interruption.isRequested { return work.cancel() }
            tick()
            try? await IORuntime.shared.sleep(until: .after(.milliseconds(50)))
        }
    }
    let result = await work.result
    watcher.cancel()
    await watcher.value
    try Interruption.check(remains())
    return try result.get()
}

/// The errors for single files. Each is printed at once; the command then exits with status 1.
final class Complaints {
    private(set) var count = 0

    func add(_ error: IOError) {
        count += 1
        Console.complain("\(error)")
    }

    func add(_ line: String) {
        count += 1
        Console.complain(line)
    }
}
