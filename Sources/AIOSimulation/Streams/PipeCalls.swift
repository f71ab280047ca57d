internal import AIOCore
internal import CKernel

extension SimulatedKernel {
    func answerPipeCall(_ call: SystemCall) -> Int? {
        switch call.number {
        case Int(CK_NR_pipe2): return makePipe(call)
        case Int(CK_NR_splice): return splice(call)
        case Int(CK_NR_tee): return tee(call)
        default: return nil
        }
    }

    /// pipe2(2).
    private func makePipe(_ call: SystemCall) -> Int {
        let flags = UInt64(truncatingIfNeeded: call.b)
        guard flags & ~(CK_O_NONBLOCK | CK_O_CLOEXEC) == 0 else { return -Int(EINVAL) }
        guard let ends = UnsafeMutablePointer<Int32>(bitPattern: call.a) else { return -Int(EFAULT) }
        let buffer = PipeBuffer()
        let status = flags & CK_O_NONBLOCK
        let isClosedOnExec = flags & CK_O_CLOEXEC != 0
        let reader = PipeEnd(self, buffer, flags: CK_O_RDONLY | status)
        let read = descriptors.add(reader, closesOnExec: isClosedOnExec)
        guard read >= 0 else { return read }
        let written = descriptors.add(
            PipeEnd(self, buffer, flags: CK_O_WRONLY | status), closesOnExec: isClosedOnExec)
        guard written >= 0 else {
            _ = descriptors.remove(read)
            return written
        }
        (ends[0], ends[1]) = (Int32(read), Int32(written))
        return 0
    }

    /// splice(2). One side must be a pipe.
    private func splice(_ call: SystemCall) -> Int {
        guard call.f & ~15 == 0 else { return -Int(EINVAL) }
        guard call.e > 0 else { return call.e == 0 ? 0 : -Int(EINVAL) }
        guard let input = descriptors[call.a], let output = descriptors[call.c] else { return -Int(EBADF) }
        (input as? PipeEnd)?.isSpliced = true
        (output as? PipeEnd)?.isSpliced = true
        guard input.flags & CK_O_ACCMODE != CK_O_WRONLY, output.flags & CK_O_ACCMODE != CK_O_RDONLY else {
            return -Int(EBADF)
        }
        let isWithoutWaiting = call.f & Int(CK_SPLICE_F_NONBLOCK) != 0
        let count = min(call.e, Self.transferMax)
        let inputOffset = UnsafeMutablePointer<Int64>(bitPattern: call.b)
        let outputOffset = UnsafeMutablePointer<Int64>(bitPattern: call.d)
        switch (input as? PipeEnd, output as? PipeEnd) {
        case (let from?, let to?):
            guard inputOffset == nil, outputOffset == nil else { return -Int(ESPIPE) }
            guard from.buffer !== to.buffer else { return -Int(EINVAL) }
            return move(from, to, count, isWithoutWaiting || from.isNonBlocking || to.isNonBlocking)
        case (let from?, nil):
            guard inputOffset == nil else { return -Int(ESPIPE) }
            guard outputOffset == nil || !(output is StreamDescription) else { return -Int(EINVAL) }
            guard output.flags & CK_O_APPEND == 0 else { return -Int(EINVAL) }
            return drain(from, into: output, outputOffset, count, isWithoutWaiting)
        case (nil, let to?):
            guard outputOffset == nil else { return -Int(ESPIPE) }
            guard inputOffset == nil || !(input is StreamDescription) else { return -Int(EINVAL) }
            return fill(to, from: input, inputOffset, count, isWithoutWaiting)
        case (nil, nil): return -Int(EINVAL)
        }
    }

    /// Whether a pipe has something to take: nil if so, otherwise the call's result.
    private func wait(for from: PipeEnd, _ withoutWaiting: Bool) -> Int? {
        guard from.buffer.isEmpty else { return nil }
        return from.buffer.writerCount == 0 ? 0 : from.blocked(withoutWaiting)
    }

    /// Whether a pipe has room: nil if so, otherwise the call's result.
    private func room(in to: PipeEnd, _ withoutWaiting: Bool) -> Int? {
        guard to.buffer.readerCount > 0 else { return -Int(EPIPE) }
        return to.buffer.isFull ? to.blocked(withoutWaiting) : nil
    }

    /// Between two pipes (ipipe_prep, opipe_prep): the end of the input is looked at after the output's room.
    private func preparation(_ from: PipeEnd, _ to: PipeEnd, _ withoutWaiting: Bool) -> Int? {
        let result = wait(for: from, withoutWaiting)
        return (result == 0 ? nil : result) ?? room(in: to, withoutWaiting) ?? result
    }

