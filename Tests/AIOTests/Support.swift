import Testing
import UnitSupport

@testable import AIO
@testable import AIOCore

/// A log of events, in order.
final class Order: Sendable {
    private let state = Guarded<[String]>([])

    func note(_ text: String) { state.withLock { $0.append(text) } }
    var notes: [String] { state.withLock { $0 } }
}

/// Expects `body` to throw an `IOError` with this code.
func expect(
    _ code: IOError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as IOError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}

/// Waits until `condition` holds, while other tasks run. Returns false after a timeout that only a hang reaches.
func eventuallyAsync(_ condition: @Sendable () -> Bool) async -> Bool {
    let start = ContinuousClock.now
    while !condition() {
        guard start.duration(to: .now) < .seconds(60) else { return false }
        await Task.yield()
    }
    return true
}
