import AIO

/// `lines KIND FILE`: lines as `bytes` or as `text`, by a plain task.
func lines(_ arguments: inout Arguments) async throws {
    let kind = try arguments.text()
    let path = try arguments.path()
    guard kind == "bytes" || kind == "text" else { throw Refusal(text: "\(kind) is neither bytes nor text") }
    try await Place.plain.run {
        let file = try await File.open(path)
        var count = 0
        var bytes = 0
        let turn = Turn()
        if kind == "bytes" {
            for try await line in file.chunks().byteLines() {
                count += 1
                bytes += line.count
            }
        } else {
            for try await line in file.chunks().lines() {
                count += 1
                bytes += line.utf8.count
            }
        }
        turn.end(count)
        precondition(bytes > 0, "no lines")
        try await file.close()
    }
}

/// `chunks PLACE FILE [SIZE]`: reads a file from the beginning to the end; an operation is 1 MiB.
func chunks(_ arguments: inout Arguments) async throws {
    let place = try arguments.place()
    let path = try arguments.path()
    let size = try? arguments.number()
    try await place.run {
        let file = try await File.open(path)
        var total = 0
        var sum = 0
        let turn = Turn()
        for try await chunk in size.map({ file.chunks(of: $0) }) ?? file.chunks() {
            total += chunk.count
            // As the peer: the first byte of each page is looked at.
            chunk.withUnsafeBytes { bytes in
                for index in stride(from: 0, to: bytes.count, by: blockSize) { sum &+= Int(bytes[index]) }
            }
        }
        turn.end(total >> 20)
        precondition(sum > 0, "nothing but zeros")
        try await file.close()
    }
}

/// `walk PLACE FOLDER`: visits a tree; an operation is an entry.
func walk(_ arguments: inout Arguments) async throws {
    let place = try arguments.place()
    let path = try arguments.path()
    try await place.run {
        var count = 0
        let turn = Turn()
        for try await item in FileSystem.walk(path) {
            switch item {
            case .entry: count += 1
            case .failure(let error): throw error
            }
        }
        turn.end(count)
    }
}
