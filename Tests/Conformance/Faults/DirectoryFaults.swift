import AIO
import Glibc
import Testing

/// Names, directories and trees: no entry is lost without an error.
enum DirectoryFaults {
    @Sendable private static func tree(_ scratch: Scratch) throws {
        _ = try scratch.makeFolder("folder")
        _ = try scratch.makeFolder("folder/below")
        for name in ["a", "b", "below/c"] { _ = try scratch.file("folder/\(name)", [1]) }
        try #require(symlink("a", scratch.path("folder/link")) == 0)
    }

    private static func folder(_ scratch: Scratch) -> Path { Path(scratch.path("folder")) }
    private static let names = ["a", "b", "below", "link"]

    static let all = [
        FaultScenario(
            name: "names", prepare: { _ = try $0.file("file", [1]) },
            body: { scratch, runtime in
                func path(_ name: String) -> Path { Path(scratch.path(name)) }
                try await Paths.rename(path("file"), to: path("moved"), runtime: runtime)
                try await Paths.link(path("moved"), to: path("second"), runtime: runtime)
                try await Paths.makeSymbolicLink(at: path("soft"), to: "moved", runtime: runtime)
                #expect(try await Paths.readLink(path("soft"), runtime: runtime) == "moved")
                try await Paths.makeDirectory(path("folder"), runtime: runtime)
                try await Paths.removeDirectory(path("folder"), runtime: runtime)
                try await Paths.unlink(path("soft"), runtime: runtime)
                #expect(try await Paths.status(of: path("second"), runtime: runtime).size == 1)
                try await Paths.setPermissions(0o600, of: path("second"), runtime: runtime)
                try await Paths.setTimes(of: path("second"), modification: .now, runtime: runtime)
                try await Paths.setOwner(of: path("second"), userID: 1, groupID: 1, runtime: runtime)
                _ = try await Paths.statistics(of: path("second"), runtime: runtime)
            },
            verify: { scratch, error in
                let left = try scratch.names()
                #expect(left.contains("file") || left.contains("moved"), "the file is gone")
                if error == nil { #expect(left == ["moved", "second"]) }
            }),
        FaultScenario(
            name: "attributes of a path", prepare: { _ = try $0.file("file", [1]) },
            body: { scratch, runtime in
                let path = Path(scratch.path("file"))
                try await Paths.setExtendedAttribute("user.name", to: [1, 2], of: path, runtime: runtime)
                #expect(try await Paths.extendedAttribute("user.name", of: path, runtime: runtime) == [1, 2])
                #expect(try await Paths.extendedAttributes(of: path, runtime: runtime) == ["user.name"])
                try await Paths.removeExtendedAttribute("user.name", of: path, runtime: runtime)
            }),
        FaultScenario(
            name: "make directories",
            body: { scratch, runtime in
                let path = Path(scratch.path("one/two/three"))
                try await Paths.makeDirectory(path, withParents: true, runtime: runtime)
                #expect(scratch.has("one/two/three"))
            }),
        FaultScenario(
            name: "a temporary directory", prepare: { _ in },
            body: { scratch, runtime in
                try await withTemporaryDirectory(in: Path(scratch.folder), runtime: runtime) { folder in
                    try await Paths.writeFile(Path("\(folder)/file"), [1], runtime: runtime)
                }
            },
            verify: { scratch, error in
                let left = try scratch.names()
                // What could not be removed is reported.
                #expect(error != nil || left == [], "\(left)")
            }),
        FaultScenario(
            name: "entries", prepare: tree,
            body: { scratch, runtime in
                var found: [String] = []
                for try await entry in Paths.entries(of: folder(scratch), runtime: runtime) {
                    found.append(entry.name.description)
                }
                #expect(found.sorted() == names)
            }),
        FaultScenario(
            name: "entries with their statuses", prepare: tree,
            body: { scratch, runtime in
                var options = DirectoryOptions()
                options.insert(.status)
                var (found, failure): ([String], Errno?) = ([], nil)
                for try await entry in Paths.entries(of: folder(scratch), options: options, runtime: runtime) {
                    found.append(entry.name.description)
                    if let errno = entry.statusErrno { failure = errno } else { #expect(entry.status != nil) }
                }
                #expect(found.sorted() == names)
                if let failure { throw IOError(.other, "stat", errno: failure, path: folder(scratch)) }
            }),
        FaultScenario(
            name: "a walk", prepare: tree,
            body: { scratch, runtime in
                let (found, failures) = try await items(of: Paths.walk(folder(scratch), runtime: runtime))
                let expected = ["folder"] + names + ["c"]
                if let failure = failures.first { throw failure }
                #expect(found.map { $0.path.lastComponent?.description ?? "" }.sorted() == expected.sorted())
            }),
        FaultScenario(
            name: "remove a tree", prepare: tree,
            body: { scratch, runtime in
                try await Paths.removeRecursively(folder(scratch), runtime: runtime)
            },
            verify: { scratch, error in
                let isThere = scratch.has("folder")
                #expect(error != nil || !isThere, "it is still there")
            }),
    ]
}
