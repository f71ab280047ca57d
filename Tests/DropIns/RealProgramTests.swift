import Foundation
import Testing
import UnitSupport

/// A run of a third-party program, as packaged by Debian, that verifies its own data.
struct RealProgram: Sendable, CustomTestStringConvertible {
    let name: String
    let library: Library
    /// Run one after the other in a new folder.
    let commands: [[String]]
    /// The expected output of the last command but `after`: a program that did nothing has not succeeded.
    let says: [String]
    /// The number of commands at the end whose output does not matter.
    var after = 0
    /// Tools that a script needs in addition.
    var needs: [String] = []

    var testDescription: String { name }

    func run(_ way: Way?) async throws {
        for tool in Set(commands.map { $0[0] } + needs).sorted() where Environment.path(ofTool: tool) == nil {
            try Test.cancel("\(skipped("no \(tool) is installed"))")
        }
        if case .inPlace? = way, library.systemPath == nil {
            try Test.cancel("\(skipped("it is not linked with \(library.name)"))")
        }
        let environment = try await way?.environment(for: library) ?? [:]
        try await Environment.withScratch { folder in
            for (index, arguments) in commands.enumerated() {
                var command = Command(arguments)
                command.environment = environment.merging(["TMPDIR": folder]) { $1 }
                command.folder = folder
                command.limit = .seconds(120)
                let outcome = try await command.run()
                let expected = index == commands.count - 1 - after ? says : []
                check(outcome, arguments.joined(separator: " "), expected)
                guard outcome.succeeded else { return }
            }
        }
    }

    private func check(_ outcome: Outcome, _ command: String, _ expected: [String]) {
        let all = "\(outcome.output)\(outcome.errors)"
        #expect(outcome.succeeded, "\(command) \(outcome.ending)\n\(all)")
        // The loader's warning: without our library everything would succeed.
        #expect(!outcome.errors.contains("cannot be preloaded"), "\(outcome.errors)")
        for text in expected { #expect(all.contains(text), "\(command) does not say \(text)\n\(all)") }
    }
}

extension RealProgram {
    /// Writes in random order, reads back (partly while writing) and verifies.
    private static func fio(_ name: String, _ engine: Library, jobs: Int = 1, _ options: String...) -> RealProgram {
        let engineName = engine.name == Library.libaio.name ? "libaio" : "posixaio"
        let common = [
            "fio", "--name=t", "--directory=.", "--ioengine=\(engineName)", "--size=8M", "--bs=4k", "--rw=randwrite",
            "--verify=crc32c", "--verify_fatal=1", "--verify_backlog=512", "--verify_state_save=0", "--iodepth=32",
            "--invalidate=1", "--end_fsync=1", "--group_reporting", "--numjobs=\(jobs)",
        ]
        return RealProgram(
            name: "fio \(engineName) \(name)", library: engine, commands: [common + options],
            says: ["err= 0", "issued rwts: total=\(jobs * 2048),\(jobs * 2048),0,"])
    }

    private static func fio(_ engine: Library) -> [RealProgram] {
        [
            fio("buffered", engine),
            fio("direct", engine, "--direct=1"),
            fio("two threads", engine, jobs: 2, "--thread"),
            fio("two processes", engine, jobs: 2),
            fio("many sizes", engine, "--bs=1k", "--bsrange=512-64k", "--bs_unaligned=0", "--size=8M").anyAmount,
        ]
    }

    /// The number of operations is random.
    private var anyAmount: RealProgram {
        RealProgram(name: name, library: library, commands: commands, says: ["err= 0", "issued rwts: total="])
    }

    static let libaio: [RealProgram] =
        fio(.libaio) + [
            fio("buffered, reaping itself", .libaio, "--userspace_reap", "--iodepth_batch_complete_min=0"),
            fio("direct, reaping itself", .libaio, "--direct=1", "--userspace_reap", "--iodepth_batch_complete_min=0"),
            fio("in batches", .libaio, "--iodepth_batch_submit=16", "--iodepth_batch_complete_min=8"),
            sysbench(inFlight: 1, "on"), sysbench(inFlight: 32, "off"), qemuImg("reads"),
            qemuImg("writes", "-w", "--pattern=7"), qemuIO("none"), qemuIO("directsync"),
            stressapptest, mariaDB("fsync"), mariaDB("O_DIRECT"), qemuNBD, qemuStorageDaemon,
        ]

    /// A program without asynchronous I/O, linked with a library (libcap-ng) whose constructor closes descriptors, and
    /// runs before those of preloaded libraries.
    static let bystanders: [RealProgram] = [
        RealProgram(name: "setpriv", library: .libaio, commands: [["setpriv", "--nnp", "echo", "ran"]], says: ["ran"])
    ]

