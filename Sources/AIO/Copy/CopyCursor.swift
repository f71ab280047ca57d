internal import AIOCore
internal import CKernel

/// Hands out the data ranges of a file, in order, to the workers that copy it. Skips holes.
final class CopyCursor: Sendable {
    private struct State {
        var offset: Int64 = 0
        /// The end of the data range that contains `offset`.
        var dataEnd: Int64
    }

    private let source: Int32
    private let size: Int64
    private let pieceSize: Int64
    private let state: Guarded<State>

    init(_ source: Int32, size: Int64, mayHaveHoles: Bool, pieceSize: Int) {
        self.source = source
        self.size = size
        self.pieceSize = Int64(pieceSize)
        state = Guarded(State(dataEnd: mayHaveHoles ? 0 : size))
    }

    /// The next range; nil at the end; an error if lseek(2) fails.
    func next() -> Result<Range<Int64>, IOError>? {
        state.withLock { state in
            if state.offset >= state.dataEnd {
                guard state.offset < size, let failure = seekData(&state) else { return nil }
                if failure < 0 { return .failure(IOError(result: Int32(failure), "lseek")) }
            }
            // Computed from the remainder, since a file may be as large as the largest offset.
            let end = state.offset + min(pieceSize, state.dataEnd - state.offset)
            defer { state.offset = end }
            return .success(state.offset..<end)
        }
    }

    /// Finds the next data from `offset` on. Returns nil if there is none, 0, or a negative errno.
    private func seekData(_ state: inout State) -> Int? {
        let data = Kernel.lseek(source, state.offset, CK_SEEK_DATA)
        // ENXIO: only a hole follows. EINVAL: the file system does not support SEEK_DATA.
        if data == -Int(ENXIO) || data >= size { return nil }
        if data == -Int(EINVAL) || data == -Int(EOPNOTSUPP) {
            state.dataEnd = size
            return 0
        }
        guard data >= 0 else { return data }
        let hole = Kernel.lseek(source, Int64(data), CK_SEEK_HOLE)
        guard hole >= 0 else { return hole }
        state.offset = Int64(data)
        state.dataEnd = min(Int64(hole), size)
        return 0
    }
}
