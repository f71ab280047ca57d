internal import CDropIns
internal import Synchronization

/// The program's control block. What the program filled in is read when it hands the block over and not again; what
/// libc keeps to itself is where the state is:
///
/// - `__error_code`: EINPROGRESS, then 0 or the error. Whoever sees the latter may read the result, and free the block.
/// - `__return_value`: the result. Written before the error code.
/// - `__abs_prio`: the index of the request. Believed of nobody: see `Library.watch(of:)`.
struct ControlBlock: BitwiseCopyable, Equatable {
    let address: UnsafeMutablePointer<aiocb>

    init(_ address: UnsafeMutablePointer<aiocb>) { self.address = address }

    /// What aio_suspend and lio_listio are given. nil for an entry to be left out.
    init?(_ address: UnsafeMutablePointer<aiocb>?) {
        guard let address else { return nil }
        self.init(address)
    }

    // MARK: State

    /// What aio_error says.
    @inline(__always)
    var error: Int32 {
        // Acquire: what was read into the program's buffer, and the result, are seen with it.
        word(di_error_word(address)).pointee.load(ordering: .acquiring)
    }

    /// The same, in one order with what the requests are marked with: see `Suspension`.
    @inline(__always)
    var errorInOrder: Int32 { word(di_error_word(address)).pointee.load(ordering: .sequentiallyConsistent) }

    /// What aio_return says.
    @inline(__always)
    var result: Int { Int(di_return_word(address).pointee) }

    @inline(__always)
    var index: Int32 {
        // Relaxed: an index is looked up and compared before it means anything.
        word(di_index_word(address)).pointee.load(ordering: .relaxed)
    }

    /// Begins: from here on the block says EINPROGRESS.
    @inline(__always)
    func begin(_ opcode: Int32, index: Int32) {
        address.pointee.aio_lio_opcode = opcode
        di_return_word(address).pointee = 0
        word(di_index_word(address)).pointee.store(index, ordering: .relaxed)
        // Relaxed: other threads learn of the block from this one.
        word(di_error_word(address)).pointee.store(EINPROGRESS, ordering: .relaxed)
    }

    /// Ends: `result` is a count or a negative error. The block is the program's again, which may free it at once.
    @inline(__always)
    func publish(_ result: Int) {
        di_return_word(address).pointee = result < 0 ? -1 : result
        // Release for the result and the buffer; sequentially consistent for those who are about to wait.
        word(di_error_word(address)).pointee.store(result < 0 ? Int32(-result) : 0, ordering: .sequentiallyConsistent)
    }

    @inline(__always)
    private func word(_ field: UnsafeMutablePointer<Int32>?) -> UnsafeMutablePointer<Atomic<Int32>> {
        // An aligned field of a structure that is there, which libraries alone touch, and ours only so.
        UnsafeMutableRawPointer(field.unsafelyUnwrapped).assumingMemoryBound(to: Atomic<Int32>.self)
    }
}
