import AIO

/// `read-file PLACE FILE COUNT`
func readFiles(_ arguments: inout Arguments) async throws {
    try await repeated(&arguments) { path in
        let bytes = try await FileSystem.readFile(path)
        precondition(!bytes.isEmpty)
    }
}

/// `with-file PLACE FILE COUNT`: opens a file, reads up to 64 KiB, and closes it.
func withFiles(_ arguments: inout Arguments) async throws {
    try await repeated(&arguments) { path in
        let bytes = try await withFile(path) { file in try await file.read(upTo: 64 << 10, at: 0) }
        precondition(!bytes.isEmpty)
    }
}

/// `open PLACE FILE COUNT`: opens and closes a file.
func openAndClose(_ arguments: inout Arguments) async throws {
    try await repeated(&arguments) { path in try await File.open(path).close() }
}

/// `status PLACE FILE COUNT`
func statuses(_ arguments: inout Arguments) async throws {
    try await repeated(&arguments) { path in
        let status = try await FileSystem.status(of: path)
        precondition(status.size > 0)
    }
}

/// Does to the path what the arguments say, as often as they say, after a few times that are not measured.
@inline(__always)
private func repeated(
    _ arguments: inout Arguments, _ body: @Sendable @escaping (Path) async throws -> Void
) async throws {
    let place = try arguments.place()
    let path = try arguments.path()
    let count = try arguments.number()
    try await place.run {
        for _ in 0..<16 { try await body(path) }
        let turn = Turn()
        for _ in 0..<count { try await body(path) }
        turn.end(count)
    }
}
