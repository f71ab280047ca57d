/// What serves a class of operations in the engine `threads` in place of the workers.
struct ThreadsServices {
    enum LinuxAIOUse {
        case none
        /// Direct reads and writes, where the kernel allows it.
        case directTransfers
        /// Direct reads and writes, syncs and polls; the engine fails to start where the kernel refuses.
        case everything
    }

    var linuxAIO = LinuxAIOUse.none
    /// Buffered reads.
    var readsAhead = false
}

extension ThreadsServices {
    /// Those that make up an engine, and those that the configuration adds to it.
    init(_ kind: EngineKind, _ configuration: EngineConfiguration) {
        linuxAIO = configuration.sendsDirectToLinuxAIO ? .directTransfers : .none
        readsAhead = configuration.readsAhead
        if kind == .linuxAIO { linuxAIO = .everything }
        if kind == .readahead { readsAhead = true }
    }
}
