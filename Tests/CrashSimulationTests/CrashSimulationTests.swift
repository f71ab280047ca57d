import CrashSimulation
import LogWriter
import Testing

/// Programs that promise to survive a loss of power, on simulated disks. `swift run -c release crash-simulation` takes
/// more seeds.
struct CrashSimulationTests {
    @Test(arguments: 0..<4 as Range<UInt64>) func aReplacementIsWholeAndDurable(block: UInt64) async throws {
        let failure = try await ReplaceHistory().firstFailure(in: (block * 8)...(block * 8 + 7))
        #expect(failure == nil)
    }

    @Test(arguments: 0..<4 as Range<UInt64>) func aCopyIsWholeAndDurable(block: UInt64) async throws {
        let failure = try await CopyHistory().firstFailure(in: (block * 2)...(block * 2 + 1))
        #expect(failure == nil)
    }

    @Test(arguments: 0..<4 as Range<UInt64>) func theLogWriterKeepsWhatItAcknowledges(block: UInt64) async throws {
        let failure = try await WriterHistory().firstFailure(in: (block * 8)...(block * 8 + 7))
        #expect(failure == nil)
    }

    @Test(arguments: ReplaceMistake.allCases)
    func aReplacementThatIsWrongIsCaught(_ mistake: ReplaceMistake) async throws {
        let failure = try await ReplaceHistory(mistake).firstFailure(in: 1...1000)
        let caught = try #require(failure, "\(mistake) is not caught")
        print("\(mistake) of a replacement is caught: \(caught)")
    }

    @Test(arguments: CopyMistake.allCases) func aCopyThatIsWrongIsCaught(_ mistake: CopyMistake) async throws {
        let failure = try await CopyHistory(mistake).firstFailure(in: 1...1000)
        let caught = try #require(failure, "\(mistake) is not caught")
        print("\(mistake) of a copy is caught: \(caught)")
    }

    @Test(arguments: [
        Shortcuts.noSync, .noDirectorySync, .failedSyncIgnored, .incompleteLineKept,
    ])
    func aLogWriterThatIsWrongIsCaught(_ shortcut: Shortcuts) async throws {
        let failure = try await WriterHistory(shortcut).firstFailure(in: 1...1000)
        let caught = try #require(failure, "mistake \(shortcut.rawValue) is not caught")
        print("mistake \(shortcut.rawValue) of the log-writer is caught: \(caught)")
    }
}
