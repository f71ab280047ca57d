// Replaces a file in an endless loop, one version after the other, until the tests kill it.
//
//     replace-loop FILE ENGINE VERSION once|stream
//
// VERSION is the first version that it writes. The content is the one that `Version` in the conformance tests defines.
import AIO
import Glibc

func content(_ version: Int) -> [UInt8] {
    let size = 8 + version &* 7919 % 200_000
    return withUnsafeBytes(of: version.littleEndian) { Array($0) }
        + [UInt8](repeating: UInt8(truncatingIfNeeded: version &* 31), count: size - 8)
}

let arguments = CommandLine.arguments
guard arguments.count == 5, let engine = EngineKind(arguments[2]), let first = Int(arguments[3]) else { exit(2) }
let parent = getppid()
let path = Path(arguments[1])
var configuration = IORuntime.Configuration()
configuration.engine = .forced(engine)
configuration.queueDepth = 8
let runtime = try IORuntime(configuration)
var version = first
// Ends at the latest with its parent, the process that should kill it.
while getppid() == parent {
    let bytes = content(version)
    if arguments[4] == "once" {
        try await FileSystem.replaceFile(path, bytes, runtime: runtime)
    } else {
        try await FileSystem.replaceFile(path, runtime: runtime) { file in
            for start in stride(from: 0, to: bytes.count, by: 60_000) {
                try await file.writeAll(Array(bytes[start..<min(start + 60_000, bytes.count)]), at: Int64(start))
            }
        }
    }
    version += 1
}
