internal import AIOCore
public import CDropIns
public import CKernel
internal import DropInSupport

// The functions of POSIX AIO, except for those that wait (posix_waits.c). On failure they set errno and return -1. On
// 64-bit Linux the functions with 64 in their names are the same.

public typealias BlockPointer = UnsafeMutablePointer<aiocb>
public typealias BlockList = UnsafePointer<UnsafeMutablePointer<aiocb>?>

/// Converts 0 or a positive error to libc's convention.
private func outcome(_ error: Int32) -> Int32 {
    guard error != 0 else { return 0 }
    __errno_location().pointee = error
    return -1
}

private func submit(_ block: BlockPointer, _ opcode: Int32) -> Int32 {
    let began = Statistics.beginSubmit()
    defer { Statistics.completeSubmit(began) }
    return outcome(Submission.accept(ControlBlock(block), opcode))
}

@_cdecl("aio_read")
public func exportRead(_ block: BlockPointer) -> Int32 {
    submit(block, Submission.read)
}

@_cdecl("aio_write")
public func exportWrite(_ block: BlockPointer) -> Int32 {
    submit(block, Submission.write)
}

@_cdecl("aio_fsync")
public func exportSync(_ level: Int32, _ block: BlockPointer) -> Int32 {
    let flags = UInt64(UInt32(bitPattern: level))
    guard flags == CK_O_SYNC || flags == CK_O_DSYNC else { return outcome(EINVAL) }
    guard Kernel.openFlags(block.pointee.aio_fildes) >= 0 else { return outcome(EBADF) }
    let opcode = flags == CK_O_SYNC ? Submission.fullSync : Submission.dataSync
    return submit(block, opcode)
}

@_cdecl("aio_error")
public func exportError(_ block: BlockPointer) -> Int32 { ControlBlock(block).error }

@_cdecl("aio_return")
public func exportReturn(_ block: BlockPointer) -> Int { ControlBlock(block).result }

@_cdecl("aio_cancel")
public func exportCancel(_ descriptor: Int32, _ block: BlockPointer?) -> Int32 {
    let answer = Cancellation.cancel(descriptor, block)
    return answer < 0 ? outcome(-answer) : answer
}

/// Hints about the number of threads and requests. Ignored here.
@_cdecl("aio_init")
public func exportInit(_ hints: UnsafeRawPointer?) {}

@_cdecl("aio_read64")
public func exportRead64(_ block: BlockPointer) -> Int32 { exportRead(block) }

@_cdecl("aio_write64")
public func exportWrite64(_ block: BlockPointer) -> Int32 { exportWrite(block) }

@_cdecl("aio_fsync64")
public func exportSync64(_ level: Int32, _ block: BlockPointer) -> Int32 { exportSync(level, block) }

@_cdecl("aio_error64")
public func exportError64(_ block: BlockPointer) -> Int32 { exportError(block) }

@_cdecl("aio_return64")
public func exportReturn64(_ block: BlockPointer) -> Int { exportReturn(block) }

@_cdecl("aio_cancel64")
public func exportCancel64(_ descriptor: Int32, _ block: BlockPointer?) -> Int32 { exportCancel(descriptor, block) }
