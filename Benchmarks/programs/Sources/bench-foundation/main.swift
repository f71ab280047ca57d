// Foundation's `Data(contentsOf:)`: `bench-foundation FILE COUNT` reads a file as often, and prints its figures as a
// line of JSON.
import Foundation

private func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(RUSAGE_SELF.rawValue, &usage)
    let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
    return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let count = Int(arguments[2]), count > 0 else {
    FileHandle.standardError.write(Data("usage: bench-foundation FILE COUNT\n".utf8))
    exit(2)
}
let place = URL(fileURLWithPath: arguments[1])
for _ in 0..<16 { _ = try Data(contentsOf: place) }
let processor = processorSeconds()
let start = DispatchTime.now().uptimeNanoseconds
for _ in 0..<count {
    let bytes = try Data(contentsOf: place)
    precondition(!bytes.isEmpty)
}
let seconds = Double(DispatchTime.now().uptimeNanoseconds - start) * 1e-9
print("{\"operations\": \(count), \"seconds\": \(seconds), \"processor\": \(processorSeconds() - processor)}")
