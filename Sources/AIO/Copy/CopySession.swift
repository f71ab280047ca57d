internal import AIOCore
internal import CKernel
internal import Synchronization

/// What all parts of one copy share.
final class CopySession: Sendable {
    let options: CopyOptions
    let progress: CopyProgress
    /// Whether FICLONE, and copy_file_range, is of no use between these file systems. Relaxed: a hint.
    private let cloneIsRefused = Atomic<Bool>(false)
    private let rangeIsRefused = Atomic<Bool>(false)
    /// Whether owners can be given at all: to others than root it is refused once and for all.
    let isSuperUser = Kernel.effectiveUser() == 0

    /// Too few for all that a copy has open at its best: then it does one thing at a time, in their place.
    let hasFewDescriptors: Bool
    /// Hand-overs in flight.
    let width: Int

    init(_ options: CopyOptions, _ progress: CopyProgress, freeDescriptors: Int) {
        self.options = options
        self.progress = progress
        hasFewDescriptors = freeDescriptors < Self.descriptorsAtBest
        // What is copied has two sides and their two folders, and the tree that is read has some directories.
        let fitting = max(1, (freeDescriptors - 12) / 6)
        width = hasFewDescriptors ? min(options.depth, fitting) : options.depth
        cloneIsRefused.store(!options.sharesBlocks, ordering: .relaxed)
        rangeIsRefused.store(!options.sharesBlocks, ordering: .relaxed)
    }

    /// Those of a walk, of directories that are not complete, and of eight batches of 16 files, each of a directory of
    /// its own.
    private static var descriptorsAtBest: Int { 700 }

    /// ioctl_ficlone(2). False if the content is to be copied.
    func clone(_ source: Int32, to target: Int32) -> Bool {
        guard !cloneIsRefused.load(ordering: .relaxed) else { return false }
        let result = Kernel.ioctl(target, UInt(CK_FICLONE), Int(source))
        // Others (EINVAL, ETXTBSY) are about this file.
        if [-Int(EOPNOTSUPP), -Int(EXDEV), -Int(ENOTTY), -Int(ENOSYS)].contains(result) {
            cloneIsRefused.store(true, ordering: .relaxed)
        }
        return result == 0
    }

    /// copy_file_range(2). nil if the bytes are to be read and written.
    func copyRange(_ source: Int32, _ target: Int32, at offset: Int64, _ count: Int) -> Int? {
        guard !rangeIsRefused.load(ordering: .relaxed) else { return nil }
        let result = Kernel.copyFileRange(source, target, at: offset, count)
        switch result {
        case 1...: return result
        // Interrupted: nothing was copied yet.
        case -Int(EINTR): return 0
        case -Int(EXDEV), -Int(EOPNOTSUPP), -Int(ENOSYS):
            rangeIsRefused.store(true, ordering: .relaxed)
            return nil
        // About this file. Those of the kernel's own end at once here, and a read of them does not.
        case 0, -Int(EINVAL), -Int(EPERM), -Int(ETXTBSY): return nil
        default: return result
        }
    }
}
