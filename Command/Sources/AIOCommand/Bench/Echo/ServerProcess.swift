import AIOCore
import CKernel
import Glibc

/// A server in a separate process. The process ends with this object, and with this process however that ends.
final class ServerProcess {
    let process: pid_t
    private(set) var address = LoopbackAddress(port: 0)
    private let output: OpenDescriptor
    private let clock: clockid_t

    /// How long the program may take to announce its address, and to exit after SIGTERM.
    private static let patience: Nanoseconds = 10_000_000_000

    /// Starts the server and waits until it listens. `inherited` become its descriptors 3 and up.
    init(_ program: ServerProgram, inherited: [Int32] = []) throws {
        var ends: (Int32, Int32) = (-1, -1)
        let made = Kernel.pipe(&ends, CK_PIPE_CLOEXEC)
        guard made >= 0 else { throw Failure("pipe", result: made) }
        output = OpenDescriptor(owning: ends.0)
        let input = OpenDescriptor(owning: ends.1)
        process = try Self.spawn(program.arguments, output: input.number, inherited)
        var clock = clockid_t()
        _ = clock_getcpuclockid(process, &clock)
        self.clock = clock
        _ = consume input
        address = try Self.readAddress(from: output.number)
    }

    deinit {
        // The process may have exited already.
        kill(process, SIGTERM)
        let limit = Kernel.now() + Self.patience
        while waitpid(process, nil, WNOHANG) == 0 {
            if Kernel.now() > limit { kill(process, SIGKILL) }
            usleep(500)
        }
    }

    /// User and system time so far, in nanoseconds.
    var processorTime: UInt64 {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { return 0 }
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The line that the server printed when it failed; nil if it printed nothing.
    func complaint() -> String? {
        guard let line = try? Self.readLine(from: output.number, until: Kernel.now() + 1_000_000_000) else {
            return nil
        }
        return line.isEmpty ? nil : line
    }

    private static func spawn(_ arguments: [String], output: Int32, _ inherited: [Int32]) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        // SIGTERM must end the server even if this process blocks or ignores it.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGTERM)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // The copies lie above the target numbers, so that no dup2 overwrites a descriptor that is still needed.
        let copies = inherited.map { fcntl($0, F_DUPFD_CLOEXEC, 3 + Int32(inherited.count)) }
        let failure = errno
        defer { for copy in copies where copy >= 0 { Kernel.close(copy) } }
        guard copies.allSatisfy({ $0 >= 0 }) else { throw Failure("dup", result: -Int(failure)) }
        for (index, copy) in copies.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy, 3 + Int32(index))
        }
        var vector: [UnsafeMutablePointer<CChar>?] = (["aio"] + arguments).map { strdup($0) } + [nil]
        defer { for argument in vector { free(argument) } }
        var process = pid_t()
        // The resolved path, so that ps(1) shows the command's name and not `exe`.
        let executable = realpath("/proc/self/exe", nil)
        defer { free(executable) }
        guard let executable else { throw Failure("/proc/self/exe", result: -Int(errno)) }
        let refused = posix_spawn(&process, executable, &actions, &attributes, &vector, environ)
        guard refused == 0 else {
            throw Failure("posix_spawn \(String(cString: executable).quoted)", result: -Int(refused))
        }
        return process
    }

    private static func readAddress(from output: Int32) throws -> LoopbackAddress {
        let said = try readLine(from: output, until: Kernel.now() + patience)
        let prefix = "listening on "
        if said.hasPrefix(prefix), let address = LoopbackAddress(said.dropFirst(prefix.count)) { return address }
        throw Failure(
            said.isEmpty
                ? "printed no address: the first line must be `listening on A.B.C.D:PORT`"
                : "printed \(String(said.prefix(200)).quoted): the first line must be `listening on A.B.C.D:PORT`"
        )
    }

    /// Reads up to the end of the line or of the output.
    private static func readLine(from output: Int32, until deadline: Nanoseconds) throws -> String {
        var line: [UInt8] = []
        while line.count < 4096 {
            try Interruption.check()
            let now = Kernel.now()
            guard now < deadline else { break }
            var entry = ck_pollfd(descriptor: output, events: Int16(CK_POLLIN), returned: 0)
            // In short steps, to notice signals.
            var time = ck_timespec(min(deadline &- now, 100_000_000))
            guard Kernel.ppoll(&entry, 1, &time) > 0 else { continue }
            var byte: UInt8 = 0
            guard Kernel.read(output, &byte, 1) == 1, byte != UInt8(ascii: "\n") else { break }
            line.append(byte)
        }
        return String(decoding: line, as: UTF8.self)
    }
}
