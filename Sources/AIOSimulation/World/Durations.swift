internal import AIOCore

extension Duration {
    /// 0 for a negative one.
    var nanoseconds: Nanoseconds {
        let (seconds, attoseconds) = components
        return Nanoseconds(max(0, seconds)) &* 1_000_000_000 &+ Nanoseconds(max(0, attoseconds / 1_000_000_000))
    }
}
