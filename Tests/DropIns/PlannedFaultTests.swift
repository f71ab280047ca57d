import Foundation
import Testing
import UnitSupport

/// The drop-in libraries with one system call of theirs that hangs or fails (AIO_FAULTS), where it is known what must
/// follow. `FaultTests` goes over all calls, and knows what must not.
@Suite(.timeLimit(.minutes(5))) struct PlannedFaultTests {
    private static let programs = [Program("planned_libaio", .libaio), Program("planned_posixaio", .posixaio)]

    @Test(arguments: programs, Way.preloads)
    func aWriteThatHangsHoldsUpNoOtherWriteToItsFile(_ program: Program, _ way: Way) async throws {
        let name = "writes-run-side-by-side"
        // The first write makes one of these calls, depending on the kernel.
        let outcome = try await run(program, name, way, "pwrite64:1=hang,pwritev2:1=hang").outcome
        #expect(outcome.output == "\(name)/the one that does not hang: 262144\n\(name)/ended: 1\n")
    }

    @Test(arguments: Way.preloads)
    func aWaitForAtLeastNoEventEndsWithTheFirst(_ way: Way) async throws {
        let name = "at-least-none-while-one-hangs"
        let outcome = try await run(Self.programs[0], name, way, "pwrite64:1=hang,pwritev2:1=hang").outcome
        #expect(outcome.output == "\(name)/events: 1\n")
    }

    /// Otherwise it would be carried out on the file that has the number next.
    @Test(arguments: programs, Way.preloads)
    func anOperationWhoseNumberIsClosedWhileItIsSubmittedIsRefused(_ program: Program, _ way: Way) async throws {
        let name = "the-number-is-closed-meanwhile"
        let (usual, log) = try await run(program, name, way, "*:99999999=EIO")
        #expect(usual.output == "\(name)/write: 262144\n")
        // F_DUPFD_CLOEXEC: the last one is the operation's.
        let hold = try #require(LoggedCall.all(in: log).last { $0.name == "fcntl" && $0.arguments[1] == 1030 })
        let (outcome, second) = try await run(program, name, way, "fcntl:\(hold.number)=EBADF")
        #expect(LoggedCall.faults(in: second).map(\.arguments) == [hold.arguments])
        #expect(outcome.output.hasPrefix("\(name)/write: ") && outcome.output.hasSuffix("-EBADF\n"), "\(outcome)")
    }

    private func run(
        _ program: Program, _ name: String, _ way: Way, _ faults: String
    ) async throws -> (outcome: Outcome, log: Data) {
        try way.requireEngine()
        let path = try await Compiler.shared.executable(of: program)
        let environment = try await way.environment(for: program.library, at: program.library.pathWithFaults())
        return try await Environment.withScratch { folder in
            let log = "\(folder)/calls"
            var command = Command([path, folder, name])
            command.environment = environment.merging(["AIO_FAULTS": faults, "AIO_FAULTS_LOG": log]) { $1 }
            let outcome = try await command.run()
            return (outcome, (try? Data(contentsOf: URL(filePath: log))) ?? Data())
        }
    }
}
