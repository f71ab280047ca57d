import AIO
import Glibc
import UnitSupport

extension SoakParty {
    /// Writes pieces of a file and reads others, and then compares all of it.
    func rewrite() async throws {
        let path = Path("\(folder)/region")
        let size = 1 + random.below(200_000)
        var content = SplitMix.bytes(size, count: size)
        try await FileSystem.writeFile(path, content, runtime: runtime)
        let file = try await File.open(path, .readWrite, runtime: runtime)
        try await Self.using({ try await file.close() }) {
            for _ in 0..<8 {
                let start = random.below(size)
                let bytes = SplitMix.bytes(random.below(1000), count: 1 + random.below(size - start))
                var written = 0
                do { written = try await file.write(bytes, at: Int64(start), deadline: deadline()) } catch let error
                    as IOError
                {
                    // After a deadline, nothing of the write has happened.
                    guard error.code == .deadlineExceeded else { throw error }
                }
                content.replaceSubrange(start..<(start + written), with: bytes[..<written])
                let from = random.below(size)
                let found = try await file.read(upTo: size - from, at: Int64(from))
                try require(!found.isEmpty && content[from...].starts(with: found), "a read has other bytes")
            }
            let all = try await file.readExactly(count: size, at: 0)
            try require(all == content, "the file has other bytes")
        }
    }

    /// Two tasks append to one file; each record is there once, where its append said.
    func append() async throws {
        let path = Path("\(folder)/appended")
        let file = try await File.open(path, .readWrite, options: [.create, .truncate], runtime: runtime)
        let sizes = (0..<2).map { _ in (0..<6).map { _ in 1 + random.below(5000) } }
        try await Self.using({ try await file.close() }) {
            let places = try await withThrowingTaskGroup(of: [(offset: Int64, bytes: [UInt8])].self) { group in
                for (writer, sizes) in sizes.enumerated() {
                    group.addTask {
                        var places: [(offset: Int64, bytes: [UInt8])] = []
                        for (index, size) in sizes.enumerated() {
                            let bytes = SplitMix.bytes(writer * 100 + index, count: size)
                            let place = try await file.append(bytes)
                            places.append((place.offset, Array(bytes[..<place.count])))
                        }
                        return places
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            let found = try await FileSystem.readFile(path, runtime: runtime)
            try require(found.count == places.reduce(0) { $0 + $1.bytes.count }, "appended bytes are missing")
            for place in places {
                let range = Int(place.offset)..<(Int(place.offset) + place.bytes.count)
                try require(range.upperBound <= found.count && found[range].elementsEqual(place.bytes), "a torn append")
            }
        }
    }

    /// Replaces a file, which another task sees whole at every moment.
    func replace() async throws {
        let path = Path("\(folder)/replaced")
        func content(_ version: Int) -> [UInt8] {
            [UInt8(version)] + SplitMix.bytes(version, count: version * 997)
        }
        try await FileSystem.writeFile(path, content(1), runtime: runtime)
        let last = 2 + random.below(6)
        let durability: Durability = [.none, .data, .full][random.below(3)]
        async let reading: Void = { [runtime] in
            var version = 0
            while version != last {
                let found = try await FileSystem.readFile(path, runtime: runtime)
                guard let first = found.first, Int(first) >= version, found == content(Int(first)) else {
                    throw SoakFailure("\(path): a replaced file is torn, or old")
                }
                version = Int(first)
            }
        }()
        for version in 2...last {
            try await FileSystem.replaceFile(path, content(version), durability: durability, runtime: runtime)
        }
        try await reading
    }

    /// Copies a tree, walks the copy, compares every byte, and removes it.
    func copyTree() async throws {
        let (source, target) = (Path("\(folder)/tree"), Path("\(folder)/copy"))
        let sizes = (0..<12).map { 1 + $0 * 1500 }
        try await FileSystem.makeDirectory(Path("\(source)/deep"), withParents: true, runtime: runtime)
        for (index, size) in sizes.enumerated() {
            let name = Path("\(source)/\(index % 2 == 0 ? "" : "deep/")\(index)")
            try await FileSystem.writeFile(name, SplitMix.bytes(index, count: size), runtime: runtime)
        }
        var options = CopyOptions()
        options.sharesBlocks = random.below(2) == 0
        options.depth = 1 + random.below(8)
        var failure: IOError?
        try await FileSystem.copy(source, to: target, options: options, runtime: runtime, deadline: deadline()) {
            failure = failure ?? $0
        }
        if let failure { throw failure }
        var found = 0
        for try await item in FileSystem.walk(target, runtime: runtime) {
            switch item {
            case .failure(let error): throw error
            case .entry(let entry):
                guard entry.type == .regular,
                    let index = Int(String(entry.path.description.split(separator: "/").last ?? ""))
                else { continue }
                let bytes = try await FileSystem.readFile(entry.path, runtime: runtime)
                try require(bytes == SplitMix.bytes(index, count: sizes[index]), "\(entry.path) has other bytes")
                found += 1
            }
        }
        try require(found == sizes.count, "\(found) files of \(sizes.count) are in the copy")
        try await FileSystem.removeRecursively(target, runtime: runtime)
    }
}
