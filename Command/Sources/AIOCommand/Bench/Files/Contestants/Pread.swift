import AIOCore
import CKernel

/// `pread` in a loop: one thread, one operation at a time. The baseline for all others.
final class Pread: Contestant {
    let name = "pread"
    private let isDirect: Bool
    private let memory: BlockMemory
    private var descriptor: OpenDescriptor?

    init(_ plan: Plan, _ memory: BlockMemory) {
        isDirect = plan.isDirect
        self.memory = memory
    }

    func open(_ file: TestFile) throws { descriptor = try file.reopen(direct: isDirect) }

    func close() { descriptor = nil }

    func run(_ turn: Turn, _ recorder: Recorder) throws {
        guard let number = descriptor?.number else { return }
        let memory = memory[0]
        while let operation = turn.next(at: Kernel.now()) {
            turn.prepare(operation, memory)
            let start = Kernel.now()
            try Pread.carryOut(operation, number, memory)
            let time = Kernel.now() &- start
            recorder.operationCompleted(after: time)
            recorder.callReturned(after: time)
            try turn.finish(operation, memory)
        }
    }

    @inline(__always)
    private static func carryOut(_ operation: BlockOperation, _ number: Int32, _ memory: UnsafeMutableRawPointer)
        throws(Failure)
    {
        var done = 0
        while done < operation.count {
            let offset = Int64(operation.offset + done)
            let result =
                operation.isWrite
                ? Kernel.pwrite(number, memory + done, operation.count - done, offset)
                : Kernel.pread(number, memory + done, operation.count - done, offset)
            if result == -Int(EINTR) { continue }
            guard result > 0 else { throw operation.failure(result) }
            done += result
        }
    }
}

extension BlockOperation {
    /// The error for an operation that returned `result`: a negative errno, or 0.
    func failure(_ result: Int) -> Failure {
        let what = "\(isWrite ? "write" : "read") of \(ByteCount(count)) at offset \(offset)"
        return result == 0 ? Failure("\(what): the file ends there") : Failure(what, result: result)
    }
}
