internal import CKernel

/// An engine of any kind, and its owner.
struct EngineInstance: ~Copyable {
    /// The kind that was requested.
    let kind: EngineKind
    private let place: UnsafeMutableRawPointer
    /// Unmanaged: the instance owns the table, and a call through a strong reference would retain and release it.
    private let calls: Unmanaged<EngineCalls>

    init(_ kind: EngineKind, _ configuration: EngineConfiguration) throws(EngineFailure) {
        switch kind {
        case .ioUring: self.init(kind, try IOUringEngine(configuration))
        case .threads, .linuxAIO, .readahead:
            self.init(kind, try ThreadsEngine(configuration, as: kind, ThreadsServices(kind, configuration)))
        }
    }

    /// `kind` is what errors name, and whose retry policy applies.
    init<Kind: Engine & ~Copyable>(_ kind: EngineKind, _ engine: consuming Kind) {
        let place = UnsafeMutablePointer<Kind>.allocate(capacity: 1)
        place.initialize(to: engine)
        self.kind = kind
        self.place = UnsafeMutableRawPointer(place)
        calls = .passRetained(EngineCalls(of: Kind.self))
    }

    deinit {
        calls._withUnsafeGuaranteedRef { $0.destroy(place) }
        calls.release()
    }

    var descriptor: Int32 { calls._withUnsafeGuaranteedRef { $0.descriptor(place) } }
    var holds: FileHolds? { calls._withUnsafeGuaranteedRef { $0.holds(place) } }
    var needsNewThread: Bool { calls._withUnsafeGuaranteedRef { $0.needsNewThread(place) } }

    @inline(__always)
    var lostErrno: Int32 { calls._withUnsafeGuaranteedRef { $0.lostErrno(place) } }

    /// By address, because a closure would receive a value of this size as a copy.
    @inline(__always)
    func stage(_ operation: UnsafePointer<Operation>, _ token: Token) {
        calls._withUnsafeGuaranteedRef { $0.stage(place, operation, token) }
    }

    func stage(_ operation: Operation, _ token: Token) { withUnsafePointer(to: operation) { stage($0, token) } }

    @inline(__always)
    func enter(atLeast count: Int, until deadline: Nanoseconds) {
        calls._withUnsafeGuaranteedRef { $0.enter(place, count, deadline) }
    }

    @inline(__always)
    func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        calls._withUnsafeGuaranteedRef { $0.drain(place, completions) }
    }

    func stageWithWorker(_ operation: Operation, _ token: Token) {
        calls._withUnsafeGuaranteedRef { $0.stageWithWorker(place, operation, token) }
    }

    func requestCancel(_ token: Token) { calls._withUnsafeGuaranteedRef { $0.requestCancel(place, token) } }
    func isLost(_ token: Token) -> Bool { calls._withUnsafeGuaranteedRef { $0.isLost(place, token) } }
    func giveUp(_ token: Token) { calls._withUnsafeGuaranteedRef { $0.giveUp(place, token) } }
    func wake() { calls._withUnsafeGuaranteedRef { $0.wake(place) } }
    func exportDescriptor() { calls._withUnsafeGuaranteedRef { $0.exportDescriptor(place) } }
    func register(files: UnsafeBufferPointer<Int32>) -> Int {
        calls._withUnsafeGuaranteedRef { $0.registerFiles(place, files) }
    }
    func unregisterFiles() -> Int { calls._withUnsafeGuaranteedRef { $0.unregisterFiles(place) } }
    func register(buffers: UnsafeBufferPointer<iovec>) -> Int {
        calls._withUnsafeGuaranteedRef { $0.registerBuffers(place, buffers) }
    }
    func unregisterBuffers() -> Int { calls._withUnsafeGuaranteedRef { $0.unregisterBuffers(place) } }
}

/// The members of an engine, as functions of its address.
///
/// This replaces an existential, which the Embedded subset lacks, and a generic class, whose methods the compiler
/// specializes in that subset alone: elsewhere each of their calls goes on through the conformance to `Engine`. A
/// closure that captures nothing is specialized in both.
///
/// A call costs one indirect call and nothing else because the closures are constants of a class. If they were stored
/// in a struct, the compiler would copy the whole table, or retain the closure, for each call: the callee might
/// overwrite them.
private final class EngineCalls {
    typealias Place = UnsafeMutableRawPointer

    let stage: (Place, UnsafePointer<Operation>, Token) -> Void
    let enter: (Place, Int, Nanoseconds) -> Void
    let drain: (Place, UnsafeMutableBufferPointer<Completion>) -> Int
    let lostErrno: (Place) -> Int32

    let descriptor: (Place) -> Int32
    let stageWithWorker: (Place, Operation, Token) -> Void
    let requestCancel: (Place, Token) -> Void
    let wake: (Place) -> Void
    let exportDescriptor: (Place) -> Void
    let registerFiles: (Place, UnsafeBufferPointer<Int32>) -> Int
    let unregisterFiles: (Place) -> Int
    let registerBuffers: (Place, UnsafeBufferPointer<iovec>) -> Int
    let unregisterBuffers: (Place) -> Int
    let holds: (Place) -> FileHolds?
    let needsNewThread: (Place) -> Bool
    let isLost: (Place, Token) -> Bool
    let giveUp: (Place, Token) -> Void
    let destroy: (Place) -> Void

    init<Kind: Engine & ~Copyable>(of engine: Kind.Type) {
        stage = { $0.engine(Kind.self).pointee.stage($1.pointee, $2) }
        enter = { $0.engine(Kind.self).pointee.enter(atLeast: $1, until: $2) }
        drain = { $0.engine(Kind.self).pointee.drain(into: $1) }
        lostErrno = { $0.engine(Kind.self).pointee.lostErrno }
        descriptor = { $0.engine(Kind.self).pointee.descriptor }
        stageWithWorker = { $0.engine(Kind.self).pointee.stageWithWorker($1, $2) }
        requestCancel = { $0.engine(Kind.self).pointee.requestCancel($1) }
        wake = { $0.engine(Kind.self).pointee.wake() }
        exportDescriptor = { $0.engine(Kind.self).pointee.exportDescriptor() }
        registerFiles = { $0.engine(Kind.self).pointee.register(files: $1) }
        unregisterFiles = { $0.engine(Kind.self).pointee.unregisterFiles() }
        registerBuffers = { $0.engine(Kind.self).pointee.register(buffers: $1) }
        unregisterBuffers = { $0.engine(Kind.self).pointee.unregisterBuffers() }
        holds = { $0.engine(Kind.self).pointee.holds }
        needsNewThread = { $0.engine(Kind.self).pointee.needsNewThread }
        isLost = { $0.engine(Kind.self).pointee.isLost($1) }
        giveUp = { $0.engine(Kind.self).pointee.giveUp($1) }
        destroy = {
            $0.engine(Kind.self).deinitialize(count: 1)
            $0.deallocate()
        }
    }
}

extension UnsafeMutableRawPointer {
    @inline(__always)
    fileprivate func engine<Kind: Engine & ~Copyable>(_ kind: Kind.Type) -> UnsafeMutablePointer<Kind> {
        assumingMemoryBound(to: kind)
    }
}
