import AIO
import AIOCore
import CKernel
import Glibc
import Testing

/// A shell that runs `script`, with a pipe as its standard input.
final class Child: @unchecked Sendable {
    // @unchecked: a test uses it from one task at a time.
    let process: pid_t
    let status = UnsafeMutablePointer<ck_child_status>.allocate(capacity: 1)
    private let descriptor: Int32
    private let input: Int32

    init(_ script: String) throws {
        try needs(.process)
        let ends = try Ends(.pipe, false)
        input = ends.writing
        status.initialize(to: ck_child_status())
        var made = pid_t()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, ends.reading, 0)
        var arguments = [strdup("sh"), strdup("-c"), strdup(script), nil]
        defer { for argument in arguments { free(argument) } }
        let refused = spawn(&made, "/bin/sh", &actions, &arguments, nil)
        closeDescriptor(ends.reading)
        try #require(refused == 0)
        process = made
        let descriptor = Kernel.processDescriptor(made)
        try #require(descriptor >= 0)
        self.descriptor = Int32(descriptor)
    }

    deinit {
        closeDescriptor(descriptor)
        closeDescriptor(input)
        status.deallocate()
    }

    var wait: AIOCore.Operation { .waitForChild(.socket(descriptor), status: status, options: CK_WEXITED) }

    func end() { #expect(Glibc.write(input, "\n", 1) == 1) }
}

/// signalfd4(2) for one signal.
func signalDescriptor(_ signal: Int32) throws -> Int32 {
    try needs(.signals)
    let made = Kernel.signalDescriptor(1 << UInt64(signal - 1), CK_SFD_CLOEXEC)
    try #require(made >= 0)
    return Int32(made)
}
