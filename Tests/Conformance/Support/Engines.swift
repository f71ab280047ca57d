import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// The engines that are available here; every case runs over each of them. `AvailabilityTests` reports the others.
///
/// Under a sanitizer, where each case takes several times as long, without `threads`: `linux-aio` and `readahead` are
/// the same engine with a service.
let engines: [EngineKind] = {
    guard simulationSeed == nil else { return [.threads] }
    let available = EngineKind.allCases.filter { Availability.missing[$0] == nil }
    guard isUnderSanitizer, available.contains(.linuxAIO), available.contains(.readahead) else { return available }
    return available.filter { $0 != .threads }
}()

private let isUnderSanitizer = getenv("AIO_TEST_SANITIZER") != nil

enum Availability {
    /// Why an engine is not available here.
    static let missing: [EngineKind: IOError] = {
        var missing: [EngineKind: IOError] = [:]
        for engine in EngineKind.allCases {
            do throws(IOError) {
                var configuration = IOQueue.Configuration()
                configuration.engine = .forced(engine)
                configuration.queueDepth = 1
                _ = try IOQueue(configuration)
            } catch {
                missing[engine] = error
            }
        }
        return missing
    }()

    /// Whether the kernel lets this process create an io_uring, asked without the library.
    static func kernelHasIOUring() -> Bool {
        var parameters = ck_uring_parameters()
        let ring = withUnsafeMutablePointer(to: &parameters) {
            ck_system_call_6(CK_NR_io_uring_setup, 1, Int(bitPattern: $0), 0, 0, 0, 0)
        }
        guard ring >= 0 else { return false }
        closeDescriptor(Int32(ring))
        return true
    }
}

@Suite(.overSimulation, .notSimulated(.engine)) struct AvailabilityTests {
    @Test(arguments: EngineKind.allCases)
    func everyEngineIsAvailableOrSkippedWithItsReason(_ engine: EngineKind) throws {
        guard let reason = Availability.missing[engine] else {
            #expect(engines.contains(engine) || engine == .threads && isUnderSanitizer)
            return
        }
        if engine == .ioUring {
            #expect(!Availability.kernelHasIOUring(), "the kernel has io_uring, and the engine does not: \(reason)")
        }
        try Test.cancel("\(skipped("no case runs over \(engine): \(reason)"))")
    }

    @Test(arguments: SocketFamily.allCases)
    func everySocketFamilyIsAvailableOrSkipped(_ family: SocketFamily) throws {
        guard !SocketFamily.available.contains(family) else { return }
        try Test.cancel("\(skipped("no case runs over sockets of \(family.rawValue)"))")
    }

    @Test func threadsIsAvailableEverywhere() {
        #expect(Availability.missing[.threads] == nil)
    }
}
