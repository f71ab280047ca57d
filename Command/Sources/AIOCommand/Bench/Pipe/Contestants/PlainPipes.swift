import AIOCore
import CKernel

/// Two threads that block in read(2) and write(2).
struct BlockingPipes: PipeContestant {
    let name = "read/write, 2 threads"
    let isNonBlocking = false

    func run(_ turn: PipeTurn) throws -> Recorder.Times {
        let pipes = turn.pipes
        return try OtherParty.run {
            let buffer = turn.makeBuffer()
            while try PipeTransfer.read(pipes.there.reading, buffer[0], turn.size, wait: {}) {
                try PipeTransfer.write(pipes.back.writing, buffer[0], turn.size)
            }
        } _: {
            defer { pipes.endThere() }
            return try turn.measure { message, buffer in
                try PipeTransfer.write(pipes.there.writing, message, turn.size)
                _ = try PipeTransfer.read(pipes.back.reading, buffer, turn.size, wait: {})
            }
        }
    }
}

/// Two threads, each with an epoll loop for one party.
struct EpollPipes: PipeContestant {
    let name = "epoll, 2 loops"
    let isNonBlocking = true

    func run(_ turn: PipeTurn) throws -> Recorder.Times {
        let pipes = turn.pipes
        return try OtherParty.run {
            let epoll = try PipeEpoll([pipes.there.reading])
            let buffer = turn.makeBuffer()
            while true {
                _ = try epoll.wait()
                let isThere = try PipeTransfer.read(pipes.there.reading, buffer[0], turn.size) { _ = try epoll.wait() }
                guard isThere else { break }
                try PipeTransfer.write(pipes.back.writing, buffer[0], turn.size)
            }
        } _: {
            defer { pipes.endThere() }
            let epoll = try PipeEpoll([pipes.back.reading])
            return try turn.measure { message, buffer in
                try PipeTransfer.write(pipes.there.writing, message, turn.size)
                _ = try epoll.wait()
                _ = try PipeTransfer.read(pipes.back.reading, buffer, turn.size) { _ = try epoll.wait() }
            }
        }
    }
}

/// One thread with an epoll loop for both parties.
struct EpollPipesTogether: PipeContestant {
    let name = "epoll, 1 loop"
    let isNonBlocking = true

    func run(_ turn: PipeTurn) throws -> Recorder.Times {
        let pipes = turn.pipes
        let epoll = try PipeEpoll([pipes.there.reading, pipes.back.reading])
        let other = turn.makeBuffer()
        return try turn.measure { message, buffer in
            try PipeTransfer.write(pipes.there.writing, message, turn.size)
            while true {
                if try epoll.wait() == pipes.there.reading {
                    _ = try PipeTransfer.read(pipes.there.reading, other[0], turn.size, wait: {})
                    try PipeTransfer.write(pipes.back.writing, other[0], turn.size)
                } else {
                    _ = try PipeTransfer.read(pipes.back.reading, buffer, turn.size, wait: {})
                    return
                }
            }
        }
    }
}

/// An epoll(7) instance over the read ends of pipes.
struct PipeEpoll: ~Copyable {
    private let epoll: OpenDescriptor

    init(_ pipes: [Int32]) throws {
        let made = Kernel.epollCreate()
        guard made >= 0 else { throw Failure("epoll_create1", result: made) }
        let epoll = OpenDescriptor(owning: Int32(made))
        for pipe in pipes {
            let added = Kernel.epollControl(
                epoll.number, CK_EPOLL_CTL_ADD, pipe, CK_POLLIN, UInt64(UInt32(bitPattern: pipe)))
            guard added >= 0 else { throw Failure("epoll_ctl", result: added) }
        }
        self.epoll = epoll
    }

    /// Waits for a readable pipe and returns it.
    borrowing func wait() throws -> Int32 {
        var event = ck_epoll_event()
        while true {
            let count = Kernel.epollWait(epoll.number, &event, 1, until: .never)
            if count == 1 { return Int32(truncatingIfNeeded: event.data) }
            try Interruption.check()
        }
    }
}
