import AIO
import AIOCore
import Glibc
import Testing
import UnitSupport

/// One of two files that tasks read and rewrite at random. The content follows from the offset.
struct DataFile: Sendable {
    static let names = ["one", "two"]

    private let file: File
    private let content: KnownContent
    private let size: Int

    static func open(_ scratch: Scratch, _ runtime: IORuntime, size: Int) async throws -> [DataFile] {
        var files: [DataFile] = []
        for (index, name) in names.enumerated() {
            let file = try await File.open(
                Path(scratch.path(name)), .readWrite, options: [.create, .exclusive], runtime: runtime)
            files.append(DataFile(file: file, content: KnownContent(seed: UInt64(index)), size: size))
        }
        return files
    }

    func close() async throws { try await file.close() }

    /// Writes the whole content, in overlapping pieces.
    func fill() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for offset in stride(from: 0, to: size, by: 50_000) {
                group.addTask {
                    let count = min(65_536, size - offset)
                    try await file.writeAll(content.bytes(count: count, at: Int64(offset)), at: Int64(offset))
                }
            }
            try await group.waitForAll()
        }
    }

    func readAndRewrite(seed: UInt64, rounds: Int) async throws {
        var random = SplitMix(seed)
        for _ in 0..<rounds {
            let count = Int.random(in: 1...12_000, using: &random)
            let offset = Int64.random(in: 0...Int64(size - count), using: &random)
            if Int.random(in: 0..<3, using: &random) == 0 {
                try await file.writeAll(content.bytes(count: count, at: offset), at: offset)
            } else {
                let bytes = try await file.readExactly(count: count, at: offset)
                #expect(content.mismatch(bytes, at: offset) == nil, "\(count) bytes at \(offset)")
            }
        }
    }
}

/// Random reads and rewrites of one file through a queue that is kept full.
final class QueueExchange {
    private let descriptor: Descriptor
    private let content: KnownContent
    private let size: Int
    private let buffers: [Memory]
    private var pending: [(offset: Int64, count: Int, isWrite: Bool)]
    private var random = SplitMix(99)

    init(_ descriptor: Int32, _ content: KnownContent, size: Int, places: Int) {
        self.descriptor = .classify(descriptor)
        self.content = content
        self.size = size
        buffers = (0..<places).map { _ in Memory(count: 12_000) }
        pending = Array(repeating: (0, 0, false), count: places)
    }

    func run(_ queue: IOQueue, operations: Int) throws {
        var started = 0
        var finished = 0
        var free = Array(buffers.indices)
        while finished < operations {
            while started < operations, let place = free.popLast() {
                try queue.prepare(next(place), context: UInt(place))
                started += 1
            }
            try queue.waitPatiently()
            queue.drain { completion, context in
                free.append(Int(context))
                finished += 1
                check(completion, Int(context))
            }
        }
    }

    private func next(_ place: Int) -> Operation {
        let count = Int.random(in: 1...12_000, using: &random)
        let offset = Int64.random(in: 0...Int64(size - count), using: &random)
        let isWrite = Int.random(in: 0..<3, using: &random) == 0
        pending[place] = (offset, count, isWrite)
        let transfer = Transfer(descriptor, buffers[place].base, count: count, offset: offset)
        guard isWrite else { return .read(transfer) }
        content.fill(buffers[place].base, count: count, at: offset)
        return .write(transfer)
    }

    private func check(_ completion: Completion, _ place: Int) {
        let (offset, count, isWrite) = pending[place]
        // Short transfers are allowed; an error or an early end is not.
        #expect(completion.result > 0 && Int(completion.result) <= count, "\(completion.result)")
        guard !isWrite, completion.result > 0 else { return }
        let wrong = content.mismatch(buffers[place].base, count: Int(completion.result), at: offset)
        #expect(wrong == nil, "\(count) bytes at \(offset)")
    }
}
