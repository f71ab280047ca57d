import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// A read or write of a stream without waiting (`StreamAttempt`).
@Suite struct StreamAttemptTests {
    private enum Outcome: Equatable { case done(Int), notReady, needsWorker }

    private func read(_ number: Int32, flags: TransferFlags = []) -> Outcome {
        var bytes = [UInt8](repeating: 0, count: 16)
        return bytes.withUnsafeMutableBytes {
            let transfer = Transfer(
                Descriptor(number, kind: .stream), $0.baseAddress, count: $0.count, offset: -1, flags: flags)
            return switch StreamAttempt(transfer) {
            case .done(let result): .done(result)
            case .notReady: .notReady
            case .needsWorker: .needsWorker
            }
        }
    }

    @Test func anEmptyPipeIsNotReady() {
        let pipe = DescriptorPair.pipe()
        #expect(read(pipe.first) == .notReady)
        #expect(read(pipe.first, flags: .noWait) == .done(-Int(EAGAIN)), "RWF_NOWAIT wants to be told")
        pipe.send([1, 2, 3])
        #expect(read(pipe.first) == .done(3))
    }

    /// It takes no RWF_NOWAIT.
    @Test func aTerminalIsReadByAWorkerOnceItHasALine() throws {
        let terminal = try Terminal()
        let number = terminal.program
        let empty = read(number)
        terminal.type("abc\n")
        let ready = read(number)
        #expect(empty == .notReady)
        #expect(ready == .needsWorker)
        terminal.setNonBlocking(true)
        let withoutBlocking = read(number)
        let emptyAgain = read(number)
        let refused = read(number, flags: .noWait)
        #expect(withoutBlocking == .done(4), "O_NONBLOCK keeps the call from blocking")
        #expect(emptyAgain == .notReady)
        #expect(refused == .done(-Int(EOPNOTSUPP)))
        #expect(fcntl(number, F_GETFL) & O_NONBLOCK != 0)
    }
}
