import AIO
import Glibc

/// The words of the command line after the subject's name.
struct Arguments {
    private var words: [String]

    init(_ words: [String]) { self.words = words }

    mutating func text() throws(Refusal) -> String {
        guard !words.isEmpty else { throw Refusal(text: "an argument is missing") }
        return words.removeFirst()
    }

    mutating func path() throws(Refusal) -> Path { Path(try text()) }

    /// A number of at least 1.
    mutating func number() throws(Refusal) -> Int {
        let word = try text()
        guard let number = Int(word), number >= 1 else { throw Refusal(text: "\(word) is no number of at least 1") }
        return number
    }

    /// Where tasks run: on the runtime's loop, or wherever Swift puts them.
    mutating func place() throws(Refusal) -> Place {
        let word = try text()
        guard let place = Place(rawValue: word) else { throw Refusal(text: "\(word) is neither plain nor loop") }
        return place
    }
}

/// What is wrong with the command line, or with a file that was to be measured.
struct Refusal: Error {
    let text: String
}

enum Place: String, Sendable {
    case plain, loop

    /// Where a task is to run; nil for the global executor.
    var executor: (any TaskExecutor)? { self == .loop ? IORuntime.shared.loops[0] : nil }

    /// Runs a task there.
    func run(_ body: @Sendable @escaping () async throws -> Void) async throws {
        try await Task.detached(executorPreference: executor) { try await body() }.value
    }
}

/// The block that the operation of this number is for. The numbers 0 to `count` - 1 give each block once, if `count` is
/// a power of two; the same order as in `bench-c`.
func offset(_ number: Int, of blocks: Int) -> Int64 { Int64(((number &* 2_654_435_761) & (blocks - 1)) * blockSize) }

let blockSize = 4096

/// The number of blocks of a file of this size, which has to be a power of two.
func blockCount(_ size: Int64) throws(Refusal) -> Int {
    let blocks = Int(size) / blockSize
    guard blocks >= 1, blocks & (blocks - 1) == 0 else {
        throw Refusal(text: "the file's number of blocks is no power of two")
    }
    return blocks
}
