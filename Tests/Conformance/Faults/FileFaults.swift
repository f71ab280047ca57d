import AIO
import Glibc
import Testing

/// Open files, each way through them.
enum FileFaults {
    static let content = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private static func path(_ scratch: Scratch) -> Path { Path(scratch.path("file")) }
    @Sendable private static func withContent(_ scratch: Scratch) throws { _ = try scratch.file("file", content) }

    static let all = [
        FaultScenario(
            name: "read a file", prepare: withContent,
            body: { scratch, runtime in
                try await withFile(path(scratch), runtime: runtime) { file in
                    let bytes = try await file.readExactly(count: content.count, at: 0)
                    #expect(bytes == content)
                    let short = try await file.read(upTo: 100, at: 19_990)
                    #expect(content[19_990...].starts(with: short) && !short.isEmpty)
                }
            }),
        FaultScenario(
            name: "write a file",
            body: { scratch, runtime in
                try await withFile(path(scratch), .readWrite, options: .create, runtime: runtime) { file in
                    try await file.writeAll(content, at: 0)
                    try await file.writeAll(pieces: [Array(content[..<7]), Array(content[7...])], at: 20_000)
                    try await file.sync()
                }
            },
            verify: { scratch, error in
                if error == nil { try scratch.expect("file", content + content) }
            }),
        FaultScenario(
            name: "append to a file", prepare: withContent,
            body: { scratch, runtime in
                try await withFile(path(scratch), .readWrite, runtime: runtime) { file in
                    var rest = content[...]
                    while !rest.isEmpty {
                        let place = try await file.append(Array(rest))
                        #expect(place.offset == Int64(2 * content.count - rest.count))
                        rest = rest.dropFirst(place.count)
                    }
                }
            },
            verify: { scratch, error in
                let found = try scratch.content("file")
                #expect((content + content).starts(with: found) && found.count >= content.count)
                if error == nil { #expect(found.count == 2 * content.count) }
            }),
        FaultScenario(
            name: "change a file", prepare: withContent,
            body: { scratch, runtime in
                try await withFile(path(scratch), .readWrite, runtime: runtime) { file in
                    try await file.allocate(range: 0..<40_000)
                    try await file.truncate(to: 30_000)
                    try await file.punchHole(range: 0..<8192)
                    #expect(try await file.nextData(from: 0) != nil)
                    #expect(try await file.nextHole(from: 0) == 0)
                    try await file.setPermissions(0o600)
                    try await file.setTimes(modification: .now)
                    try await file.sync(.data)
                    #expect(try await file.status().size == 30_000)
                    _ = try await file.fileSystemStatistics()
                    try await file.lock(.exclusive)
                    try await file.unlock()
                }
            }),
        FaultScenario(
            name: "attributes of an open file", prepare: withContent,
            body: { scratch, runtime in
                try await withFile(path(scratch), .readWrite, runtime: runtime) { file in
                    try await file.setExtendedAttribute("user.name", to: [1, 2, 3])
                    #expect(try await file.extendedAttribute("user.name") == [1, 2, 3])
                    #expect(try await file.extendedAttributes() == ["user.name"])
                    try await file.removeExtendedAttribute("user.name")
                    #expect(try await file.extendedAttribute("user.name") == nil)
                }
            }),
        FaultScenario(
            name: "whole files", prepare: withContent,
            body: { scratch, runtime in
                let bytes = try await Paths.readFile(path(scratch), runtime: runtime)
                #expect(bytes == content)
                try await Paths.writeFile(Path(scratch.path("new")), content, runtime: runtime)
            },
            verify: { scratch, error in
                if error == nil { try scratch.expect("new", content) }
            }),
        FaultScenario(
            name: "chunks and lines",
            prepare: { scratch in
                let text = (0..<2000).map { "line \($0)\n" }.joined()
                _ = try scratch.file("file", Array(text.utf8))
            },
            body: { scratch, runtime in
                try await withFile(path(scratch), runtime: runtime) { file in
                    var count = 0
                    for try await line in file.chunks(of: 4096, readahead: 2).lines() {
                        #expect(line == "line \(count)")
                        count += 1
                    }
                    #expect(count == 2000)
                }
            }),
        FaultScenario(
            name: "buffered reader and writer",
            body: { scratch, runtime in
                try await withFile(path(scratch), .readWrite, options: .create, runtime: runtime) { file in
                    let writer = try BufferedWriter(file, bufferSize: 4096)
                    do {
                        for start in stride(from: 0, to: content.count, by: 1000) {
                            try await writer.write(Array(content[start..<start + 1000]))
                        }
                        try await writer.close(sync: .full)
                    } catch {
                        // What was not written is known to be lost: the writer says so again.
                        await #expect(throws: IOError.self) { try await writer.close() }
                        throw error
                    }
                    let reader = try BufferedReader(file, bufferSize: 4096)
                    let bytes = try await reader.readExactly(count: content.count)
                    #expect(bytes == content)
                }
            },
            verify: { scratch, error in
                if error == nil { try scratch.expect("file", content) }
            }),
        FaultScenario(
            name: "a temporary file",
            body: { scratch, runtime in
                let file = try await File.temporary(in: Path(scratch.folder), runtime: runtime)
                do {
                    try await file.writeAll(content, at: 0)
                    try await file.link(to: path(scratch))
                } catch {
                    try? await file.close()
                    throw error
                }
                try await file.close()
            },
            verify: { scratch, error in
                let names = try scratch.names()
                if names.contains("file") { try scratch.expect("file", content) }
                if error == nil { #expect(names == ["file"]) }
            }),
    ]
}
