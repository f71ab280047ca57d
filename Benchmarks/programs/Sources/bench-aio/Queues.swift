import AIO
import AIOCore
import Glibc

/// `queue-nop DEPTH COUNT`: batches of no-operations, each of which is waited for.
func queueNop(_ arguments: inout Arguments) throws {
    let depth = try arguments.number()
    let count = try arguments.number()
    var configuration = IOQueue.Configuration()
    configuration.queueDepth = depth
    let queue = try IOQueue(configuration)
    var done = 0
    var sum: UInt = 0
    let turn = Turn()
    while done < count {
        for context in 0..<UInt(depth) { try queue.prepare(.nop, context: context) }
        try queue.wait(atLeast: depth)
        done += queue.drain { completion, context in
            precondition(completion.result == 0)
            sum &+= context
        }
    }
    turn.end(done)
    precondition(depth == 1 || sum > 0)
}

/// `queue-read FILE DEPTH COUNT` and `queue-write`: DEPTH transfers of a block in flight until COUNT are done.
func queueTransfers(_ arguments: inout Arguments, isWrite: Bool) throws {
    let path = try arguments.text()
    let depth = try arguments.number()
    let count = try arguments.number()
    // By a plain call: a queue needs no runtime, whose threads would be part of what is counted.
    let number = open(path, (isWrite ? O_RDWR : O_RDONLY) | O_CLOEXEC)
    guard number >= 0 else { throw Refusal(text: "\(path): \(String(cString: strerror(errno)))") }
    defer { close(number) }
    let blocks = try blockCount(Int64(lseek(number, 0, SEEK_END)))
    var configuration = IOQueue.Configuration()
    configuration.queueDepth = depth
    let queue = try IOQueue(configuration)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: depth * blockSize, alignment: blockSize)
    memory.initializeMemory(as: UInt8.self, repeating: 7)
    defer { memory.deallocate() }
    try run(queue, .classify(number), memory.baseAddress!, blocks, depth: depth, count: count, isWrite: isWrite)
}

private func run(
    _ queue: IOQueue, _ file: Descriptor, _ memory: UnsafeMutableRawPointer, _ blocks: Int, depth: Int, count: Int,
    isWrite: Bool
) throws {
    var staged = 0
    var done = 0
    func stage(_ slot: Int) throws(IOError) {
        let transfer = Transfer(
            file, memory + slot * blockSize, count: blockSize, offset: offset(staged, of: blocks))
        try queue.prepare(isWrite ? .write(transfer) : .read(transfer), context: UInt(slot))
        staged += 1
    }
    let turn = Turn()
    while staged < min(depth, count) { try stage(staged) }
    var refused: IOError?
    while done < count {
        try queue.wait()
        done += queue.drain { completion, context in
            precondition(completion.result == blockSize, "a transfer of a block returned \(completion.result)")
            guard staged < count, refused == nil else { return }
            do throws(IOError) { try stage(Int(context)) } catch { refused = error }
        }
        if let refused { throw refused }
    }
    turn.end(done)
}