    /// From pipe to pipe: whole pages move, and a part of one is shared.
    private func move(_ from: PipeEnd, _ to: PipeEnd, _ count: Int, _ withoutWaiting: Bool) -> Int {
        if let result = preparation(from, to, withoutWaiting) { return result }
        var left = count
        while left > 0, !to.buffer.isFull, let page = from.buffer.pages.first {
            let part = min(left, page.count)
            to.buffer.append(part == page.count ? page : Self.part(of: page, part))
            from.buffer.drop(part)
            left -= part
        }
        from.buffer.changed()
        to.buffer.changed()
        return count - left
    }

    private static func part(of page: PipeBuffer.Page, _ count: Int) -> PipeBuffer.Page {
        PipeBuffer.Page(
            bytes: Array(page.bytes[..<(page.start + count)]), start: page.start, acceptsMore: false)
    }

    /// From a pipe to a socket or file, page by page.
    private func drain(
        _ from: PipeEnd, into output: OpenDescription, _ offset: UnsafeMutablePointer<Int64>?, _ count: Int,
        _ withoutWaiting: Bool
    ) -> Int {
        if let result = wait(for: from, withoutWaiting || from.isNonBlocking) { return result }
        var moved = 0
        while moved < count, let page = from.buffer.pages.first {
            let part = min(count - moved, page.count)
            let result = page.bytes.withUnsafeBytes { bytes in
                let part = UnsafeRawBufferPointer(rebasing: bytes[page.start..<page.start + part])
                return output.write(
                    [part], at: offset?.pointee,
                    flags: withoutWaiting && output is SocketDescription ? CK_RWF_NOWAIT : 0)
            }
            guard result > 0 else { return finish(from, moved, else: result) }
            from.buffer.drop(result)
            offset?.pointee += Int64(result)
            moved += result
            guard result == part else { break }
        }
        return finish(from, moved, else: 0)
    }

    private func finish(_ end: PipeEnd, _ moved: Int, else result: Int) -> Int {
        guard moved > 0 else { return result }
        end.buffer.changed()
        return moved
    }

    /// From a socket or file into a pipe: one page per part, at the boundaries of the file's pages.
    private func fill(
        _ to: PipeEnd, from input: OpenDescription, _ offset: UnsafeMutablePointer<Int64>?, _ count: Int,
        _ withoutWaiting: Bool
    ) -> Int {
        if input is StreamDescription, !(input is SocketDescription) { return -Int(EINVAL) }
        if let result = room(in: to, withoutWaiting || to.isNonBlocking) { return result }
        var moved = 0
        while moved < count, !to.buffer.isFull {
            let start = Int((offset?.pointee ?? 0) % Int64(PipeBuffer.pageSize))
            let part = min(count - moved, PipeBuffer.pageSize - start)
            let (result, bytes) = Self.bytes(
                input, part, at: offset?.pointee,
                withoutWaiting: (withoutWaiting || moved > 0) && input is SocketDescription)
            guard result > 0 else { return finish(to, moved, else: result) }
            to.buffer.append(PipeBuffer.Page(bytes: Array(bytes[..<result]), acceptsMore: false))
            offset?.pointee += Int64(result)
            moved += result
            guard result == part else { break }
        }
        return finish(to, moved, else: 0)
    }

    private static func bytes(
        _ input: OpenDescription, _ count: Int, at offset: Int64?, withoutWaiting: Bool
    ) -> (result: Int, bytes: [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = bytes.withUnsafeMutableBytes {
            input.read(into: [$0], at: offset, flags: withoutWaiting ? CK_RWF_NOWAIT : 0)
        }
        return (result, bytes)
    }

    /// tee(2): copies without taking.
    private func tee(_ call: SystemCall) -> Int {
        guard call.d & ~15 == 0 else { return -Int(EINVAL) }
        guard call.c > 0 else { return call.c == 0 ? 0 : -Int(EINVAL) }
        guard let input = descriptors[call.a], let output = descriptors[call.b] else { return -Int(EBADF) }
        guard input.flags & CK_O_ACCMODE != CK_O_WRONLY, output.flags & CK_O_ACCMODE != CK_O_RDONLY else {
            return -Int(EBADF)
        }
        guard let from = input as? PipeEnd, let to = output as? PipeEnd, from.buffer !== to.buffer else {
            return -Int(EINVAL)
        }
        let isWithoutWaiting = call.d & Int(CK_SPLICE_F_NONBLOCK) != 0 || from.isNonBlocking || to.isNonBlocking
        if let result = preparation(from, to, isWithoutWaiting) { return result }
        var copied = 0
        for page in from.buffer.pages where copied < call.c && !to.buffer.isFull {
            let part = min(call.c - copied, page.count)
            to.buffer.append(Self.part(of: page, part))
            copied += part
        }
        to.buffer.changed()
        return copied
    }
}
