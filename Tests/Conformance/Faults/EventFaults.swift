import AIO
import AIOCore
import Glibc
import Testing

/// What tells of events: children that end, and files that change.
enum EventFaults {
    static let all = [
        FaultScenario(
            name: "a child",
            body: { _, runtime in
                let child = try EndingChild(exit: 7)
                defer { child.reap() }
                let process = try ChildProcess(adopting: child.process, runtime: runtime)
                do {
                    try process.signal(Signal(rawValue: 0))
                    #expect(try await process.wait() == .exited(7))
                } catch {
                    // A child can be waited for again.
                    #expect(try await process.wait() == .exited(7))
                    throw error
                }
            }, uses: ["process"], errorsName: .nothing),
        FaultScenario(
            name: "changes",
            body: { scratch, runtime in
                try await withChanges(of: [Path(scratch.folder)], .created, runtime: runtime) { changes in
                    _ = try scratch.file("file")
                    let change = try await changes.next()
                    #expect(change?.kind == .created && change?.name == "file")
                }
            }, uses: ["inotify"], takesShort: false),
        FaultScenario(
            name: "a lock that is waited for", prepare: { _ = try $0.file("file", [1]) },
            body: { scratch, runtime in
                let path = Path(scratch.path("file"))
                try await withFile(path, .readWrite, runtime: runtime) { one in
                    try await withFile(path, .readWrite, runtime: runtime) { other in
                        try await one.lock(.exclusive)
                        do throws(IOError) {
                            try await other.lock(.exclusive, deadline: .soon)
                            Issue.record("two have the lock")
                        } catch {
                            if error.code != .deadlineExceeded { throw error }
                        }
                        try await one.unlock()
                        try await other.lock(.exclusive)
                    }
                }
            }),
    ]
}

/// A process that ends by itself, forked without the library.
private struct EndingChild {
    let process: pid_t

    init(exit code: Int32) throws {
        var made = pid_t()
        var arguments = [strdup("sh"), strdup("-c"), strdup("exit \(code)"), nil]
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&made, "/bin/sh", nil, nil, &arguments, environ) == 0)
        process = made
    }

    /// Whoever has not waited for the child leaves it here.
    func reap() { _ = waitpid(process, nil, 0) }
}
