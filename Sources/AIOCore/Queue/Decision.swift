/// What becomes of an operation after a completion of its engine. `RetryPolicy`, `Steps` and `WholeWrite` decide, and
/// the queue carries it out.
enum Decision: BitwiseCopyable {
    /// The operation ends.
    case finish(Int32, CompletionFlags)
    /// One of its completions; it goes on when that is drained.
    case deliverMore(Int32, CompletionFlags)
    /// It was attempted on this thread: decide again, by this result.
    case judge(Int32)
    /// Stage this poll, and decide again by its completion.
    case awaitReadiness(Operation)
    /// Stage it again after a pause, since no poll tells when.
    case pause
    /// Stage it again in this form. `isReady`: its descriptor was polled ready.
    case stageAgain(Operation, isReady: Bool = false)
    /// The kernel dropped it with the thread that submitted it: stage it again, as this thread's.
    case stageDropped
    /// Have a worker execute it.
    case stageWithWorker
}
