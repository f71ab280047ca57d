import AIOCore
import CKernel

/// The file that all contestants read.
final class TestFile {
    /// The name in messages and in the report.
    let name: String
    /// Bytes.
    let size: Int
    /// For reading; for reading and writing if the file is ours.
    let descriptor: OpenDescriptor
    let isOurs: Bool
    /// The posix_fadvise(2) advice for every descriptor that a contestant uses.
    private let advice: Int32

    init(name: String, size: Int, descriptor: consuming OpenDescriptor, isOurs: Bool, order: WorkloadShape.Order) {
        self.name = name
        self.size = size
        self.descriptor = descriptor
        self.isOurs = isOurs
        // Without FADV_RANDOM, the kernel's readahead turns some random reads of some contestants into larger ones.
        advice = order == .random ? CK_FADV_RANDOM : CK_FADV_NORMAL
    }

    /// A path that reopens the file, which may have no name of its own.
    var path: String { "/proc/self/fd/\(descriptor.number)" }

    /// Opens a separate descriptor for one contestant; for writing too if the file is ours.
    func reopen(direct: Bool) throws(Failure) -> OpenDescriptor {
        let direct = direct ? CK_O_DIRECT : 0
        var how = ck_open_how(flags: (isOurs ? CK_O_RDWR : CK_O_RDONLY) | direct | CK_O_CLOEXEC, mode: 0, resolve: 0)
        let result = path.withCString { Kernel.openat2(CK_AT_FDCWD, $0, &how) }
        guard result >= 0 else {
            throw Failure("open \(name)\(direct != 0 ? " with O_DIRECT" : "")", result: result)
        }
        let descriptor = OpenDescriptor(owning: Int32(result))
        advise(descriptor.number)
        return descriptor
    }

    /// Tells the kernel in which order a descriptor will read.
    func advise(_ number: Int32) { _ = Kernel.fadvise(number, 0, 0, advice) }

    /// The name of its file system, from the magic number of statfs(2).
    var fileSystem: String {
        var status = ck_statfs()
        let result = path.withCString { Kernel.statfs($0, &status) }
        return result < 0 ? "unknown" : FileSystemName.of(status.type)
    }
}
