/// Retries when the process or the system has no free descriptor: waits for a limited time until others have closed
/// some.
struct DescriptorScarcity {
    /// Whether descriptors have ever run out. From then on, the caller keeps few of them open.
    private(set) var isKnown = false
    /// The number of pauses that are left before giving up.
    private var patience = fullPatience

    /// Two seconds in all: other copies and walks of the process have closed some by then, or nobody will.
    private static var fullPatience: Int { 200 }
    private static var pause: Duration { .milliseconds(10) }

    /// Returns whether another attempt is worth it. The first one is made at once, since the caller has closed its own
    /// descriptors.
    mutating func wait(_ runtime: IORuntime) async -> Bool {
        defer { isKnown = true }
        guard isKnown else { return true }
        guard patience > 0 else { return false }
        patience -= 1
        do throws(IOError) { try await runtime.sleep(until: .after(Self.pause)) } catch { return false }
        return true
    }

    /// Called after a successful attempt: the next shortage is waited for as long as this one.
    mutating func end() { patience = Self.fullPatience }
}
