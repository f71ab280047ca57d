import AIO
import AIOCore
import CKernel
import Testing
import UnitSupport

@testable import AIOSimulation

/// The simulated kernel against the real one.
struct DifferentialTests {
    /// Runs sequences of `length` calls, and reports the first differences.
    private func run(
        _ purpose: String, _ sequences: Int, _ length: Int, setUp: (inout Differential, inout SeededGenerator) -> Void,
        step: (inout Differential, inout SeededGenerator) -> Void
    ) {
        var random = SeededGenerator(purpose)
        var differenceCount = 0
        for sequence in 0..<sequences {
            var comparison = Differential()
            setUp(&comparison, &random)
            for _ in 0..<length where comparison.difference == nil { step(&comparison, &random) }
            comparison.close()
            if comparison.difference != nil {
                Issue.record("sequence \(sequence): \(comparison.report)")
                differenceCount += 1
                if differenceCount == 3 { return }
            }
        }
    }

    @Test func pipesBehaveAsTheKernels() {
        run("simulated pipes", 400, 40) { comparison, _ in
            for _ in 0..<2 { comparison.addPipe() }
        } step: { comparison, random in
            comparison.stepPipes(&random)
        }
    }

    @Test(arguments: [CK_SOCK_STREAM, CK_SOCK_DGRAM, CK_SOCK_SEQPACKET])
    func socketPairsBehaveAsTheKernels(_ type: Int32) {
        run("simulated pairs", 300, 40) { comparison, _ in
            for _ in 0..<2 { comparison.addPair(type) }
        } step: { comparison, random in
            comparison.stepConnected(&random, upTo: 40000)
        }
    }

    @Test(arguments: [CK_SOCK_STREAM, CK_SOCK_DGRAM, CK_SOCK_SEQPACKET])
    func namedUnixSocketsBehaveAsTheKernels(_ type: Int32) {
        run("simulated Unix-domain sockets", 300, 40) { comparison, _ in
            for _ in 0..<3 { comparison.addSocket(CK_AF_UNIX, type) }
        } step: { comparison, random in
            comparison.stepNamed(&random, CK_AF_UNIX, type, upTo: 3000)
        }
    }

    @Test(arguments: [CK_AF_INET, CK_AF_INET6])
    func connectionsOnLoopbackBehaveAsTheKernels(_ domain: Int32) {
        run("simulated TCP", 300, 40) { comparison, _ in
            for _ in 0..<3 { comparison.addSocket(domain, CK_SOCK_STREAM) }
        } step: { comparison, random in
            comparison.stepNamed(&random, domain, CK_SOCK_STREAM, upTo: 300)
        }
    }

    @Test(arguments: [CK_AF_INET, CK_AF_INET6])
    func datagramsOnLoopbackBehaveAsTheKernels(_ domain: Int32) {
        run("simulated UDP", 300, 40) { comparison, _ in
            for _ in 0..<3 { comparison.addSocket(domain, CK_SOCK_DGRAM) }
        } step: { comparison, random in
            comparison.stepNamed(&random, domain, CK_SOCK_DGRAM, upTo: 3000)
        }
    }
}
