import AIOCore
import CKernel
import Glibc

/// Two pipes between two parties: the first party sends on `there`, the second on `back`. Closed when dropped.
final class PipePair: @unchecked Sendable {
    // @unchecked: immutable except for `isEnded`, which one party sets once.

    struct Ends {
        let reading: Int32
        let writing: Int32
    }

    let there: Ends
    let back: Ends
    private var isEnded = false

    /// Creates pipes that have room for a message of `size` bytes.
    init(size: Int, nonBlocking: Bool) throws {
        there = try Self.make(size, nonBlocking)
        do { back = try Self.make(size, nonBlocking) } catch {
            Self.close([there.reading, there.writing])
            throw error
        }
    }

    deinit {
        Self.close([there.reading, back.reading, back.writing])
        if !isEnded { Kernel.close(there.writing) }
    }

    /// Closes the write end of `there`: the other party reads the end of the pipe.
    func endThere() {
        isEnded = true
        Kernel.close(there.writing)
    }

    private static func close(_ descriptors: [Int32]) { for descriptor in descriptors { Kernel.close(descriptor) } }

    private static func make(_ size: Int, _ nonBlocking: Bool) throws(Failure) -> Ends {
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC | (nonBlocking ? CK_PIPE_NONBLOCK : 0))
        guard result >= 0 else { throw Failure("pipe", result: result) }
        // The default size is usually enough, but is reduced for users with many pipes (pipe-user-pages-soft, pipe(7)).
        let room = Kernel.setPipeSize(ends.1, max(size, 4096))
        guard room >= size else {
            close([ends.0, ends.1])
            throw Failure("F_SETPIPE_SZ of \(ByteCount(size))", result: room)
        }
        return Ends(reading: ends.0, writing: ends.1)
    }
}

/// The messages that are sent, and the check of what comes back.
final class PipeMessages: @unchecked Sendable {
    // @unchecked: immutable.

    /// Bytes per message.
    let size: Int
    private let bytes: UnsafeMutableRawPointer

    /// The number of different messages.
    private static let count = 251

    init(size: Int) {
        self.size = size
        bytes = .allocate(byteCount: size + Self.count, alignment: 64)
        for index in 0..<(size + Self.count) {
            bytes.storeBytes(of: UInt8(truncatingIfNeeded: mixed(UInt64(index))), toByteOffset: index, as: UInt8.self)
        }
    }

    deinit { bytes.deallocate() }

    @inline(__always)
    subscript(sequence: Int) -> UnsafeMutableRawPointer { bytes + sequence % Self.count }

    @inline(__always)
    func check(_ memory: UnsafeRawPointer, _ sequence: Int) throws(Failure) {
        guard memcmp(memory, self[sequence], size) == 0 else {
            throw Failure("the data that came back is not what was sent")
        }
    }
}
