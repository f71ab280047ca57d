internal import CKernel

/// Takes the place of the blocking calls that workers make: each is one step, and succeeds.
extension Operation {
    func blockingResult() -> Int {
        Execution.current?.point()
        return 0
    }
}

extension WorkerPool {
    func endChangedFutexWaits() {}
}

enum Interruption {
    static func allowed(_ body: () -> Int) -> Int { body() }
    static func interrupt(_ thread: Int32) {}
}

enum PageCacheAttempt {
    enum Answer { case done(Int), wait, refused }
    static func ask(_ transfer: Transfer) -> Answer { .wait }
}

extension Kernel {
    static func readahead(_ descriptor: Int32, _ offset: Int64, _ count: Int) -> Int { 0 }
    static func statx(
        _ directory: Int32, _ path: UnsafePointer<CChar>, _ flags: Int32, _ mask: UInt32, _ status: inout ck_statx
    ) -> Int { 0 }
}

extension Transfer {
    var byteCount: Int { 0 }
    func ask() -> PageCacheAttempt.Answer {
        Execution.current?.point()
        return .wait
    }
}
