import CKernel
import Glibc
import Testing

/// How a process ended.
enum Ending: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)
    case outOfTime

    var description: String {
        switch self {
        case .exited(let status): "exited with \(status)"
        case .killed(let signal): "was killed by signal \(signal)"
        case .outOfTime: "was not done in time"
        }
    }
}

/// The end and the output of a process.
struct Outcome: Sendable {
    var ending: Ending
    var output: String
    var errors: String

    var succeeded: Bool { ending == .exited(0) }
}

/// A program to run in a separate process group, so that none of its processes outlives the run.
struct Command: Sendable {
    var arguments: [String]
    /// Overrides this process' environment, of which variables that begin with `LD_` or `AIO_` are not passed on.
    var environment: [String: String] = [:]
    var folder = "/"
    var limit = Duration.seconds(60)

    init(_ arguments: [String]) { self.arguments = arguments }

    /// Runs it on a separate thread, since Swift's pool has one thread per CPU.
    func run() async throws -> Outcome {
        try await withCheckedThrowingContinuation { continuation in
            startThread { continuation.resume(with: Result { try blockingRun() }) }
        }
    }

    private func blockingRun() throws -> Outcome {
        let output = try OutputPipe()
        let errors = try OutputPipe()
        let process = try spawn(output.writing, errors.writing)
        output.closeWriting()
        errors.closeWriting()
        // pidfd_open(2) has this number on every architecture.
        let watch = Int32(ck_system_call_6(434, Int(process), 0, 0, 0, 0, 0))
        defer { _ = close(watch) }
        let isOutOfTime = watch < 0 || !waits(for: watch, output, errors)
        // The zombie keeps the group's number from being reused until waitpid(2).
        kill(-process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        output.drain()
        errors.drain()
        let signal = status & 0x7F
        let ending: Ending =
            isOutOfTime ? .outOfTime : signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
        return Outcome(ending: ending, output: output.text, errors: errors.text)
    }

    /// Reads the output until the process ends. Returns false if the time limit was reached.
    private func waits(for watch: Int32, _ output: OutputPipe, _ errors: OutputPipe) -> Bool {
        let end = ContinuousClock.now + limit
        var isOver = false
        while !isOver {
            let left = (end - .now) / .milliseconds(1)
            guard left > 0 else { return false }
            var states = [watch, output.reading, errors.reading]
                .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            _ = poll(&states, 3, Int32(left.rounded(.up)))
            isOver = states[0].revents != 0
            output.drain()
            errors.drain()
        }
        return true
    }

    private func spawn(_ output: Int32, _ errors: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, errors, 2)
        // The process must not inherit descriptors of tests that run at the same time.
        SpawnActions.closeFrom(&actions, 3)
        SpawnActions.changeFolder(&actions, folder)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK))
        var vector = arguments.map { strdup($0) } + [nil]
        var settings = wholeEnvironment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for string in vector + settings { free(string) } }
        var process = pid_t()
        let refused = posix_spawnp(&process, arguments[0], &actions, &attributes, &vector, &settings)
        guard refused == 0 else { throw Unavailable(reason: "\(arguments[0]) cannot be started: errno \(refused)") }
        return process
    }

    private var wholeEnvironment: [String: String] {
        Environment.inherited.filter { !$0.key.hasPrefix("LD_") && !$0.key.hasPrefix("AIO_") }
            .merging(environment) { $1 }
    }
}

/// Something that a test needs and this machine does not have.
struct Unavailable: Error {
    var reason: String
}

/// Functions of glibc (2.34 and 2.29) that Glibc's module does not show.
private enum SpawnActions {
    typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t>

    static func closeFrom(_ actions: Actions, _ first: Int32) {
        typealias Function = @convention(c) (Actions, Int32) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
        _ = unsafeBitCast(symbol, to: Function.self)(actions, first)
    }

    static func changeFolder(_ actions: Actions, _ folder: String) {
        typealias Function = @convention(c) (Actions, UnsafePointer<CChar>) -> Int32
        guard let symbol = dlsym(nil, "posix_spawn_file_actions_addchdir_np") else { return }
        _ = unsafeBitCast(symbol, to: Function.self)(actions, folder)
    }
}

/// A pipe for one of a process' outputs.
private final class OutputPipe {
    let reading: Int32
    private(set) var writing: Int32
    private var bytes: [UInt8] = []

    init() throws {
        var ends: [Int32] = [0, 0]
        // pipe2(2) with O_CLOEXEC, so that no child of another test inherits an end.
        let result = ends.withUnsafeMutableBytes {
            ck_system_call_6(Self.pipe2, Int(bitPattern: $0.baseAddress), Int(O_CLOEXEC), 0, 0, 0, 0)
        }
        guard result == 0 else { throw Unavailable(reason: "no pipe: errno \(-result)") }
        reading = ends[0]
        writing = ends[1]
        _ = fcntl(reading, F_SETFL, O_NONBLOCK)
    }

    deinit {
        _ = close(reading)
        closeWriting()
    }

    #if arch(arm64)
        private static let pipe2 = 59
    #else
        private static let pipe2 = 293
    #endif

    func closeWriting() {
        if writing >= 0 { _ = close(writing) }
        writing = -1
    }

    /// Reads what is available now.
    func drain() {
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(reading, &chunk, chunk.count)
            guard count > 0 else { return }
            bytes += chunk[..<count]
        }
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}

private func startThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body))
    let refused = pthread_create(
        &thread, nil,
        { argument in
            if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, argument.toOpaque())
    precondition(refused == 0, "no thread: errno \(refused)")
    pthread_detach(thread)
}

private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
