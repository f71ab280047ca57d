import AIO
import AIOCore
import CKernel
import Dispatch
import Glibc
import Synchronization
import Testing
import UnitSupport

/// A queue in another event loop: libdispatch's and GLib's.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct OtherLoopTests {
    @Test(.notSimulated(.threads), arguments: engines)
    func aQueueIsServedByADispatchSource(_ engine: EngineKind) async throws {
        try await withServed(engine) { served in
            let queue = DispatchQueue(label: "loop")
            let descriptor = try served.queue.pollableDescriptor
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
            let ended = DispatchSemaphore(value: 0)
            nonisolated(unsafe) let served = served
            source.setEventHandler { served.serve() }
            source.setCancelHandler { ended.signal() }
            queue.sync { served.begin() }
            source.resume()
            try await eventually { served.isDone.isSet }
            source.cancel()
            // The queue belongs to the test again.
            try await eventually { ended.wait(timeout: .now()) == .success }
        }
    }

    @Test(.notSimulated(.threads), arguments: engines)
    func aQueueIsServedByAGLibMainLoop(_ engine: EngineKind) async throws {
        guard let glib = GLib() else {
            try Test.cancel("\(skipped("libglib-2.0.so.0 is not installed"))")
        }
        try await withServed(engine) { served in
            served.begin()
            try glib.run(descriptor: served.queue.pollableDescriptor) {
                served.serve()
                return !served.isDone.isSet
            }
            #expect(served.isDone.isSet)
        }
    }

    /// Calls `body` on a separate thread with the queue and the operations to serve.
    private func withServed(_ engine: EngineKind, _ body: (Served) async throws -> Void) async throws {
        try await withScratch { scratch in
            let file = try openDescriptor(try scratch.file("file", [UInt8](repeating: 7, count: 100_000)))
            defer { closeDescriptor(file) }
            try await Ends.with { ends in
                let ends = ends
                try await withQueue(engine) { queue in
                    let served = Served(queue, file, ends)
                    try await body(served)
                    #expect(served.rounds == Served.roundCount)
                    #expect(served.wrong == [])
                }
            }
        }
    }
}

/// Reads of a file, writes and reads of a pipe, and timers, round after round.
private final class Served {
    static let roundCount = 20
    let queue: IOQueue
    let isDone = Flag()
    private(set) var rounds = 0
    private(set) var wrong: [Int32] = []
    private let file: Int32
    private let ends: Ends
    private let memory = [Memory(count: 100_000), Memory(count: 1)]
    private var missing = 0

    init(_ queue: IOQueue, _ file: Int32, _ ends: Ends) {
        self.queue = queue
        self.file = file
        self.ends = ends
    }

    func begin() {
        let operations: [AIOCore.Operation] = [
            .read(memory[0].transfer(file)), .read(memory[1].transfer(ends.reading)),
            .timeout(deadline: monotonicNow() + 500_000),
        ]
        for (context, operation) in operations.enumerated() {
            do { try queue.prepare(operation, context: UInt(context)) } catch { wrong.append(-1) }
        }
        missing = operations.count
        try? queue.submit()
        ends.put([1])
    }

    /// Called by the loop when the descriptor is readable.
    func serve() {
        let expected: [Int32] = [100_000, 1, 0]
        queue.drain { completion, context in
            missing -= 1
            if completion.result != expected[Int(context)] { wrong.append(completion.result) }
        }
        guard missing == 0, !isDone.isSet else { return }
        rounds += 1
        if rounds == Self.roundCount { isDone.set() } else { begin() }
    }
}

/// GLib, loaded by dlopen(3), so that the tests do not link it.
private final class GLib {
    private typealias Callback = @convention(c) (Int32, UInt32, UnsafeMutableRawPointer?) -> Int32
    private let library: UnsafeMutableRawPointer

    init?() {
        guard let library = dlopen("libglib-2.0.so.0", RTLD_NOW) else { return nil }
        self.library = library
    }

    private func function<F>(_ name: String, _ type: F.Type) throws -> F {
        unsafeBitCast(try #require(dlsym(library, name)), to: type)
    }

    /// Runs a main loop, which calls `ready` whenever the descriptor is readable until that returns false.
    func run(descriptor: Int32, _ ready: () -> Bool) throws {
        typealias Pointer = UnsafeMutableRawPointer
        let newContext = try function("g_main_context_new", (@convention(c) () -> Pointer?).self)
        let newLoop = try function("g_main_loop_new", (@convention(c) (Pointer?, Int32) -> Pointer?).self)
        let newSource = try function("g_unix_fd_source_new", (@convention(c) (Int32, UInt32) -> Pointer?).self)
        let setCallback = try function(
            "g_source_set_callback", (@convention(c) (Pointer?, Callback, Pointer?, Pointer?) -> Void).self)
        let attach = try function("g_source_attach", (@convention(c) (Pointer?, Pointer?) -> UInt32).self)
        let runLoop = try function("g_main_loop_run", (@convention(c) (Pointer?) -> Void).self)
        let quit = try function("g_main_loop_quit", (@convention(c) (Pointer?) -> Void).self)
        typealias Release = @convention(c) (Pointer?) -> Void
        let context = newContext()
        let loop = newLoop(context, 0)
        let source = newSource(descriptor, 1)
        defer {
            for (name, object) in [
                ("g_source_unref", source), ("g_main_loop_unref", loop), ("g_main_context_unref", context),
            ] { if let release = try? function(name, Release.self) { release(object) } }
        }
        try withoutActuallyEscaping(ready) { ready in
            let call = GLibCall { if !ready() { quit(loop) } }
            setCallback(
                source,
                { _, _, argument in
                    if let argument { Unmanaged<GLibCall>.fromOpaque(argument).takeUnretainedValue().body() }
                    return 1
                }, Unmanaged.passUnretained(call).toOpaque(), nil)
            try #require(attach(source, context) > 0)
            withExtendedLifetime(call) { runLoop(loop) }
            let destroy = try function("g_source_destroy", Release.self)
            destroy(source)
        }
    }
}

private final class GLibCall {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
