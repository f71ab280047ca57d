internal import AIOCore
internal import CKernel

/// Gives out the pieces of a file that hold data, in order, to all who copy it. Holes are passed over.
final class CopyCursor: Sendable {
    private struct State {
        var offset: Int64 = 0
        /// Where the data ends that `offset` is in.
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

    /// nil at the end; a negative errno instead of an offset.
    func next() -> Result<Range<Int64>, IOError>? {
        state.withLock { state in
            if state.offset >= state.dataEnd {
                guard state.offset < size, let failure = seekData(&state) else { return nil }
                if failure < 0 { return .failure(IOError(result: Int32(failure), "lseek")) }
            }
            // By what is left: a file may be as large as the largest offset.
            let end = state.offset + min(pieceSize, state.dataEnd - state.offset)
            defer { state.offset = end }
            return .success(state.offset..<end)
        }
    }

    /// The next data from `offset` on. nil if there is none, 0, or a negative errno.
    private func seekData(_ state: inout State) -> Int? {
        let data = Kernel.lseek(source, state.offset, CK_SEEK_DATA)
        // ENXIO: nothing but a hole. EINVAL: a file system that knows no holes.
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
