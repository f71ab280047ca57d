import AIO
import AIOCore
import Testing

/// A completion in a form that tests can compare.
struct Drained: Equatable {
    var token: Token
    var result: Int32
    var context: UInt

    init(_ token: Token, _ result: Int32, _ context: UInt) {
        self.token = token
        self.result = result
        self.context = context
    }
}

extension IOQueue {
    /// Drains all ready completions.
    func completions() -> [Drained] {
        var drained: [Drained] = []
        drain { completion, context in drained.append(Drained(completion.token, completion.result, context)) }
        return drained
    }

    /// Waits for completions that are due soon, with a timeout: a hang would report nothing.
    func waitPatiently(atLeast count: Int = 1) throws {
        let ready = try wait(atLeast: count, deadline: .after(.seconds(30)))
        try #require(ready >= count, "\(count) completions have not come")
    }
}
