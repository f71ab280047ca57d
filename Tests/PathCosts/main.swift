// Executes operations on every hot path and every engine, prints what an operation costs in allocations and user
// instructions, and fails if one costs more than is expected: `swift run -c release path-costs`. Costs are meaningful
// in release builds only.
//
//   path-costs               compares with Tests/PathCosts/expected
//   path-costs --expected    also prints the lines for that file
//   path-costs ENGINE...     these engines alone
import AIO
import Glibc

/// A file of the source's folder.
func besideThis(_ name: String, _ file: String = #filePath) -> Path {
    Path(file.split(separator: "/").dropLast().map { "/\($0)" }.joined() + "/" + name)
}

let arguments = CommandLine.arguments.dropFirst()
let names = arguments.filter { !$0.hasPrefix("--") }
let engines = names.isEmpty ? Array(EngineKind.allCases) : EngineKind.allCases.filter { names.contains("\($0)") }
guard names.isEmpty || engines.count == names.count else {
    print("path-costs: no such engine; engines are \(EngineKind.allCases.map { "\($0)" }.joined(separator: ", "))")
    exit(2)
}
let costs = Costs(String(decoding: try await FileSystem.readFile(besideThis("expected")), as: UTF8.self))
let files = Files()
print("engine     allocations  instructions  path")
// Off the main actor: switching to it allocates, which is the caller's own cost.
nonisolated(unsafe) let measuring = (costs, files, engines)
let failure: String? = await Task.detached {
    let (costs, files, engines) = measuring
    for engine in engines {
        do {
            try await Paths(engine: engine, costs: costs, files: files).measure()
        } catch {
            return "\(engine): \(error)"
        }
    }
    return nil
}.value
files.remove()
if let why = costs.whyNotCounted { print("instructions are not counted: \(why)") }
if arguments.contains("--expected") { print(costs.measured.joined(separator: "\n")) }
let failures = costs.failures + (failure.map { [$0] } ?? [])
for failure in failures { print("costs more: \(failure)") }
exit(failures.isEmpty ? 0 : 1)
