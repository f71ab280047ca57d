import AIOCore
import CKernel
import Glibc

/// Two pipes between two parties: one sends `there`, the other `back`. Closed when dropped.
final class PipePair: @unchecked Sendable {
    // @unchecked: immutable but for `endThere`, which one party calls once.

    struct Ends {
        let reading: Int32
        let writing: Int32
    }

    let there: Ends
    let back: Ends
    private var isEnded = false

    /// Pipes in which a message of `size` bytes has room.
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

    /// The other party comes to the end of its pipe.
    func endThere() {
        isEnded = true
        Kernel.close(there.writing)
    }

    private static func close(_ descriptors: [Int32]) { for descriptor in descriptors { Kernel.close(descriptor) } }

    private static func make(_ size: Int, _ nonBlocking: Bool) throws(Failure) -> Ends {
        var ends: (Int32, Int32) = (-1, -1)
        let result = Kernel.pipe(&ends, CK_PIPE_CLOEXEC | (nonBlocking ? CK_PIPE_NONBLOCK : 0))
        guard result >= 0 else { throw Failure("pipe", result: result) }
        // Mostly it has that room anyway; not for users who have many pipes.
        let room = Kernel.setPipeSize(ends.1, max(size, 4096))
        guard room >= size else {
            close([ends.0, ends.1])
            throw Failure("a pipe of \(ByteCount(size))", result: room)
        }
        return Ends(reading: ends.0, writing: ends.1)
    }
}

/// What is sent, and whether that came back.
final class PipeMessages: @unchecked Sendable {
    // @unchecked: immutable.

    /// Bytes of a message.
    let size: Int
    private let bytes: UnsafeMutableRawPointer

    /// As many different messages there are.
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
        guard memcmp(memory, self[sequence], size) == 0 else { throw Failure("something else came back than was sent") }
    }
}