    static let posixaio: [RealProgram] = fio(.posixaio) + [stressNG("aio", .posixaio)]

    /// A program that makes the system calls itself, through libc's `syscall`.
    static let raw: [RealProgram] = [stressNG("aiol", .libaio)]

    /// sysbench cannot verify its data with more than one operation in flight: each of its threads has one buffer,
    /// which it checks before the event has come. (With direct I/O it finds errors over the system's library for that
    /// reason.)
    private static func sysbench(inFlight: Int, _ validation: String) -> RealProgram {
        let common = ["sysbench", "fileio", "--file-num=4", "--file-total-size=16M", "--validate=\(validation)"]
        let mode = ["--file-io-mode=async", "--file-async-backlog=\(inFlight)", "--file-test-mode=rndrw"]
        return RealProgram(
            name: "sysbench, \(inFlight) in flight", library: .libaio,
            commands: [
                common + ["prepare"], common + mode + ["--threads=2", "--time=2", "run"], common + ["cleanup"],
            ],
            says: ["Using asynchronous I/O mode", "execution time (avg/stddev)"], after: 1)
    }

    private static func qemuImg(_ name: String, _ options: String...) -> RealProgram {
        RealProgram(
            name: "qemu-img bench \(name)", library: .libaio,
            commands: [
                ["qemu-img", "create", "-q", "-f", "raw", "image", "32M"],
                ["qemu-img", "bench", "-n", "-t", "none", "-f", "raw", "-c", "4000", "-d", "32"] + options + ["image"],
            ], says: ["Run completed in"])
    }

    private static func qemuIO(_ cache: String) -> RealProgram {
        // It exits with 1 if a pattern is not found.
        let steps = [
            "write -P 0x5a 0 4M", "aio_write -P 0x33 64k 64k", "aio_write -P 0x44 1M 512k", "aio_flush",
            "read -P 0x33 64k 64k", "read -P 0x44 1M 512k", "read -P 0x5a 2M 2M", "aio_read -P 0x5a 128k 64k",
            "aio_flush", "flush", "read -P 0 8M 1M",
        ]
        return RealProgram(
            name: "qemu-io, \(cache)", library: .libaio,
            commands: [
                ["qemu-img", "create", "-q", "-f", "raw", "image", "32M"],
                ["qemu-io", "-k", "-t", cache, "-f", "raw"] + steps.flatMap { ["-c", $0] } + ["image"],
            ],
            says: [
                "wrote 4194304/4194304 bytes", "read 65536/65536 bytes at offset 131072", "read 1048576/1048576 bytes",
            ])
    }

    private static func stressNG(_ stressor: String, _ library: Library) -> RealProgram {
        RealProgram(
            name: "stress-ng --\(stressor)", library: library,
            commands: [["stress-ng", "--\(stressor)", "2", "--verify", "--timeout", "2", "--temp-path", "."]],
            says: ["successful run completed"])
    }

    /// Copies in memory, and writes, reads and verifies a file through libaio.
    private static let stressapptest = RealProgram(
        name: "stressapptest", library: .libaio,
        commands: [
            ["qemu-img", "create", "-q", "-f", "raw", "disk", "32M"],
            [
                "stressapptest", "-s", "2", "-M", "16", "-m", "1", "-i", "1", "-W", "-d", "disk", "--destructive",
                "--segment-size", "1048576", "--cache-size", "1048576", "--random-threads", "1",
            ],
        ], says: ["Status: PASS", "0 errors"])
}

extension RealProgram {
    /// A server without clients executes statements and ends; a second one then finds the rows of the first. The table
    /// is larger than the buffer pool. Releases without `innodb-linux-aio` may use an io_uring of their own.
    fileprivate static func mariaDB(_ flushing: String) -> RealProgram {
        let server = [
            "mariadbd", "--no-defaults", "--bootstrap", "--user=root", "--datadir=.", "--tmpdir=.",
            "--innodb-buffer-pool-size=6M", "--innodb-log-file-size=4M", "--loose-innodb-linux-aio=aio",
            "--innodb-flush-method=\(flushing)",
        ].joined(separator: " ")
        func script(_ statements: String) -> [String] {
            ["sh", "-c", "mkdir -p data && cd data && printf '%s\\n' \"$0\" | \(server)", statements]
        }
        return RealProgram(
            name: "MariaDB, \(flushing)", library: .libaio, commands: [script(rowsWritten), script(rowsFound)],
            says: ["Using Linux native AIO"], needs: ["mariadbd"])
    }

