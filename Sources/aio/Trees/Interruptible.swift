import AIO

/// Runs `body` in a task of its own, which is cancelled when a signal asks the command to stop, and calls `tick` now and
/// then meanwhile. What `body` made half is gone when this returns; `remains` says what of it is left.
func interruptible<R: Sendable>(
    tick: @escaping @Sendable () -> Void = {}, remains: () -> String = { "nothing is left behind" },
    _ body: @escaping @concurrent @Sendable () async throws -> R
) async throws -> R {
    Interruption.listen()
    // On the loop, where a hand-over to a worker and back changes threads least.
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

/// What a command says of each file that it could not do, and that it then ends with 1.
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
