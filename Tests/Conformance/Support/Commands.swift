import CSimulatedLibrary
import Glibc
import Testing

/// Runs a program by name, without output. Returns true if it exits with 0.
func runs(_ arguments: [String]) -> Bool {
    if sl_is_simulated() { return runsSimulated(arguments) }
    var process = pid_t()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for stream in [Int32(1), 2] { posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0) }
    var vector = arguments.map { strdup($0) } + [nil]
    defer { for argument in vector { free(argument) } }
    // Administration programs are not in every user's PATH.
    var environment = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    defer { free(environment[0]) }
    let path = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].lazy
        .map { folder in "\(folder)/\(arguments[0])" as String }.first { access($0, X_OK) == 0 }
    guard let path, posix_spawn(&process, path, &actions, nil, &vector, &environment) == 0 else { return false }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 {
        guard errno == EINTR else { return false }
    }
    return status == 0
}

/// What a program would do to simulated files, which it cannot reach.
private func runsSimulated(_ arguments: [String]) -> Bool {
    let (program, paths) = (arguments[0], arguments.dropFirst().filter { !$0.hasPrefix("-") })
    switch program {
    case "rm":
        for path in paths { removeTree(path) }
        return true
    case "diff", "cmp":
        guard paths.count == 2, let one = try? TreeSnapshot(paths[0]), let other = try? TreeSnapshot(paths[1]) else {
            return false
        }
        return one.hasContent(of: other)
    default:
        Issue.record("no program runs in a simulation: \(program)")
        return false
    }
}

/// The path of a program that was built into the same folder as the tests.
func programBesideTests(_ name: String) -> String? {
    var path = [CChar](repeating: 0, count: 4096)
    guard readlink("/proc/self/exe", &path, path.count - 1) > 0, let end = path.lastIndex(of: 0x2f) else { return nil }
    let program = String(decoding: path[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self) + "/\(name)"
    return access(program, X_OK) == 0 ? program : nil
}

/// Starts a program whose standard output and error go to `output`, with the signal state of a program that a shell
/// starts.
func startProgram(_ arguments: [String], _ environment: [String], output: Int32) throws -> pid_t {
    try needs(.process)
    var process = pid_t()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for stream in [Int32(1), 2] { posix_spawn_file_actions_adddup2(&actions, output, stream) }
    var vector = arguments.map { strdup($0) } + [nil]
    var variables = environment.map { strdup($0) } + [nil]
    defer { for text in vector + variables { free(text) } }
    let refused = spawn(&process, arguments[0], &actions, &vector, &variables)
    try #require(refused == 0, "posix_spawn \(arguments[0]): errno \(refused)")
    return process
}

/// posix_spawn(3) with an empty signal mask: threads of Swift's pool block all signals, and a child inherits that.
func spawn(
    _ process: inout pid_t, _ path: String, _ actions: inout posix_spawn_file_actions_t,
    _ arguments: inout [UnsafeMutablePointer<CChar>?],
    _ environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> Int32 {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var mask = sigset_t()
    sigemptyset(&mask)
    posix_spawnattr_setsigmask(&attributes, &mask)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    return posix_spawn(&process, path, &actions, &attributes, &arguments, environment)
}
