import AIO

/// Most of a runtime's buffer pool. The memory is never touched, so it takes no pages.
struct HeldBuffers {
    private final class Held {
        let buffer: IOBuffer
        init(_ buffer: consuming IOBuffer) { self.buffer = buffer }
    }

    private var held: [Held] = []

    /// Holds all but 16 MiB while `body` runs.
    static func with(_ runtime: IORuntime, _ body: () async throws -> Void) async throws {
        var buffers = HeldBuffers()
        for _ in 0..<15 { buffers.held.append(Held(try await runtime.acquireBuffer(count: 16 << 20))) }
        try await body()
        withExtendedLifetime(buffers) {}
    }
}
