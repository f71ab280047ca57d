// SwiftNIO's file system: `nio-files SUBJECT FILE ...` carries out one turn and prints its figures as a line of JSON.
//
//     chunks FILE                 from the beginning to the end, in chunks of its default size; an operation is 1 MiB
//     read FILE TASKS COUNT       blocks of 4 KiB, by tasks with one read each at a time
//     read-file FILE COUNT        the whole file, each time opened anew
import Glibc
import NIOCore
import _NIOFileSystem

let blockSize = 4096

struct Turn {
    private let start = ContinuousClock.now
    private let processor = Turn.processorSeconds()

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6
    }

    func end(_ operations: Int) {
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let used = Turn.processorSeconds() - processor
        print("{\"operations\": \(operations), \"seconds\": \(seconds), \"processor\": \(used)}")
    }
}

func chunks(_ path: FilePath) async throws {
    try await FileSystem.shared.withFileHandle(forReadingAt: path) { file in
        var total = 0
        var sum = 0
        let turn = Turn()
        for try await chunk in file.readChunks() {
            total += chunk.readableBytes
            // As the other peers: the first byte of each page is looked at.
            chunk.withUnsafeReadableBytes { bytes in
                for index in stride(from: 0, to: bytes.count, by: blockSize) { sum &+= Int(bytes[index]) }
            }
        }
        turn.end(total >> 20)
        precondition(sum > 0, "nothing but zeros")
    }
}

func read(_ path: FilePath, tasks: Int, count: Int) async throws {
    try await FileSystem.shared.withFileHandle(forReadingAt: path) { file in
        let blocks = Int(try await file.info().size) / blockSize
        let share = count / tasks
        let turn = Turn()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<tasks {
                group.addTask {
                    for number in (task * share)..<((task + 1) * share) {
                        let block = (number &* 2_654_435_761) & (blocks - 1)
                        let bytes = try await file.readChunk(
                            fromAbsoluteOffset: Int64(block * blockSize), length: .bytes(Int64(blockSize)))
                        precondition(bytes.readableBytes == blockSize)
                    }
                }
            }
            try await group.waitForAll()
        }
        turn.end(tasks * share)
    }
}

func readFile(_ path: FilePath, count: Int) async throws {
    let turn = Turn()
    for _ in 0..<count {
        let bytes = try await ByteBuffer(contentsOf: path, maximumSizeAllowed: .mebibytes(16))
        precondition(bytes.readableBytes > 0)
    }
    turn.end(count)
}

let arguments = CommandLine.arguments
let path = FilePath(arguments.count > 2 ? arguments[2] : "")
let numbers = arguments.dropFirst(3).compactMap { Int($0) }.filter { $0 >= 1 }
switch (arguments.count > 1 ? arguments[1] : "", numbers.count) {
case ("chunks", 0): try await chunks(path)
case ("read", 2): try await read(path, tasks: numbers[0], count: numbers[1])
case ("read-file", 1): try await readFile(path, count: numbers[0])
default:
    let usage = "usage: nio-files chunks FILE | read FILE TASKS COUNT | read-file FILE COUNT\n"
    _ = write(2, usage, usage.utf8.count)
    exit(2)
}
