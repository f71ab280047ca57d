// Reads files in libdispatch's loop, without tasks: `dispatch-loop FILE...` prints the number of lines of each file.
// Other event loops can wait for a queue's descriptor as well: GLib's g_unix_fd_add, libuv's uv_poll_t, or plain epoll.
import AIO
import AIOCore
import Dispatch
import Glibc

/// One file, read in pieces into its own buffer.
struct Reading {
    let path: String
    let descriptor: Descriptor
    let memory: UnsafeMutableRawBufferPointer
    var offset: Int64 = 0
    var lines = 0

    init?(_ path: String) {
        let number = open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return nil }
        self.path = path
        descriptor = Descriptor(number)
        memory = .allocate(byteCount: 256 << 10, alignment: 4096)
    }

    var next: Operation { .read(Transfer(descriptor, memory.baseAddress, count: memory.count, offset: offset)) }

    /// Returns false at the end or after an error.
    mutating func take(_ result: Int32) -> Bool {
        guard result > 0 else { return false }
        lines += memory[..<Int(result)].count { $0 == UInt8(ascii: "\n") }
        offset += Int64(result)
        return true
    }
}

do {
    var readings: [Reading] = []
    for path in CommandLine.arguments.dropFirst() {
        guard let reading = Reading(path) else {
            throw IOError(.notFound, "open", errno: Errno(rawValue: errno), path: Path(path))
        }
        readings.append(reading)
    }
    if readings.isEmpty { throw IOError(.invalidArgument, "dispatch-loop", advice: "give it FILE...") }
    var configuration = IOQueue.Configuration()
    configuration.queueDepth = readings.count
    let queue = try IOQueue(configuration)
    for index in readings.indices { try queue.prepare(readings[index].next, context: UInt(index)) }
    try queue.submit()
    var left = readings.count
    let source = DispatchSource.makeReadSource(fileDescriptor: try queue.pollableDescriptor, queue: .main)
    source.setEventHandler {
        // Operations prepared in the closure are submitted below.
        queue.drain { completion, context in
            let index = Int(context)
            if readings[index].take(completion.result) {
                do { try queue.prepare(readings[index].next, context: context) } catch { fail("\(error)") }
                return
            }
            if completion.result < 0 { fail("read \(readings[index].path): \(Errno(rawValue: -completion.result))") }
            print(readings[index].lines, readings[index].path)
            left -= 1
        }
        do { try queue.submit() } catch { fail("\(error)") }
        if left == 0 { exit(0) }
    }
    source.resume()
    dispatchMain()
} catch {
    fail("\(error)")
}

func fail(_ text: String) -> Never {
    let line = "dispatch-loop: \(text)\n"
    _ = write(2, line, line.utf8.count)
    exit(1)
}
