import AIO
import Glibc
import Testing
import UnitSupport

/// Some seconds of random programs per engine; `Scripts/fuzz-api` runs them for longer. AIO_TEST_SEED repeats a run.
@Suite(.overSimulation, .serialized, .timeLimit(.minutes(600))) struct FuzzTests {
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func randomProgramsKeepTheirDataAndLeaveNothing(_ name: String) async {
        // The seed is made in the parent, since the child's output appears only after its end.
        let seed = SeededGenerator("fuzz \(name)").seed
        let result = await #expect(
            processExitsWith: .success, observing: [\.standardOutputContent]
        ) { [name = name as String, seed = seed as UInt64] in
            setenv("AIO_TEST_SEED", "\(seed)", 1)
            let seconds = getenv("AIO_FUZZ_SECONDS").flatMap { Int(String(cString: $0)) } ?? 3
            var generator = SeededGenerator("fuzz \(name)")
            try await withScratch { scratch in
                var fuzzer = APIFuzzer(try #require(EngineKind(name)), scratch)
                // The first program opens the descriptors that Swift's runtime and libc keep.
                try await fuzzer.run(&generator)
                let before = openDescriptors()
                let end = ContinuousClock.now + .seconds(seconds)
                while ContinuousClock.now < end { try await fuzzer.run(&generator) }
                try await eventually { !threads().contains { isOfTheLibrary($0) } }
                #expect(openDescriptors().count <= before.count, "\(descriptorChanges(since: before))")
                print("fuzz \(name): \(fuzzer.programCount) programs, \(fuzzer.operationCount) operations")
            }
        }
        let output = String(decoding: result?.standardOutputContent ?? [], as: UTF8.self)
        for line in output.split(separator: "\n") where line.contains("programs") { print(line) }
    }
}

private func isOfTheLibrary(_ thread: Int32) -> Bool {
    let descriptor = Glibc.open("/proc/self/task/\(thread)/comm", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { closeDescriptor(descriptor) }
    return String(decoding: readToEnd(descriptor), as: UTF8.self).hasPrefix("aio-")
}
