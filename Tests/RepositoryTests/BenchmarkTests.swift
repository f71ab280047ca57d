import Foundation
import Testing
import UnitSupport

/// What `Benchmarks/run` concludes from its measurements, and its table of lines, by tests in Python.
@Suite struct BenchmarkTests {
    @Test func theTestsOfTheBenchmarksSucceed() throws {
        let tests = Process()
        let output = Pipe()
        tests.executableURL = URL(filePath: "/usr/bin/env")
        // -B: leaves no compiled files.
        tests.arguments = ["python3", "-B", "-m", "unittest", "suite.tests"]
        tests.currentDirectoryURL = URL(filePath: "\(SourceTree.root)/Benchmarks")
        tests.standardError = output
        try tests.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        tests.waitUntilExit()
        if tests.terminationStatus == 127 { try Test.cancel("\(skipped("no python3 is installed"))") }
        #expect(tests.terminationStatus == 0, "\(text)")
        #expect(text.contains(#/\nRan [1-9][0-9]* tests /#), "\(text)")
    }
}
