import Glibc

/// Runs a program by its name, silently. True if it ended with 0.
func runs(_ arguments: [String]) -> Bool {
    var process = pid_t()
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for stream in [Int32(1), 2] { posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_WRONLY, 0) }
    var vector = arguments.map { strdup($0) } + [nil]
    defer { for argument in vector { free(argument) } }
    // The super user's programs are not in everybody's path.
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
