internal import CDropIns
internal import Synchronization

/// The program's control block. The fields that the program filled in are read at submission and never again. The state
/// is kept in the fields that are private to libc:
///
/// - `__error_code`: EINPROGRESS, then 0 or the error. After that the program may read the result and free the block.
/// - `__return_value`: the result. Written before the error code.
/// - `__abs_prio`: the index of the request. It is validated before use: see `Library.watch(of:)`.
struct ControlBlock: BitwiseCopyable, Equatable {
    let address: UnsafeMutablePointer<aiocb>

    init(_ address: UnsafeMutablePointer<aiocb>) { self.address = address }

    /// An entry of the list given to aio_suspend or lio_listio. nil for an entry to be ignored.
    init?(_ address: UnsafeMutablePointer<aiocb>?) {
        guard let address else { return nil }
        self.init(address)
    }

    // MARK: State

    /// The result of aio_error.
    @inline(__always)
    var error: Int32 {
        // Acquire: makes the result and the data in the program's buffer visible.
        word(di_error_word(address)).pointee.load(ordering: .acquiring)
    }

    /// The same, sequentially consistent with the marks in the requests: see `Suspension`.
    @inline(__always)
    var errorInOrder: Int32 { word(di_error_word(address)).pointee.load(ordering: .sequentiallyConsistent) }

    /// The result of aio_return.
    @inline(__always)
    var result: Int { Int(di_return_word(address).pointee) }

    @inline(__always)
    var index: Int32 {
        // Relaxed: the index is validated before it is used.
        word(di_index_word(address)).pointee.load(ordering: .relaxed)
    }

    /// Begins an operation: sets EINPROGRESS.
    @inline(__always)
    func begin(_ opcode: Int32, index: Int32) {
        address.pointee.aio_lio_opcode = opcode
        di_return_word(address).pointee = 0
        word(di_index_word(address)).pointee.store(index, ordering: .relaxed)
        // Relaxed: other threads learn of the block from this thread, after this call.
        word(di_error_word(address)).pointee.store(EINPROGRESS, ordering: .relaxed)
    }

    /// Ends an operation. `result` is a count or a negative error. The block belongs to the program again, which may
    /// free it at once.
    @inline(__always)
    func publish(_ result: Int) {
        assert(result > -4096, "the result is neither a count nor an errno")
        di_return_word(address).pointee = result < 0 ? -1 : result
        // Releases the result and the buffer. Sequentially consistent for threads that are about to wait: see
        // `Suspension`.
        word(di_error_word(address)).pointee.store(result < 0 ? Int32(-result) : 0, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    private func word(_ field: UnsafeMutablePointer<Int32>?) -> UnsafeMutablePointer<Atomic<Int32>> {
        // An aligned field of a valid structure. Only this library accesses it, and only atomically.
        UnsafeMutableRawPointer(field.unsafelyUnwrapped).assumingMemoryBound(to: Atomic<Int32>.self)
    }
}
