/// What becomes of work for which the process, or the system, has no descriptor left: it waits for a while until others
/// have closed some.
struct DescriptorScarcity {
    /// Whether there were too few at any time. From then on one does with few.
    private(set) var isKnown = false
    /// What waiting was in vain for is not waited for again.
    private var patience = 200

    private static var pause: Duration { .milliseconds(10) }

    /// Returns whether another attempt is worth it: the first one at once, since the caller has let go of its own.
    mutating func wait(_ runtime: IORuntime) async -> Bool {
        defer { isKnown = true }
        guard isKnown else { return true }
        guard patience > 0 else { return false }
        patience -= 1
        do throws(IOError) { try await runtime.sleep(until: .after(Self.pause)) } catch { return false }
        return true
    }

    /// An attempt has succeeded.
    mutating func end() { patience = 200 }
}
