import AIOCore
import Glibc

/// Transfers whole messages by read(2) and write(2).
enum PipeTransfer {
    /// Returns false at the end of the pipe. Calls `wait` when there is nothing to read.
    @inline(__always)
    static func read(
        _ pipe: Int32, _ memory: UnsafeMutableRawPointer, _ size: Int, wait: () throws -> Void
    ) throws -> Bool {
        var done = 0
        while done < size {
            let result = Kernel.read(pipe, memory + done, size - done)
            switch result {
            case -Int(EAGAIN): try wait()
            case -Int(EINTR): continue
            case 0: return false
            case ..<0: throw Failure("read from a pipe", result: result)
            default: done += result
            }
        }
        return true
    }

    /// The pipe always has room: one message at a time is in flight.
    @inline(__always)
    static func write(_ pipe: Int32, _ memory: UnsafeRawPointer, _ size: Int) throws {
        var done = 0
        while done < size {
            let result = Kernel.write(pipe, memory + done, size - done)
            if result == -Int(EINTR) { continue }
            guard result > 0 else { throw Failure("write to a pipe", result: result) }
            done += result
        }
    }
}
