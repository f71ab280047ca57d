internal import AIO

/// Reads lines from a connection and acknowledges them when they are durable.
func converse(_ connection: Connection, _ log: CommitLog) async {
    do {
        let reader = try BufferedReader(connection, bufferSize: batchBytesMax)
        var acknowledged = 0
        while let batch = try await nextBatch(reader) {
            // Nothing is read meanwhile, so the socket's flow control slows down a client that is faster than the disk.
            try await log.append(batch.bytes)
            let answers = (1...batch.lineCount).map { "ok \(acknowledged + $0)\n" }.joined()
            acknowledged += batch.lineCount
            try await connection.writeAll(answers, deadline: .after(.seconds(30)))
        }
    } catch {
        try? await StreamWriter.standardError().writeAll("log-writer: \(error)\n")
    }
    try? await connection.close()
}

/// The size of a connection's read buffer in bytes, and the longest line.
let batchBytesMax = 64 << 10

struct Batch {
    var bytes: [UInt8]
    var lineCount: Int
}

/// The next line, and all complete lines that are buffered with it. nil at the end; bytes after the last newline are
/// not a line.
func nextBatch(_ reader: BufferedReader) async throws -> Batch? {
    let newline = UInt8(ascii: "\n")
    guard let first = try await reader.read(until: newline, limit: batchBytesMax), first.last == newline else {
        return nil
    }
    var batch = Batch(bytes: first, lineCount: 1)
    let there = try await reader.peek(upTo: reader.bufferedCount)
    let rest = there.lastIndex(of: newline).map { $0 + 1 } ?? 0
    guard rest > 0 else { return batch }
    let more = try await reader.readExactly(count: rest)
    batch.bytes += more
    batch.lineCount += more.count { $0 == newline }
    return batch
}
