internal import AIOCore
internal import Synchronization

/// Where threads wait for requests: 64 places, each with a futex word and a mark that says whether a thread may sleep
/// there.
///
/// The place of a thread is a hash of its thread pointer. A waiting thread sets the place's bit in each request that it
/// waits for, and marks the place. A thread that completes requests collects their bits, clears the marks of those
/// places, and wakes the sleepers. So a request that no thread waits for wakes none. Nor does a wait need an end: a
/// thread that is cancelled in its sleep, or leaves by siglongjmp(3), leaves behind at most a mark, which the next
/// completion for that place clears. Everything is atomic words without a lock, and therefore async-signal-safe.
struct Suspension: BitwiseCopyable {
    fileprivate struct Place: ~Copyable {
        let word: Atomic<UInt32>
        let isMarked: Atomic<UInt32>
        // Fills a cache line, against false sharing.
        private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
    }

    private let places: UnsafeMutablePointer<Place>

    init?() {
        // Zeroed: no thread waits.
        guard let places = mappedMemory(of: Place.self, 64) else { return nil }
        self.places = places
    }

    // All orderings are sequentially consistent, against lost wake-ups. The waiter sets its bit and the mark and then
    // looks at the result once more. The other side publishes the result and then looks at the bits and the mark. At
    // least one of them sees the other's store. When a mark is cleared that another thread had set, the word changes
    // too, which wakes all threads at the place; they set the mark again.

    /// A thread at its place.
    struct Turn: BitwiseCopyable {
        fileprivate let place: UnsafeMutablePointer<Place>
        /// The bit to set in requests.
        let bit: UInt64

        /// Returns the present value of the futex word, and marks the place. Call it before looking at the requests.
        @inline(__always)
        func ticket() -> UInt32 {
            let ticket = place.pointee.word.load(ordering: .sequentiallyConsistent)
            place.pointee.isMarked.store(1, ordering: .sequentiallyConsistent)
            return ticket
        }

        /// The futex word, which is at the place's address. Places are never freed.
        var word: UnsafeMutablePointer<Atomic<UInt32>> {
            UnsafeMutableRawPointer(place).assumingMemoryBound(to: Atomic<UInt32>.self)
        }
    }

    func turn() -> Turn {
        // Fibonacci hashing: after the multiplication the high bits depend on all others.
        let index = Int((UInt64(Kernel.currentThread()) &* 0x9e37_79b9_7f4a_7c15) >> 58)
        return Turn(place: places + index, bit: 1 << UInt64(index))
    }

    /// Wakes the threads at these places.
    @inline(__always)
    func wake(_ bits: UInt64) {
        var rest = bits
        while rest != 0 {
            wake(places + rest.trailingZeroBitCount)
            rest &= rest - 1
        }
    }

    private func wake(_ place: UnsafeMutablePointer<Place>) {
        guard place.pointee.isMarked.load(ordering: .sequentiallyConsistent) != 0,
            place.pointee.isMarked.exchange(0, ordering: .sequentiallyConsistent) != 0
        else { return }
        place.pointee.word.wrappingAdd(1, ordering: .sequentiallyConsistent)
        Kernel.futexWake(Turn(place: place, bit: 0).word, .max)
    }
}
