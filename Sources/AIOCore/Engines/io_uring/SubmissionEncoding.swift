internal import CKernel

extension ck_uring_submission {
    /// Encodes `operation` as a submission entry.
    ///
    /// Returns false if the kernel's ring cannot express it (an opcode of a later kernel, a length that does not fit):
    /// the operation then goes to a worker.
    @inline(__always)
    mutating func encode(_ operation: Operation, supported opcodes: UInt64) -> Bool {
        switch operation {
        case .nop:
            opcode = CK_URING_OP_NOP
        case .transfer(let transfer):
            encode(transfer)
            return !transfer.form.contains(.throughPageCache)
        case .poll(let file, let events):
            encode(file, CK_URING_OP_POLL_ADD)
            operation_flags = events
        case .close(let number):
            opcode = CK_URING_OP_CLOSE
            descriptor = number
        case .splice, .tee, .waitForChild:
            // A ring's splice blocks a kernel worker until both ends are ready. Workers attempt these instead, and the
            // queue polls in between.
            return false
        default:
            return encodeFileOperation(operation, supported: opcodes)
        }
        return true
    }

    private mutating func encodeFileOperation(_ operation: Operation, supported opcodes: UInt64) -> Bool {
        switch operation {
        case .sync(let file, let level):
            encode(file, CK_URING_OP_FSYNC)
            operation_flags = level == .data ? CK_URING_FSYNC_DATASYNC : 0
        case .syncRange(let file, let start, let length, let flags):
            encode(file, CK_URING_OP_SYNC_FILE_RANGE, offset: start)
            operation_flags = flags
            return setCount(length)
        case .open(let directory, let path, let how):
            opcode = CK_URING_OP_OPENAT2
            descriptor = directory
            address = UInt64(UInt(bitPattern: path))
            offset = UInt64(UInt(bitPattern: how))
            count = UInt32(MemoryLayout<ck_open_how>.size)
        case .status(let directory, let path, let flags, let mask, let result):
            opcode = CK_URING_OP_STATX
            descriptor = directory
            address = UInt64(UInt(bitPattern: path))
            offset = UInt64(UInt(bitPattern: result))
            count = mask
            operation_flags = UInt32(bitPattern: flags)
        case .allocate(let file, let mode, let start, let length):
            encode(file, CK_URING_OP_FALLOCATE, offset: start)
            address = UInt64(bitPattern: length)
            count = UInt32(bitPattern: mode)
        case .truncate(let file, let size):
            encode(file, CK_URING_OP_FTRUNCATE, offset: size)
            return opcodes & (1 << UInt64(CK_URING_OP_FTRUNCATE)) != 0
        case .advise(let file, let start, let length, let advice):
            encode(file, CK_URING_OP_FADVISE, offset: start)
            operation_flags = UInt32(bitPattern: advice)
            return setCount(length)
        default:
            return encodeNaming(operation, supported: opcodes)
        }
        return true
    }

    /// Operations on names (all since 5.15), extended attributes, sockets and futex waits.
    private mutating func encodeNaming(_ operation: Operation, supported opcodes: UInt64) -> Bool {
        switch operation {
        case .rename(let directory, let path, let newDirectory, let newPath, let flags):
            encode(CK_URING_OP_RENAMEAT, directory, path, newPath)
            count = UInt32(bitPattern: newDirectory)
            operation_flags = flags
        case .unlink(let directory, let path, let flags):
            encode(CK_URING_OP_UNLINKAT, directory, path, nil)
            operation_flags = UInt32(bitPattern: flags)
        case .makeDirectory(let directory, let path, let permissions):
            encode(CK_URING_OP_MKDIRAT, directory, path, nil)
            count = permissions
        case .link(let directory, let path, let newDirectory, let newPath, let flags):
            encode(CK_URING_OP_LINKAT, directory, path, newPath)
            count = UInt32(bitPattern: newDirectory)
            operation_flags = UInt32(bitPattern: flags)
        case .symbolicLink(let target, let directory, let path):
            encode(CK_URING_OP_SYMLINKAT, directory, target, path)
        case .call(let call):
            guard let form = call.ringForm else { return false }
            encode(form)
        case .socket(let call):
            guard !call.isForWorker else { return false }
            encode(call, supported: opcodes)
        case .futexWait(let wait):
            encode(wait)
        default:
            return false
        }
        return opcodes & (1 << UInt64(opcode)) != 0
    }

    /// The futex flags are in the field of the descriptor.
    private mutating func encode(_ wait: FutexWait) {
        opcode = CK_URING_OP_FUTEX_WAIT
        descriptor = Int32(bitPattern: wait.flags)
        address = UInt64(UInt(bitPattern: wait.word))
        offset = UInt64(wait.value)
        address3 = UInt64(UInt32.max)
    }

    private mutating func encode(_ form: BlockingCall.RingForm) {
        opcode = form.opcode
        descriptor = form.descriptor
        address = form.name
        offset = form.value
        count = form.count
        operation_flags = form.flags
        address3 = form.path
    }

    private mutating func encode(
        _ opcode: UInt8, _ directory: Int32, _ path: UnsafePointer<CChar>, _ second: UnsafePointer<CChar>?
    ) {
        self.opcode = opcode
        descriptor = directory
        address = UInt64(UInt(bitPattern: path))
        offset = UInt64(UInt(bitPattern: second))
    }

    @inline(__always)
    mutating func encode(_ file: Descriptor, _ opcode: UInt8, offset: Int64 = 0) {
        self.opcode = opcode
        descriptor = file.number
        self.offset = UInt64(bitPattern: offset)
        if file.isRegistered { flags |= CK_URING_SQE_FIXED_FILE }
    }

    @inline(__always)
    private mutating func encode(_ transfer: Transfer) {
        encode(transfer.descriptor, transfer.ringOpcode, offset: transfer.effectiveOffset)
        address = UInt64(UInt(bitPattern: transfer.base))
        // The kernel transfers at most 2 GiB less a page per call; a longer transfer is short in any case.
        count = UInt32(clamping: min(transfer.count, Int(Int32.max) & ~4095))
        // RWF_HIPRI requires an IOPOLL ring. On this ring the kernel would reject it, although it is only a hint.
        operation_flags = transfer.flags.rawValue & ~CK_RWF_HIPRI
        io_priority = transfer.priority
        if transfer.isInRegisteredBuffer { buffer_index = transfer.bufferIndex }
        // The kernel copies from the page cache on the submitting thread, which takes too long for a large transfer.
        if transfer.descriptor.kind == .buffered, !transfer.flags.contains(.noWait),
            transfer.byteCount > Transfer.inlineLimit
        {
            flags |= CK_URING_SQE_ASYNC
        }
    }

    /// The system call has 64 bits for this length, the entry 32.
    private mutating func setCount(_ length: Int64) -> Bool {
        guard length >= 0, length <= Int64(UInt32.max) else { return false }
        count = UInt32(length)
        return true
    }
}

extension Transfer {
    @inline(__always)
    fileprivate var isInRegisteredBuffer: Bool { bufferIndex != Transfer.unregistered }

    @inline(__always)
    fileprivate var ringOpcode: UInt8 {
        if isVectored { return isWrite ? CK_URING_OP_WRITEV : CK_URING_OP_READV }
        guard isInRegisteredBuffer else { return isWrite ? CK_URING_OP_WRITE : CK_URING_OP_READ }
        return isWrite ? CK_URING_OP_WRITE_FIXED : CK_URING_OP_READ_FIXED
    }
}
