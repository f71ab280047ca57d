import AIO
import Synchronization
import Testing

/// Waits until `condition` holds. If it never does, the test's time limit ends the wait; in an exit test, which has
/// none, a timeout that only a hang reaches.
func eventually(_ condition: () -> Bool) async throws {
    let start = ContinuousClock.now
    while !condition() {
        try Task.checkCancellation()
        if start.duration(to: .now) > .seconds(300) { throw NeverHeld() }
        await Task.yield()
    }
}

private struct NeverHeld: Error {}

/// Expects `body` to throw an error with this code, and returns it.
@discardableResult
func expectError<R>(
    _ code: IOError.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> R
) async -> IOError? {
    do {
        let value = try await body()
        Issue.record("returned \(value) instead of throwing \(code)", sourceLocation: sourceLocation)
    } catch let error as IOError {
        #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
        return error
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// The same for two codes, if either error may come first.
func expectError<R>(
    _ code: IOError.Code, or other: IOError.Code, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> R
) async {
    do {
        let value = try await body()
        Issue.record("returned \(value) instead of throwing", sourceLocation: sourceLocation)
    } catch let error as IOError {
        #expect(error.code == code || error.code == other, "\(error)", sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}

extension Deadline {
    /// A point in time that passes within a test on any machine.
    static var soon: Self { .now + .milliseconds(5) }
    /// A deadline that no test reaches.
    static var farAway: Self { .now + .seconds(3600) }
}

/// A flag that one task sets and others read.
final class Flag: Sendable {
    private let value = Atomic(false)

    func set() { value.store(true, ordering: .releasing) }
    var isSet: Bool { value.load(ordering: .acquiring) }
}

/// A counter that several tasks share.
final class Counter: Sendable {
    private let value = Atomic(0)

    func increment() { value.wrappingAdd(1, ordering: .relaxed) }
    var count: Int { value.load(ordering: .relaxed) }
}
