import Glibc
import Testing

@testable import AIO
@testable import AIOCore

@Suite struct EngineChoiceTests {
    /// Calls `select`; only the engines in `failures` are unavailable.
    private func select(_ choice: EngineChoice, failures: [EngineKind: EngineFailure] = [:]) throws(IOError)
        -> EngineSelection
    {
        try choose(choice, failures: failures).0
    }

    /// The same; also returns the configuration that the engine was created with.
    private func choose(_ choice: EngineChoice, failures: [EngineKind: EngineFailure] = [:]) throws(IOError)
        -> (EngineSelection, EngineConfiguration)
    {
        try choice.select(EngineConfiguration(queueDepth: 17)) { kind, configuration throws(EngineFailure) in
            if let failure = failures[kind] { throw failure }
            return configuration
        }
    }

    private static let forbidden = EngineFailure(engine: .ioUring, step: .ringSetup, errno: EPERM)

    @Test(arguments: [EngineKind.ioUring, .threads])
    func anEngineHasOneNameEverywhere(_ kind: AIOCore.EngineKind) {
        #expect(EngineKind(kind.description) == kind)
        #expect("\(kind)" == "\(kind.name)")
    }

    @Test(arguments: ["", "IO_URING", "iouring", "io_uring ", "epoll"])
    func anUnknownNameIsNoEngine(_ name: String) {
        #expect(EngineKind(name) == nil)
    }

    @Test(arguments: [EngineKind.ioUring, .threads])
    func aForcedEngineIsTaken(_ kind: AIOCore.EngineKind) throws {
        let selection = try select(.forced(kind))
        #expect(selection.engine == kind)
        #expect(selection.reason == "requested")
    }

    @Test func aForcedEngineThatIsNotThereIsAnError() async {
        await expect(.engineUnavailable) { _ = try select(.forced(.ioUring), failures: [.ioUring: Self.forbidden]) }
    }

    // In exit tests, since the environment belongs to the whole process.

    @Test func theBestEngineIsTakenIfNoneIsForced() async {
        await #expect(processExitsWith: .success) {
            unsetenv("AIO_ENGINE")
            let selection = try EngineChoiceTests().select(.automatic)
            #expect(selection.engine == .ioUring)
            #expect(!selection.reason.isEmpty)
        }
    }

    @Test func theFallbackSaysWhatWasNotThereAndWhy() async {
        await #expect(processExitsWith: .success) {
            unsetenv("AIO_ENGINE")
            let selection = try EngineChoiceTests().select(
                .automatic, failures: [.ioUring: EngineChoiceTests.forbidden])
            #expect(selection.engine == .threads)
            #expect(selection.reason.contains("io_uring"))
            #expect(selection.reason.contains("EPERM"))
            #expect(isOneLine(selection.description))
        }
    }

    @Test func onlyTheFallbackMixesEngines() async {
        await #expect(processExitsWith: .success) {
            unsetenv("AIO_ENGINE")
            let tests = EngineChoiceTests()
            let (_, fallback) = try tests.choose(.automatic, failures: [.ioUring: EngineChoiceTests.forbidden])
            #expect(fallback.sendsDirectToLinuxAIO && fallback.queueDepth == 17)
            let (_, forced) = try tests.choose(.forced(.threads))
            #expect(!forced.sendsDirectToLinuxAIO && forced.queueDepth == 17)
            setenv("AIO_ENGINE", "threads", 1)
            let (_, fromEnvironment) = try tests.choose(.automatic)
            #expect(!fromEnvironment.sendsDirectToLinuxAIO)
        }
    }

    @Test func aMistakeInTheConfigurationIsNoReasonForAnotherEngine() async {
        await #expect(processExitsWith: .success) {
            unsetenv("AIO_ENGINE")
            let mistake = EngineFailure(engine: .ioUring, step: .configuration, errno: EINVAL)
            await expect(.invalidArgument) {
                _ = try EngineChoiceTests().select(.automatic, failures: [.ioUring: mistake])
            }
        }
    }

    @Test func theEnvironmentForcesAnEngine() async {
        await #expect(processExitsWith: .success) {
            for kind in EngineKind.allCases {
                setenv("AIO_ENGINE", kind.description, 1)
                let selection = try EngineChoiceTests().select(.automatic)
                #expect(selection.engine == kind)
                #expect(selection.reason.contains("AIO_ENGINE"))
            }
            setenv("AIO_ENGINE", "io_uring", 1)
            await expect(.engineUnavailable) {
                _ = try EngineChoiceTests().select(.automatic, failures: [.ioUring: EngineChoiceTests.forbidden])
            }
            let forced = try EngineChoiceTests().select(.forced(.threads))
            #expect(forced.engine == .threads, "the program knows better")
        }
    }

    @Test func theEnvironmentMayLeaveTheChoiceOpen() async {
        await #expect(processExitsWith: .success) {
            for value in ["", "auto"] {
                setenv("AIO_ENGINE", value, 1)
                let selection = try EngineChoiceTests().select(.automatic)
                #expect(selection.engine == .ioUring)
            }
        }
    }

    @Test func anUnknownNameInTheEnvironmentIsAnErrorThatNamesTheEngines() async {
        await #expect(processExitsWith: .success) {
            for value in ["uring", "two\nlines"] {
                setenv("AIO_ENGINE", value, 1)
                do {
                    _ = try EngineChoiceTests().select(.automatic)
                    Issue.record("selected")
                } catch let error as IOError {
                    #expect(error.code == .invalidArgument)
                    #expect(isOneLine(error.description))
                    for kind in EngineKind.allCases { #expect(error.description.contains(kind.description)) }
                }
            }
        }
    }
}
