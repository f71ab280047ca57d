/// What a simulated caller can ask for. A kind is an operation with the properties that change what the queue must do
/// with it.
enum Kind: UInt8, CaseIterable {
    case nop, read, readDirect, readStream, readVectored, write, writeDirect, writeStream, wholeWrite, wholeVectored
    case sync, dataSync, syncRange, open, close, status, allocate, truncate, advise, rename, unlink, makeDirectory
    case link, symbolicLink, call, work, workRelease
    case create, bind, listen, accept, acceptEach, connect, connectUnix, receive, receiveBuffered, receiveEach
    case receiveMessage, send, sendZeroCopy, sendMessage, sendMessageUnix, shutdown
    case splice, spliceFile, tee, waitForChild, futexWait, poll, pollEach, timeout, repeatingTimeout
    case register, provide, unregister, cancelAll, cancel

    /// What is promised about a kind: written down a second time, and not taken from `OperationTraits`.
    struct Facts: OptionSet {
        let rawValue: UInt32

        /// It has a waiting place.
        static let wait = Facts(rawValue: 1 << 0)
        /// Its completions are messages.
        static let message = Facts(rawValue: 1 << 1)
        static let release = Facts(rawValue: 1 << 2)
        /// After EAGAIN it waits until its descriptor is readable.
        static let input = Facts(rawValue: 1 << 3)
        /// After EAGAIN it waits until its descriptor is writable.
        static let output = Facts(rawValue: 1 << 4)
        /// EINTR is not seen by the caller.
        static let restarts = Facts(rawValue: 1 << 5)
        /// A worker can execute it.
        static let worker = Facts(rawValue: 1 << 6)
        static let makesDescriptor = Facts(rawValue: 1 << 7)
        static let steps = Facts(rawValue: 1 << 8)
        static let repeating = Facts(rawValue: 1 << 9)
        static let whole = Facts(rawValue: 1 << 10)
        static let timer = Facts(rawValue: 1 << 11)
        static let atOnce = Facts(rawValue: 1 << 12)
        /// After EAGAIN it waits some time.
        static let paced = Facts(rawValue: 1 << 13)
        static let connects = Facts(rawValue: 1 << 14)
        static let transfer = Facts(rawValue: 1 << 15)
        static let writes = Facts(rawValue: 1 << 16)
        static let splices = Facts(rawValue: 1 << 17)
        /// A transfer of a pipe or socket.
        static let stream = Facts(rawValue: 1 << 18)
        static let polls = Facts(rawValue: 1 << 19)
        static let buffered = Facts(rawValue: 1 << 20)
    }

    private static let table: [Facts] = allCases.map(\.row)

    @inline(__always)
    var facts: Facts { Self.table[Int(rawValue)] }

    private var row: Facts {
        switch self {
        case .nop: []
        case .read, .readDirect, .readVectored: [.transfer, .input, .restarts, .worker]
        case .readStream: [.transfer, .input, .restarts, .wait, .message, .stream]
        case .write, .writeDirect: [.transfer, .output, .restarts, .worker, .writes]
        case .writeStream: [.transfer, .output, .restarts, .wait, .writes, .stream]
        case .wholeWrite, .wholeVectored: [.transfer, .output, .restarts, .wait, .whole, .writes, .stream]
        case .sync, .dataSync, .syncRange, .status, .allocate, .truncate, .advise, .rename, .unlink, .makeDirectory,
            .link, .symbolicLink, .call:
            [.worker]
        case .open: [.worker, .makesDescriptor]
        case .close: [.worker, .release]
        case .work: []
        case .workRelease: [.release]
        case .create: [.wait, .restarts, .makesDescriptor]
        case .bind, .listen, .shutdown: [.wait, .restarts]
        case .accept: [.wait, .restarts, .input, .message, .makesDescriptor]
        case .acceptEach: [.wait, .restarts, .input, .message, .makesDescriptor, .steps, .repeating]
        case .connect: [.wait, .restarts, .connects]
        case .connectUnix: [.wait, .restarts, .connects, .paced]
        case .receive, .receiveMessage: [.wait, .restarts, .input, .message]
        case .receiveBuffered: [.wait, .restarts, .input, .message, .steps, .buffered]
        case .receiveEach: [.wait, .restarts, .input, .message, .steps, .repeating, .buffered]
        case .send, .sendZeroCopy, .sendMessage: [.wait, .restarts, .output]
        case .sendMessageUnix: [.wait, .restarts, .output, .paced]
        case .splice, .tee: [.wait, .message, .splices]
        case .spliceFile: [.splices]
        case .waitForChild: [.wait, .message, .input]
        case .futexWait: [.wait, .message]
        case .poll: [.wait, .message, .restarts, .polls]
        case .pollEach: [.wait, .message, .restarts, .steps, .repeating, .polls]
        case .timeout: [.wait, .timer]
        case .repeatingTimeout: [.wait, .timer, .repeating]
        case .register, .cancelAll, .cancel: [.atOnce]
        case .provide, .unregister: [.atOnce, .release]
        }
    }
}
