import CKernel
import Glibc

@testable import AIOCore

/// What a scripted engine does, and what it was asked for.
final class Script {
    /// The results of the next completions.
    var results: [Int32]
    /// What was staged, in order.
    private(set) var staged: [AIOCore.Operation] = []
    fileprivate var waiting: [Token] = []
    fileprivate var completions: [Completion] = []
    fileprivate let descriptor = Int32(Kernel.eventDescriptor())

    init(_ results: [Int32]) { self.results = results }

    deinit { close(descriptor) }

    fileprivate func stage(_ operation: AIOCore.Operation, _ token: Token) {
        staged.append(operation)
        waiting.append(token)
    }

    /// Each entry completes what was staged before it, while there are results.
    func enter() {
        while !waiting.isEmpty, !results.isEmpty {
            completions.append(Completion(waiting.removeFirst(), result: results.removeFirst()))
        }
    }
}

/// An engine that completes its operations in order, each with the next result of a script.
struct ScriptedEngine: Engine, ~Copyable {
    let script: Script

    var descriptor: Int32 { script.descriptor }
    mutating func stage(_ operation: AIOCore.Operation, _ token: Token) { script.stage(operation, token) }
    mutating func requestCancel(_ token: Token) {}
    mutating func enter(atLeast count: Int, until deadline: Nanoseconds) { script.enter() }
    mutating func drain(into buffer: UnsafeMutableBufferPointer<Completion>) -> Int {
        let count = min(buffer.count, script.completions.count)
        for index in 0..<count { buffer.initializeElement(at: index, to: script.completions[index]) }
        script.completions.removeFirst(count)
        return count
    }
    func wake() {}
    mutating func exportDescriptor() {}
    mutating func register(files: UnsafeBufferPointer<Int32>) -> Int { 0 }
    mutating func unregisterFiles() -> Int { 0 }
    mutating func register(buffers: UnsafeBufferPointer<iovec>) -> Int { 0 }
    mutating func unregisterBuffers() -> Int { 0 }
}
