// Swift declares and calls the functions of this target by name: Sources/AIO/Runtime/Cancellation.swift.
