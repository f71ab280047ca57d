import AIO
import AIOCore

/// How the automatically selected engine serves a file. This depends on the file's backing.
struct ServiceText: CustomStringConvertible {
    private let backing: Descriptor.Backing
    private let knowsNoWait: Bool
    private let engine: EngineKind
    private let features = KernelFeatures.probe()

    /// nil if no engine is available.
    init?(_ number: Int32, knowsNoWait: Bool) {
        guard let engine = try? IOQueue().selection.engine else { return nil }
        self.engine = engine
        self.knowsNoWait = knowsNoWait
        backing = Descriptor.classify(number).backing
    }

    var description: String {
        [("cached reads", cachedReads), ("other reads", otherReads), ("direct transfers", directTransfers)]
            .map { "  \(pad($0, 18))\($1)\n" }.joined()
    }

    private var cachedReads: String {
        switch backing {
        case .memory where features.hasCachestat: "in the call, if cachestat shows that nothing is swapped out"
        case .memory: "like other reads: without cachestat (Linux 6.5) it is unknown what is swapped out"
        case .device, .remote:
            knowsNoWait ? "in the call (RWF_NOWAIT)" : "like other reads: the file system has no RWF_NOWAIT"
        }
    }

    private var otherReads: String {
        switch (backing, engine) {
        case (.remote, .ioUring):
            "by the kernel's workers, at most \(remoteLimit) at once: the file system may never answer"
        case (.remote, _): "by workers, at most \(remoteLimit) at once: the file system may never answer"
        case (_, .ioUring): knowsNoWait ? "by the ring" : "by the ring, on one of the kernel's workers"
        default: "by workers"
        }
    }

    private var directTransfers: String {
        switch (backing, engine) {
        case (.remote, _), (.memory, _): "like other reads"
        case (.device, .ioUring): "by the ring"
        case (.device, .threads) where features.linuxAIOErrno == 0: "by the kernel's Linux AIO"
        default: "by workers"
        }
    }

    private var remoteLimit: Int { EngineConfiguration().remoteLimit }
}
