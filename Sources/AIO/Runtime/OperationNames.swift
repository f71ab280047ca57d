internal import AIOCore
internal import CKernel

extension Operation {
    /// The word that errors use.
    var name: String {
        switch self {
        case .nop: "nop"
        case .read, .readVectored: "read"
        case .write, .writeVectored: "write"
        case .sync(_, .full): "fsync"
        case .sync(_, .data): "fdatasync"
        case .syncRange: "sync_file_range"
        case .open: "open"
        case .close: "close"
        case .status: "statx"
        case .allocate: "fallocate"
        case .truncate: "truncate"
        case .advise: "fadvise"
        case .rename: "rename"
        case .unlink(_, _, let flags): flags & CK_AT_REMOVEDIR != 0 ? "rmdir" : "unlink"
        case .makeDirectory: "mkdir"
        case .link: "link"
        case .symbolicLink: "symlink"
        case .call(let call): "\(call.kind)"
        case .work: "work"
        case .poll, .pollEach: "poll"
        case .timeout, .repeatingTimeout: "timeout"
        case .buffers: "buffers"
        case .cancel, .cancelAll: "cancel"
        case .socket(let call): call.name
        case .splice: "splice"
        case .tee: "tee"
        case .waitForChild: "waitid"
        case .futexWait: "futex"
        }
    }
}

extension SocketCall {
    fileprivate var name: String {
        switch self {
        case .create: "socket"
        case .bind: "bind"
        case .listen: "listen"
        case .accept, .acceptEach: "accept"
        case .connect: "connect"
        case .receive, .receiveBuffered, .receiveMessage: "receive"
        case .send, .sendZeroCopy, .sendMessage: "send"
        case .shutdown: "shutdown"
        }
    }
}
