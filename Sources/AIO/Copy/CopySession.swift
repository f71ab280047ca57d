internal import AIOCore
internal import CKernel
internal import Synchronization

/// The state shared by all parts of one copy.
final class CopySession: Sendable {
    let options: CopyOptions
    private let progress: CopyProgress
    /// The bytes of this copy alone; several copies may share `progress`. Relaxed: the counter guards no data.
    private let byteCounter = Atomic<Int64>(0)
    /// Whether FICLONE or copy_file_range(2) does not work between these file systems. Relaxed: a hint.
    private let cloneIsRefused = Atomic<Bool>(false)
    private let rangeIsRefused = Atomic<Bool>(false)
    /// Whether owners can be set at all; the kernel refuses it to other users.
    let isSuperUser = Kernel.effectiveUser() == 0

    /// Whether there are fewer descriptors than a copy at full width uses. It then does less at a time.
    let hasFewDescriptors: Bool
    /// The maximum number of operations in flight.
    let width: Int

    init(_ options: CopyOptions, _ progress: CopyProgress, freeDescriptors: Int) {
        self.options = options
        self.progress = progress
        hasFewDescriptors = freeDescriptors < Self.descriptorsAtBest
        // A worker's file uses two descriptors and two directories, and the walk has some directories open.
        let fitting = max(1, (freeDescriptors - 12) / 6)
        width = hasFewDescriptors ? min(options.depth, fitting) : options.depth
        cloneIsRefused.store(!options.sharesBlocks, ordering: .relaxed)
        rangeIsRefused.store(!options.sharesBlocks, ordering: .relaxed)
    }

    /// The number of bytes that this copy has copied.
    var bytes: Int64 { byteCounter.load(ordering: .relaxed) }

    func add(bytes count: Int64) {
        byteCounter.wrappingAdd(count, ordering: .relaxed)
        progress.add(bytes: count)
    }

    func add(files count: Int) { progress.add(files: count) }

    /// The descriptors of a walk, of incomplete directories, and of eight batches of 16 files, each in a directory of
    /// its own.
    private static var descriptorsAtBest: Int { 700 }

    /// ioctl_ficlone(2). Returns false if the content must be copied.
    func clone(_ source: Int32, to target: Int32) -> Bool {
        guard !cloneIsRefused.load(ordering: .relaxed) else { return false }
        let result = Kernel.ioctl(target, UInt(CK_FICLONE), Int(source))
        // Other errors (EINVAL, ETXTBSY) concern this file alone.
        if [-Int(EOPNOTSUPP), -Int(EXDEV), -Int(ENOTTY), -Int(ENOSYS)].contains(result) {
            cloneIsRefused.store(true, ordering: .relaxed)
        }
        return result == 0
    }

    /// copy_file_range(2). Returns nil if the bytes must be read and written.
    func copyRange(_ source: Int32, _ target: Int32, at offset: Int64, _ count: Int) -> Int? {
        guard !rangeIsRefused.load(ordering: .relaxed) else { return nil }
        let result = Kernel.copyFileRange(source, target, at: offset, count)
        switch result {
        case 1...: return result
        // Interrupted before anything was copied.
        case -Int(EINTR): return 0
        case -Int(EXDEV), -Int(EOPNOTSUPP), -Int(ENOSYS):
            rangeIsRefused.store(true, ordering: .relaxed)
            return nil
        // These concern this file alone. 0: files of /proc and the like end at once here, but not in a read.
        case 0, -Int(EINVAL), -Int(EPERM), -Int(ETXTBSY): return nil
        default: return result
        }
    }
}
