internal import CKernel

/// References to open files, held from the acceptance of an operation to its completion.
///
/// A descriptor may be closed, and its number reused, before the loop or a worker executes the operation. The accepting
/// thread therefore takes a reference, as the kernel does for operations of its own. All calls may be made from any
/// thread.
public class FileHolds: @unchecked Sendable {
    // @unchecked: each subclass gives its reason.

    /// The outcome of an attempt to hold a file.
    public enum Outcome: BitwiseCopyable, Sendable {
        /// The hold. `release` must be called once the operation has completed, before anyone learns of that.
        case held(Descriptor)
        /// No place is free: the number continues to identify the file.
        case noPlace
        /// The number is not open.
        case notOpen
    }

    init() {}

    /// Takes a reference to the file that `descriptor` names now.
    public func hold(_ descriptor: Descriptor) -> Outcome { .noPlace }
    /// Drops the reference behind a descriptor that `hold` returned.
    public func release(_ descriptor: Descriptor) {}
}

/// Holds by registering files with a ring (io_uring_register(2), IORING_REGISTER_FILES_UPDATE), which takes a reference
/// as the operation itself does later; operations name the place instead of a number. The ring must permit registration
/// from other threads, which excludes IORING_SETUP_SINGLE_ISSUER.
final class RingFileHolds: FileHolds, @unchecked Sendable {
    // @unchecked: `places` is thread-safe, and the kernel locks the rest.

    private let ring: Int32
    private let places: SlotPool

    /// nil if the kernel refuses the table, which RLIMIT_NOFILE bounds.
    init?(_ ring: borrowing Ring, capacity: Int) {
        let empty = UnsafeMutablePointer<Int32>.allocate(capacity: capacity)
        empty.initialize(repeating: -1, count: capacity)
        defer { empty.deallocate() }
        guard ring.register(CK_URING_REGISTER_FILES, empty, capacity) >= 0 else { return nil }
        self.ring = ring.descriptor
        places = SlotPool(capacity: capacity)
        super.init()
    }

    override func hold(_ descriptor: Descriptor) -> Outcome {
        guard let place = places.pop() else { return .noPlace }
        let result = update(place, descriptor.number)
        guard result == 1 else {
            places.push(place)
            return result == -Int(EBADF) ? .notOpen : .noPlace
        }
        var held = descriptor
        held.number = Int32(place)
        held.isRegistered = true
        return .held(held)
    }

    override func release(_ descriptor: Descriptor) {
        let place = UInt32(descriptor.number)
        _ = update(place, -1)
        places.push(place)
    }

    private func update(_ place: UInt32, _ number: Int32) -> Int {
        var number = number
        return withUnsafeMutablePointer(to: &number) { number in
            var argument = ck_uring_files_update(
                offset: place, reserved: 0, descriptors: UInt64(UInt(bitPattern: number)))
            return Kernel.ringRegister(ring, CK_URING_REGISTER_FILES_UPDATE, &argument, 1)
        }
    }
}
