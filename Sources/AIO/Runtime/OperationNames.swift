internal import AIOCore

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
        case .poll: "poll"
        case .timeout: "timeout"
        case .cancel: "cancel"
        }
    }
}
