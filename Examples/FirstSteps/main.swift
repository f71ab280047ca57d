// The README's samples under More Swift, as a program: copies /etc/hostname into a temporary file and reads it back,
// with a task and with a queue.
import AIO
import AIOCore

// Opens, reads and closes the file. A cached read does not suspend.
let greeting = try await withFile("/etc/hostname") { file in
    try await file.read(upTo: 4096, at: 0)
}

// A directory of our own, which is removed with everything in it.
try await withTemporaryDirectory { directory in
    let path = directory / "first-steps.log"
    try await withFile(path, .readWrite, options: [.create]) { file in
        try await file.writeAll(greeting, at: 0)
        try await file.sync(.data, deadline: .after(.seconds(5)))

        // Reads into the caller's own memory, which is borrowed until the read completes.
        var block = [UInt8](repeating: 0, count: 512)
        var elements = block.mutableSpan
        var bytes = elements.mutableBytes
        let count = try await file.read(into: &bytes, at: 0)
        print("read", count, "bytes")
    }

    // Without tasks, for programs with their own event loop.
    try await withFile(path) { file in
        let queue = try IOQueue()
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { memory.deallocate() }
        try queue.prepare(.read(Transfer(file.descriptor, memory, count: 4096, offset: 0)), context: 1)
        try queue.submit()  // never waits for a device
        try queue.wait(atLeast: 1)  // or: poll(2) on queue.pollableDescriptor
        queue.drain { completion, context in print("operation", context, "read", completion.result, "bytes") }
    }
}

// A loop is a task executor: tasks that prefer it submit without a lock and resume without a thread switch.
let loop = IORuntime.shared.loops[0]
await withTaskExecutorPreference(loop) {
    print("on", loop)
}
