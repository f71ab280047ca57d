internal import CKernel

/// An engine of any kind: a handle, which `destroy` ends.
///
/// Dispatch is a switch over pointers to plain structs instead of an existential: it is in the Embedded subset, and
/// costs one predicted branch per operation.
struct EngineInstance: BitwiseCopyable {
    private enum Reference: BitwiseCopyable {
        case ioUring(UnsafeMutablePointer<IOUringEngine>)
        case threads(UnsafeMutablePointer<ThreadsEngine>)
        case linuxAIO(UnsafeMutablePointer<LinuxAIOEngine>)
        case readahead(UnsafeMutablePointer<ReadaheadEngine>)
    }

    private let reference: Reference
    /// The kind that was requested.
    let kind: EngineKind

    init(_ kind: EngineKind, _ configuration: EngineConfiguration) throws(EngineFailure) {
        self.kind = kind
        switch kind {
        case .ioUring: reference = .ioUring(Self.place(try IOUringEngine(configuration)))
        case .threads where configuration.sendsDirectToLinuxAIO:
            reference = .linuxAIO(Self.place(try LinuxAIOEngine(besides: configuration)))
        case .threads: reference = .threads(Self.place(try ThreadsEngine(configuration)))
        case .linuxAIO: reference = .linuxAIO(Self.place(try LinuxAIOEngine(configuration)))
        case .readahead: reference = .readahead(Self.place(try ReadaheadEngine(configuration)))
        }
    }

    private static func place<E: Engine & ~Copyable>(_ engine: consuming E) -> UnsafeMutablePointer<E> {
        let pointer = UnsafeMutablePointer<E>.allocate(capacity: 1)
        pointer.initialize(to: engine)
        return pointer
    }

    func destroy() {
        switch reference {
        case .ioUring(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        case .threads(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        case .linuxAIO(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        case .readahead(let engine):
            engine.deinitialize(count: 1)
            engine.deallocate()
        }
    }

    var descriptor: Int32 {
        switch reference {
        case .ioUring(let engine): engine.pointee.descriptor
        case .threads(let engine): engine.pointee.descriptor
        case .linuxAIO(let engine): engine.pointee.descriptor
        case .readahead(let engine): engine.pointee.descriptor
        }
    }

    /// For a guest: takes holds on files for operations that are yet to be staged; nil if the engine does not support
    /// it.
    var holds: FileHolds? {
        switch reference {
        case .ioUring(let engine): engine.pointee.holds
        case .threads, .linuxAIO, .readahead: nil
        }
    }

    /// The errno with which the engine lost its ring; 0 while it has not.
    @inline(__always)
    var lostErrno: Int32 {
        switch reference {
        case .ioUring(let engine): engine.pointee.lostErrno
        case .threads, .linuxAIO, .readahead: 0
        }
    }

    /// Whether completions arrive only after the submitting thread has exited.
    var needsNewThread: Bool {
        switch reference {
        case .ioUring(let engine): engine.pointee.needsNewThread
        case .threads, .linuxAIO, .readahead: false
        }
    }

    /// Whether an operation is in a lost ring. After `giveUp`, a late completion from there is ignored.
    func isLost(_ token: Token) -> Bool {
        switch reference {
        case .ioUring(let engine): engine.pointee.isLost && engine.pointee.isInRing(token)
        case .threads, .linuxAIO, .readahead: false
        }
    }

    func giveUp(_ token: Token) {
        if case .ioUring(let engine) = reference { engine.pointee.giveUp(token) }
    }

    @inline(__always)
    func stage(_ operation: Operation, _ token: Token) {
        switch reference {
        case .ioUring(let engine): engine.pointee.stage(operation, token)
        case .threads(let engine): engine.pointee.stage(operation, token)
        case .linuxAIO(let engine): engine.pointee.stage(operation, token)
        case .readahead(let engine): engine.pointee.stage(operation, token)
        }
    }

    /// For a ring: gives an operation to a pool worker instead of one of the kernel's workers.
    func stageWithWorker(_ operation: Operation, _ token: Token) {
        guard case .ioUring(let engine) = reference else { return stage(operation, token) }
        engine.pointee.sendToWorker(operation, token)
    }

    func requestCancel(_ token: Token) {
        switch reference {
        case .ioUring(let engine): engine.pointee.requestCancel(token)
        case .threads(let engine): engine.pointee.requestCancel(token)
        case .linuxAIO(let engine): engine.pointee.requestCancel(token)
        case .readahead(let engine): engine.pointee.requestCancel(token)
        }
    }

    @inline(__always)
    func enter(atLeast count: Int, until deadline: Nanoseconds) {
        switch reference {
        case .ioUring(let engine): engine.pointee.enter(atLeast: count, until: deadline)
        case .threads(let engine): engine.pointee.enter(atLeast: count, until: deadline)
        case .linuxAIO(let engine): engine.pointee.enter(atLeast: count, until: deadline)
        case .readahead(let engine): engine.pointee.enter(atLeast: count, until: deadline)
        }
    }

    @inline(__always)
    func drain(into completions: UnsafeMutableBufferPointer<Completion>) -> Int {
        switch reference {
        case .ioUring(let engine): engine.pointee.drain(into: completions)
        case .threads(let engine): engine.pointee.drain(into: completions)
        case .linuxAIO(let engine): engine.pointee.drain(into: completions)
        case .readahead(let engine): engine.pointee.drain(into: completions)
        }
    }

    func wake() {
        switch reference {
        case .ioUring(let engine): engine.pointee.wake()
        case .threads(let engine): engine.pointee.wake()
        case .linuxAIO(let engine): engine.pointee.wake()
        case .readahead(let engine): engine.pointee.wake()
        }
    }

    func exportDescriptor() {
        switch reference {
        case .ioUring(let engine): engine.pointee.exportDescriptor()
        case .threads(let engine): engine.pointee.exportDescriptor()
        case .linuxAIO(let engine): engine.pointee.exportDescriptor()
        case .readahead(let engine): engine.pointee.exportDescriptor()
        }
    }

    func register(files: UnsafeBufferPointer<Int32>) -> Int {
        switch reference {
        case .ioUring(let engine): engine.pointee.register(files: files)
        case .threads(let engine): engine.pointee.register(files: files)
        case .linuxAIO(let engine): engine.pointee.register(files: files)
        case .readahead(let engine): engine.pointee.register(files: files)
        }
    }

    func unregisterFiles() -> Int {
        switch reference {
        case .ioUring(let engine): engine.pointee.unregisterFiles()
        case .threads(let engine): engine.pointee.unregisterFiles()
        case .linuxAIO(let engine): engine.pointee.unregisterFiles()
        case .readahead(let engine): engine.pointee.unregisterFiles()
        }
    }

    func register(buffers: UnsafeBufferPointer<iovec>) -> Int {
        switch reference {
        case .ioUring(let engine): engine.pointee.register(buffers: buffers)
        case .threads(let engine): engine.pointee.register(buffers: buffers)
        case .linuxAIO(let engine): engine.pointee.register(buffers: buffers)
        case .readahead(let engine): engine.pointee.register(buffers: buffers)
        }
    }

    func unregisterBuffers() -> Int {
        switch reference {
        case .ioUring(let engine): engine.pointee.unregisterBuffers()
        case .threads(let engine): engine.pointee.unregisterBuffers()
        case .linuxAIO(let engine): engine.pointee.unregisterBuffers()
        case .readahead(let engine): engine.pointee.unregisterBuffers()
        }
    }
}
