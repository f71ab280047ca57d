internal import AIO

/// The open connections: at most a fixed number. `endReading` ends the input of all of them.
actor Clients {
    private static let limit = 256
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var isEnding = false
    /// The accepting task, while it waits for room.
    private var blocked: CheckedContinuation<Void, Never>?

    func add(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = connection
        if isEnding { try? connection.shutdownRead() }
    }

    func remove(_ connection: Connection) {
        connections[ObjectIdentifier(connection)] = nil
        blocked?.resume()
        blocked = nil
    }

    /// Waits until the number of connections is below the limit. Only one task at a time may call it.
    func waitForRoom() async {
        while connections.count >= Self.limit { await withCheckedContinuation { blocked = $0 } }
    }

    /// Readers still receive the data that has arrived, then the end of the stream.
    func endReading() {
        isEnding = true
        for connection in connections.values { try? connection.shutdownRead() }
    }
}
