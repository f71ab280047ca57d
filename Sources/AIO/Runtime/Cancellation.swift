/// Calls `handler` when the task is cancelled while `operation` runs; at once, if it is cancelled already. The same as
/// `withTaskCancellationHandler(operation:onCancel:)` for callers that stay on their executor. That function, which
/// cannot be inlined, switches executors four times around the operation, which was a quarter of all instructions of an
/// operation on a loop.
///
/// It calls what the standard library calls, as it is in Swift 6.3; with a later compiler it is the standard function
/// until someone has looked.
@inline(__always)
nonisolated(nonsending) func onCancel<Value>(
    _ handler: @Sendable () -> Void, _ operation: nonisolated(nonsending) () async -> Value
) async -> Value {
    #if compiler(<6.4)
        // The runtime keeps the handler's address. The handler and its context are the caller's, and live longer.
        let record = addCancellationHandler(handler)
        defer { removeCancellationHandler(record) }
        return await operation()
    #else
        return await withTaskCancellationHandler(operation: operation, onCancel: handler)
    #endif
}

// Of the target CTaskCancellation.

@_silgen_name("aio_add_cancellation_handler")
private func addCancellationHandler(_ handler: () -> Void) -> UnsafeRawPointer

@_silgen_name("aio_remove_cancellation_handler")
private func removeCancellationHandler(_ record: UnsafeRawPointer)
