public import AIOCore
internal import CDropIns

/// What becomes of a read or write that is submitted. Both libraries decide it here, in one order:
///
/// 1. The open flags and the access mode (`OpenFlags`), between which libaio checks what only it has.
/// 2. The page cache, in the call (`served`).
/// 3. The file, joined or identified, and its kind (`decide`).
/// 4. For a stream: whether the call may wait, and whether a write is whole (`decide`).
/// 5. For a file: its flags as of submission (`fixFlags`).
/// 6. The hold of the file (`Carrier.hold`), unless it was joined.
/// 7. A worker or the loop (`Carrier.carry`).
///
/// Between 4 and 7 each library has its own order of operations: lanes, syncs and notifications.
public struct TransferAcceptance {
    public private(set) var transfer: Transfer
    /// The file that the number names, once `decide` has asked for it.
    public private(set) var file = FileIdentity()
    /// Whether the transfer's descriptor is a hold of the file, which the caller releases.
    public private(set) var isHeld = false
    private let openFlags: OpenFlags
    private let byteCount: Int
    /// Why the file is not known; 0 if it is.
    private var identifyError: Int32 = 0

    /// What the caller does with a transfer that was not served in the call.
    public enum Decision {
        /// Hands it over.
        case file
        /// Hands it over, or attempts it once if the file is open with O_NONBLOCK.
        case stream(isNonBlocking: Bool)
        /// The file is a directory or another file without data.
        case other
        /// Refuses it, as the original does for want of memory: whether it may wait for ever is not known.
        case noMemory
        /// Completes it with this errno: the kernel does not tell what the file is.
        case notTold(errno: Int32)
    }

    /// The result of a read that the page cache serves in the call; nil if the transfer is to be accepted. The
    /// descriptor has not been classified yet and is assumed to be a buffered file, the most frequent kind.
    @inline(__always)
    public static func served(
        _ transfer: Transfer, byteCount: Int, _ openFlags: OpenFlags, _ guess: borrowing CacheGuess
    ) -> Int? {
        openFlags.isDirect ? nil : transfer.servedInTheCall(guess, byteCount: byteCount)
    }

    public init(_ transfer: Transfer, byteCount: Int, _ openFlags: OpenFlags) {
        self.transfer = transfer
        self.byteCount = byteCount
        self.openFlags = openFlags
    }

    /// Decides what becomes of a transfer that the page cache did not serve. Operations on the file may have a hold of
    /// it with `carrier`, which this one joins.
    public mutating func decide<Record>(joining carrier: Carrier<Record>?) -> Decision {
        assert(!isHeld, "the transfer has joined a hold already")
        transfer.form.insert(.cacheMissed)
        identify(joining: carrier)
        if identifyError == ENOMEM { return .noMemory }
        switch transfer.descriptor.kind {
        case .unknown: return .notTold(errno: identifyError)
        case .buffered, .direct: return .file
        case .other: return .other
        case .stream: return prepareForStream()
        }
    }

    private mutating func identify<Record>(joining carrier: Carrier<Record>?) {
        if let joined = carrier?.join(transfer.descriptor.number) {
            (transfer.descriptor, file) = joined
            // The file may have been switched since the hold was made.
            transfer.descriptor.kind = openFlags.isDirect ? .direct : .buffered
            isHeld = true
        } else {
            (transfer.descriptor, file) = Descriptor.identify(transfer.descriptor.number, errno: &identifyError)
        }
    }

    private mutating func prepareForStream() -> Decision {
        if transfer.isWrite, transfer.isVectored, byteCount == 0 {
            // writev(2) without bytes would return before it asks the file.
            (transfer.base, transfer.count) = (nil, 0)
            transfer.form.remove(.vectored)
        }
        // Without O_NONBLOCK or RWF_NOWAIT a write returns when all is written.
        if transfer.isWrite, !openFlags.isNonBlocking, !transfer.flags.contains(.noWait) {
            transfer.form.insert(.whole)
        }
        return .stream(isNonBlocking: openFlags.isNonBlocking)
    }

    /// For a file, before it is held: its flags stay in effect as they are now.
    public mutating func fixFlags<Record>(for carrier: @autoclosure () -> Carrier<Record>?) {
        assert(transfer.descriptor.kind != .stream, "a stream has no flags that stay in effect")
        guard transfer.isWrite else { return }
        transfer.fix(openFlags, knowsNoAppend: carrier()?.knowsNoAppend ?? false)
    }

    /// Whether the transfer writes to the end of a file, after `fixFlags`.
    public var isAppend: Bool { transfer.isWrite && transfer.flags.contains(.append) }
}
