import Foundation
import Testing
import UnitSupport

/// `aio copy`, where it could destroy something, beside `cp`.
@Suite(.timeLimit(.minutes(10))) struct CopyCommandTests {
    /// What a shell's commands leave and say, once with `aio copy` and once with `cp -a` in the place of `COPY`.
    private func expectAsCp(_ script: String, _ look: String = "cat * */* 2>&1; stat -c '%n %F' * */*") throws {
        var looks: [[String]] = []
        for command in ["\"$AIO\" copy", "cp -a"] {
            try withCommandFolder { folder in
                let text = script.replacingOccurrences(of: "COPY", with: command)
                let run = try CommandRun(["sh", "-c", "(\(text)) 2>/dev/null; echo status $?; \(look)"], in: folder)
                looks.append(run.lines)
            }
        }
        #expect(looks[0] == looks[1], "\(script)")
    }

    @Test(arguments: [
        "echo data > f; ln -s f l; COPY l f", "echo data > f; ln -s f l; COPY f l", "echo data > f; ln f h; COPY f h",
        "echo data > f; ln -s f l; ln -s l m; COPY m f", "echo data > f; mkdir d; ln -s ../f d/f; COPY d/f .",
        "echo data > f; ln -s f l; ln -s f m; COPY l m", "echo data > f; COPY f ./f", "echo data > f; COPY f $PWD/f",
        "mkdir -p t o/t; echo x > o/t/f; ln -s ../o/t/f t/f; COPY t o",
        "mkdir -p t o/t; echo x > t/f; ln -s ../../t/f o/t/f; COPY t o",
        "mkdir -p t o/t; echo x > t/f; ln t/f o/t/f; COPY t o", "mkdir -p t/u; echo x > t/f; COPY t t/u",
        "mkdir t; echo x > t/f; COPY t/. t",
    ])
    func nothingIsCopiedOverItself(_ script: String) throws { try expectAsCp(script) }

    @Test(arguments: [
        "mkdir -p s/d o v; echo x > s/d/f; ln -s ../v o/d; COPY s/d o",
        "mkdir -p s/d/e o/d v; echo x > s/d/e/f; ln -s ../../v o/d/e; COPY s/d o",
        "mkdir -p s/d v; echo x > s/d/f; ln -s v l; COPY s/d l", "mkdir -p s v; echo x > s/f; ln -s v l; COPY s/. l",
        "mkdir -p s/d o; echo x > s/d/f; echo y > o/d; COPY s/d o", "mkdir -p s o/f; echo x > s/f; COPY s/f o",
        "mkdir -p s o; echo x > s/f; ln -s ../gone o/d; COPY s o/d",
    ])
    func noLinkInTheTargetLeadsACopyElsewhere(_ script: String) throws { try expectAsCp(script) }

    @Test(arguments: [
        "mkdir a b o; echo 1 > a/f; echo 2 > b/f; COPY a/f b/f o",
        "mkdir a b o; ln -s 1 a/f; ln -s 2 b/f; COPY a/f b/f o",
        "mkdir -p a b/f o; echo 1 > a/f; COPY a/f b/f o", "mkdir -p a b/f o; echo 1 > a/f; COPY b/f a/f o",
        "mkdir a o; echo 1 > a/f; COPY a/f a/f o", "mkdir -p a/d b/d o; echo 1 > a/d/f; echo 2 > b/d/g; COPY a/d b/d o",
    ])
    func sourcesOfOneNameDoNotReplaceEachOther(_ script: String) throws {
        try expectAsCp(script, "cat o/* o/*/* 2>&1; stat -c '%n %F %N' o/*")
    }

    @Test func namesOfOneFileUnderTwoSourcesStayThat() throws {
        try expectAsCp("mkdir a b o; echo x > a/f; ln a/f b/f; ln a/f g; COPY a b g o", "stat -c '%n %h' o/*/* o/g")
    }

    @Test func aCopyIntoAFolderWithAListOfAccessLetsNobodyElseIn() throws {
        try withCommandFolder { folder in
            let script = """
                mkdir dst; echo secret > f; chmod 640 f; mkdir sub; chmod 750 sub; echo s > sub/g; chmod 600 sub/g
                setfacl -d -m u:1234:rwx dst || exit 9
                "$AIO" copy f dst/f && "$AIO" copy sub dst && getfacl -cpR dst/f dst/sub | grep -c 1234
                stat -c '%a' dst/f dst/sub dst/sub/g
                """
            let run = try CommandRun(["sh", "-c", script], in: folder)
            guard run.status != 9 else { return _ = skipped("no setfacl") }
            #expect(run.lines == ["0", "640", "750", "600"], "\(run.errors)")
        }
    }

    @Test func withContentAloneModesAreThoseOfCp() throws {
        let modes =
            "for m in 700 500 1777 2755 311 0; do mkdir t/$m; chmod $m t/$m; done; "
            + "for m in 4755 600 777 0; do echo x > t/f$m; chmod $m t/f$m; done"
        for mask in ["022", "077", "002"] {
            try withCommandFolder { folder in
                let script =
                    "umask \(mask); mkdir t; \(modes); cp -r t a; \"$AIO\" copy --content-only t b; "
                    + "for x in a b; do (cd $x; stat -c '%n %a' . *); done"
                let lines = try CommandRun(["sh", "-c", script], in: folder).lines
                #expect(!lines.isEmpty && lines.prefix(lines.count / 2) == lines.suffix(lines.count / 2), "\(lines)")
            }
        }
    }

    /// Some are complete by then: it says so, and their folder is no wider than its source.
    @Test func anInterruptedCopySaysWhatIsLeft() throws {
        try withCommandFolder { folder in
            let source = "\(folder)/tree"
            try #require(mkdir(source, 0o711) == 0)
            for index in 0..<20 {
                try Data(count: 8 << 20).write(to: URL(filePath: "\(source)/\(index)"))
            }
            let process = Process()
            process.executableURL = CommandRun.aio
            process.arguments = ["copy", "--sync", "tree", "copy"]
            process.currentDirectoryURL = URL(filePath: folder)
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let names = { (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/copy")) ?? [] }
            #expect(eventually { !process.isRunning || names().contains { !$0.hasPrefix(".") } })
            kill(process.processIdentifier, SIGINT)
            let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            // Unless it was through by then.
            guard process.terminationStatus == 130 else { return }
            let count = names().count
            #expect(complaint.contains(count == 1 ? "1 file is copied" : "\(count) files are copied"), "\(complaint)")
            #expect(!complaint.contains("nothing is left behind"))
            var status = stat()
            #expect(lstat("\(folder)/copy", &status) == 0 && status.st_mode & 0o7777 == 0o711)
        }
    }

    /// What `cp` and `sha256sum` are content with, and some that the runtime has for itself.
    @Test(arguments: [24, 32, 48, 100])
    func fewDescriptorsAreEnough(_ limit: Int) throws {
        try withCommandFolder { folder in
            let script = """
                mkdir -p t/a/b/c/d/e/f t/many
                for i in $(seq 400); do echo $i > t/many/$i; done
                head -c 9000000 /dev/urandom > t/a/b/c/large; cp t/many/1 t/a/b/c/d/e/f/deep
                ulimit -n \(limit); "$AIO" copy t u && diff -r t u && "$AIO" hash t > list && sha256sum -c --quiet list &&
                wc -l < list && "$AIO" hash --check list | wc -l && "$AIO" du -s t | wc -l
                """
            let run = try CommandRun(["sh", "-c", script], in: folder)
            #expect(run.lines == ["402", "402", "1"] && run.errors == "", "\(run.errors)")
        }
    }

    @Test func aTreeOfThousandsOfLevelsIsCopiedAndHashed() throws {
        try withCommandFolder { folder in
            let make = """
                import os
                os.mkdir('t'); fd = os.open('t', os.O_RDONLY)
                for i in range(3000):
                    os.mkdir('a-folder', dir_fd=fd); n = os.open('a-folder', os.O_RDONLY, dir_fd=fd); os.close(fd); fd = n
                os.close(os.open('file', os.O_CREAT | os.O_WRONLY, dir_fd=fd))
                """
            guard try CommandRun(["python3", "-c", make], in: folder).status == 0 else {
                return _ = skipped("no python3")
            }
            #expect(try CommandRun(["aio", "copy", "t", "u"], in: folder).status == 0)
            let hash = try CommandRun(["aio", "hash", "u"], in: folder)
            #expect(hash.status == 0 && hash.output.starts(with: "e3b0c442".utf8), "\(hash.errors.prefix(200))")
            #expect(hash.output.count == 64 + 2 + "u".utf8.count + 3000 * "/a-folder".utf8.count + "/file\n".utf8.count)
        }
    }

    @Test func filesThatSayMoreThanTheyGiveAreCopied() throws {
        let path = "/sys/devices/system/cpu/online"
        guard FileManager.default.fileExists(atPath: path) else { return _ = skipped("no sysfs") }
        try withCommandFolder { folder in
            let copy = try CommandRun(["aio", "copy", path, "copy"], in: folder)
            let comparison = try CommandRun(["cmp", path, "copy"], in: folder)
            #expect(copy.status == 0 && comparison.status == 0, "\(copy.errors)")
        }
    }

    @Test func sizesNearTheLargestNumberAreAddedUp() throws {
        let folder = "/dev/shm/aio-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        guard try CommandRun(["truncate", "-s", "9223372036854775807", "a", "b"], in: folder).status == 0 else {
            return _ = skipped("no file can be so large")
        }
        for options in [["-b"], ["-h", "--apparent-size"], ["--apparent-size"], ["-s", "-b"]] {
            let run = try CommandRun(
                ["aio", "du", "-a"].filter { $0 != "-a" || !options.contains("-s") } + options, in: folder)
            #expect(run.status == 0 && run.lines.last?.hasSuffix("\t.") == true, "\(options): \(run.errors)")
        }
        #expect(try CommandRun(["aio", "copy", "a", "c"], in: folder).status == 0)
        #expect(try CommandRun(["stat", "-c", "%s %b", "c"], in: folder).lines == ["9223372036854775807 0"])
    }

    /// The script goes on for as long as it is asked to; a seed that it prints makes the same trees again.
    @Test func randomTreesAreCopiedAndHashedAsByTheSystemsPrograms() throws {
        let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../Scripts/compare-trees")
        try withCommandFolder { folder in
            let run = try CommandRun(
                ["python3", script.standardized.path, "--aio", CommandRun.aio.path, "--folder", folder, "15"],
                in: folder)
            guard run.status != 127 else { return _ = skipped("no python3") }
            #expect(run.status == 0, "\(run.lines.joined(separator: "\n")) \(run.errors)")
        }
    }

    @Test func optionsAreTakenAsCommandsTakeThem() throws {
        try withCommandFolder { folder in
            #expect(try CommandRun(["mkdir", "-p", "a/b/c"], in: folder).status == 0)
            #expect(try CommandRun(["aio", "du", "-d1"], in: folder).lines.count == 2)
            #expect(try CommandRun(["aio", "du", "-sh", "a"], in: folder).lines.count == 1)
            let version = try CommandRun(["aio", "--version"], in: folder)
            #expect(version.status == 0 && version.lines.count == 1)
            for arguments in ["--help", "du --help", "--version"] {
                let full = try CommandRun(["sh", "-c", "\"$AIO\" \(arguments) > /dev/full"], in: folder)
                #expect(full.status == 1 && full.errors.contains("No space left"), "\(arguments): \(full.errors)")
            }
            let port = try CommandRun(["aio", "serve", "--listen", "127.0.0.1:65536", "a"], in: folder)
            #expect(port.status == 1 && port.errors.contains("port 65536") && port.errors.contains("65535"))
        }
    }
}
