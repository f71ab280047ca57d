import AIO

/// The connections there are: no more than a limit, and all of them told when the end has come.
actor Clients {
    private static let limit = 256
    private var connections: [ObjectIdentifier: Connection] = [:]
    private var isEnding = false
    /// Who accepts, while there are too many.
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

    /// For one task at a time.
    func waitForRoom() async {
        while connections.count >= Self.limit { await withCheckedContinuation { blocked = $0 } }
    }

    /// What has come is still taken; then each reader finds the end.
    func endReading() {
        isEnding = true
        for connection in connections.values { try? connection.shutdownRead() }
    }
}
