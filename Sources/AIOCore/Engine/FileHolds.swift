internal import CKernel

/// Open files that are held from the moment an operation on them is accepted until it has completed.
///
/// A descriptor's number may be closed, and given to another file, before the loop's thread submits or a worker comes
/// to it. So the accepting thread takes hold of the file, as the kernel does for an operation of its own. From any
/// thread.
public class FileHolds: @unchecked Sendable {
    // @unchecked: subclasses say why.

    public enum Outcome: BitwiseCopyable, Sendable {
        /// `release` has to follow when the operation has completed, before anybody hears of it.
        case held(Descriptor)
        /// No place is free: the number stays what names the file.
        case noPlace
        /// The number names no open file.
        case notOpen
    }

    init() {}

    public func hold(_ descriptor: Descriptor) -> Outcome { .noPlace }
    public func release(_ descriptor: Descriptor) {}
}

/// Holds by registering with a ring (io_uring_register(2), IORING_REGISTER_FILES_UPDATE), which takes a reference as the
/// operation itself will; it names the place instead of a number. Needs a ring that lets other threads register: not
/// IORING_SETUP_SINGLE_ISSUER.
final class RingFileHolds: FileHolds, @unchecked Sendable {
    // @unchecked: `places` is made for sharing, and the kernel locks the rest.

    private let ring: Int32
    private let places: SlotPool

    /// nil where the kernel has no room for the table: RLIMIT_NOFILE bounds it.
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