    private static let rowsWritten = """
        CREATE DATABASE d;
        USE d;
        CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, k CHAR(32), v VARCHAR(400), KEY (k)) CHARSET=latin1;
        INSERT INTO t (k) VALUES (''), (''), (''), (''), (''), (''), ('');
        INSERT INTO t (k) SELECT '' FROM t a, t b, t c, t d, t e;
        UPDATE t SET k = MD5(id), v = REPEAT(MD5(id), 12);
        DELETE FROM t WHERE id % 7 = 0;
        """

    /// The server fails if a value other than 0 is inserted into `wrong`.
    private static let rowsFound = """
        USE d;
        INSERT INTO t SELECT id + 100000, k, v FROM t;
        CREATE TABLE wrong (n INT CHECK (n = 0));
        INSERT INTO wrong SELECT COUNT(*) FROM t WHERE v <> REPEAT(k, 12) OR k <> MD5(id % 100000);
        INSERT INTO wrong SELECT COUNT(*) - 2 * COUNT(DISTINCT k) FROM t;
        INSERT INTO wrong SELECT COUNT(*) < 20000 FROM t;
        """

    fileprivate static let qemuNBD = server(
        "qemu-nbd", "qemu-nbd -f qcow2 --aio=native --cache=none -t -e 8 -k $PWD/socket disk", format: "qcow2")

    fileprivate static let qemuStorageDaemon = server(
        "qemu-storage-daemon",
        """
        qemu-storage-daemon --blockdev driver=file,node-name=disk,filename=disk,aio=native,cache.direct=on,discard=unmap \\
            --nbd-server addr.type=unix,addr.path=$PWD/socket \\
            --export type=nbd,id=export,node-name=disk,name=,writable=on
        """, format: "raw")

    /// A disk server, whose clients write, read and compare.
    private static func server(_ tool: String, _ command: String, format: String) -> RealProgram {
        let script = """
            set -e
            qemu-img create -q -f \(format) disk 64M
            seq 1 900000 > source
            truncate -s 32M source
            \(command) &
            server=$!
            until [ -S socket ]; do kill -0 $server; sleep 0.05; done
            url="nbd+unix:///?socket=$PWD/socket"
            for round in 1 2; do
                qemu-img convert -n -W -m 8 -f raw -O raw source "$url"
                qemu-io -f raw -c 'aio_write -P 0x33 40M 1M' -c 'aio_write -P 0x44 43M 64k' -c aio_flush \\
                    -c 'write -z 50M 1M' -c 'discard 51M 1M' -c flush \\
                    -c 'read -P 0x33 40M 1M' -c 'read -P 0x44 43M 64k' -c 'read -P 0 50M 1M' "$url"
                qemu-img convert -W -m 8 -f raw -O raw "$url" back
                cmp -n 33554432 source back
            done
            kill $server
            wait $server
            \(format == "qcow2" ? "qemu-img check -q -f qcow2 disk" : "")
            echo all of it is there
            """
        return RealProgram(
            name: tool, library: .libaio, commands: [["sh", "-c", script]], says: ["all of it is there"],
            needs: [tool, "qemu-img", "qemu-io"])
    }
}

/// Unmodified programs run with our libraries, and find their data unchanged.
///
/// Of each group one program at a time: they are heavy, and most of them wait more than they compute.
enum RealProgramTests {
    /// Otherwise the program or the machine would be at fault.
    @Suite(.serialized, .timeLimit(.minutes(15))) struct Alone {
        @Test(arguments: RealProgram.libaio + RealProgram.posixaio + RealProgram.raw + RealProgram.bystanders)
        func runsWithTheSystemsLibrary(_ program: RealProgram) async throws {
            try await program.run(nil)
        }
    }

    @Suite(.serialized, .timeLimit(.minutes(15))) struct LibAIO {
        @Test(arguments: RealProgram.libaio, Way.all)
        func runsOverOurLibaio(_ program: RealProgram, _ way: Way) async throws {
            try way.requireEngine()
            try await program.run(way)
        }
    }

    @Suite(.serialized, .timeLimit(.minutes(15))) struct Preloaded {
        @Test(arguments: RealProgram.posixaio, Way.preloads)
        func runsOverOurPosixAIO(_ program: RealProgram, _ way: Way) async throws {
            try way.requireEngine()
            try await program.run(way)
        }

        @Test(arguments: RealProgram.bystanders, Way.preloads)
        func programsThatDoNoneOfItRunAsEver(_ program: RealProgram, _ way: Way) async throws {
            try way.requireEngine()
            try await program.run(way)
        }

        @Test(arguments: RealProgram.raw, Way.preloads)
        func rawSystemCallsAreCaught(_ program: RealProgram, _ way: Way) async throws {
            try way.requireEngine()
            try await program.run(way)
        }
    }
}
