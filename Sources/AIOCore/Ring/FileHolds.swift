internal import CKernel

/// Open files that a ring holds from the moment an operation on them is accepted until it has completed.
///
/// A descriptor's number may be closed, and given to another file, before the loop's thread submits. So the accepting
/// thread registers the file with the ring (io_uring_register(2), IORING_REGISTER_FILES_UPDATE), which takes a
/// reference as the operation itself will, and the operation names the place instead of the number. A dup(2) would do
/// neither: its close lets go of all record locks that the process has on the file (fcntl(2)), and takes a number.
///
/// The ring must allow other threads to register: not IORING_SETUP_SINGLE_ISSUER.
public final class FileHolds: @unchecked Sendable {
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
    }

    /// Holds the file that `number` names now. From any thread.
    ///
    /// Returns its place for `Descriptor.registered`, or negative EBADF (no such file) or ENFILE (all places are taken).
    public func hold(_ number: Int32) -> Int32 {
        guard let place = places.pop() else { return -ENFILE }
        let result = update(place, number)
        guard result == 1 else {
            places.push(place)
            return result < 0 ? Int32(truncatingIfNeeded: result) : -EBADF
        }
        return Int32(place)
    }

    /// Lets go of the file, of which no operation is in flight any more. From any thread.
    public func release(_ place: Int32) {
        _ = update(UInt32(place), -1)
        places.push(UInt32(place))
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
