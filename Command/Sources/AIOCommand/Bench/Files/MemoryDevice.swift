import AIOCore
import CKernel
import Foundation

/// ext4 on a loop device backed by memory: the real block layer and page cache, without a disk's variance.
///
/// Nothing of it has a name that could be left behind. The memory is an unnamed file in /dev/shm, the loop device
/// disappears with its last user, and the file system is not mounted anywhere (fsmount(2)): it lives as long as a
/// descriptor of it is open. The end of the process, however it comes, removes everything.
final class MemoryDevice {
    /// The root directory of the file system.
    let root: OpenDescriptor
    /// The path of the device: `/dev/loop0`.
    let device: String

    private static let memoryDirectory = "/dev/shm"

    /// `size` is the size in bytes of the largest file that must fit.
    init(size: Int) throws {
        guard Kernel.effectiveUser() == 0 else { throw Failure("--memory-device needs root, to attach a loop device") }
        // Room for the journal, the inode table and the bitmaps.
        let deviceSize = size + size / 64 + 64 << 20
        let memory = try MemoryDevice.reserveMemory(deviceSize)
        // The descriptor keeps the device attached until the mount does.
        let loop = try MemoryDevice.attach(memory)
        try MemoryDevice.makeFileSystem(on: loop.path)
        root = try MemoryDevice.mount(loop.path)
        device = loop.path
    }

    private struct LoopDevice: ~Copyable {
        let descriptor: OpenDescriptor
        let path: String
    }

    private static func reserveMemory(_ size: Int) throws(Failure) -> OpenDescriptor {
        var status = ck_statfs()
        let result = memoryDirectory.withCString { Kernel.statfs($0, &status) }
        guard result >= 0 else { throw Failure("statfs \(memoryDirectory)", result: result) }
        let room = Int(status.blocks_available) * Int(status.block_size)
        guard room > size else {
            throw Failure(
                "not enough space for \(ByteCount(size)) in \(memoryDirectory): \(ByteCount(room)) are free "
                    + "(see --size)"
            )
        }
        let file = try OpenDescriptor(
            memoryDirectory, CK_O_RDWR | CK_O_TMPFILE | CK_O_DIRECTORY, mode: 0o600)
        let truncated = Kernel.ftruncate(file.number, Int64(size))
        guard truncated >= 0 else { throw Failure("ftruncate of a file in \(memoryDirectory)", result: truncated) }
        return file
    }

    private static func attach(_ memory: borrowing OpenDescriptor) throws(Failure) -> LoopDevice {
        let control = try OpenDescriptor("/dev/loop-control", CK_O_RDWR)
        // Another program can take the free device first.
        for _ in 0..<16 {
            let free = Kernel.ioctl(control.number, UInt(CK_LOOP_CTL_GET_FREE), 0)
            guard free >= 0 else { throw Failure("no free loop device", result: free) }
            let path = "/dev/loop\(free)"
            let device = try OpenDescriptor(path, CK_O_RDWR)
            var configuration = ck_loop_config()
            configuration.descriptor = UInt32(memory.number)
            configuration.info.flags = CK_LO_FLAGS_AUTOCLEAR
            let result = withUnsafeMutablePointer(to: &configuration) {
                Kernel.ioctl(device.number, UInt(CK_LOOP_CONFIGURE), Int(bitPattern: $0))
            }
            if result >= 0 { return LoopDevice(descriptor: device, path: path) }
            guard result == -Int(EBUSY) else { throw Failure("LOOP_CONFIGURE of \(path)", result: result) }
        }
        throw Failure("no free loop device: other programs keep taking them")
    }

    private static func makeFileSystem(on path: String) throws {
        guard
            let program = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/bin/mkfs.ext4"].first(
                where: FileManager.default.isExecutableFile)
        else { throw Failure("--memory-device needs mkfs.ext4 (package e2fsprogs)") }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        // Everything is initialised now: with lazy initialisation the kernel would do it during the measurement.
        process.arguments = [
            "-q", "-F", "-b", "4096", "-m", "0", "-N", "1024", "-J", "size=16",
            "-E", "lazy_itable_init=0,lazy_journal_init=0", path,
        ]
        let complaints = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = complaints
        try process.run()
        let text = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try Interruption.check()
        guard process.terminationStatus == 0 else {
            let line = text.split(separator: "\n").first.map(String.init) ?? "status \(process.terminationStatus)"
            throw Failure("mkfs.ext4 of \(path): \(line)")
        }
    }

    private static func mount(_ device: String) throws(Failure) -> OpenDescriptor {
        let opened = Kernel.fsopen("ext4", CK_FSOPEN_CLOEXEC)
        guard opened >= 0 else { throw Failure("fsopen of ext4", result: opened) }
        let context = OpenDescriptor(owning: Int32(opened))
        let named = device.withCString { Kernel.fsconfig(context.number, CK_FSCONFIG_SET_STRING, "source", $0) }
        guard named >= 0 else { throw Failure("mount of \(device)", result: named) }
        let created = Kernel.fsconfig(context.number, CK_FSCONFIG_CMD_CREATE, nil, nil)
        guard created >= 0 else { throw Failure("mount of \(device)", result: created) }
        let attributes = CK_MOUNT_ATTR_NOATIME | CK_MOUNT_ATTR_NODEV | CK_MOUNT_ATTR_NOSUID | CK_MOUNT_ATTR_NOEXEC
        let mounted = Kernel.fsmount(context.number, CK_FSMOUNT_CLOEXEC, attributes)
        guard mounted >= 0 else { throw Failure("mount of \(device)", result: mounted) }
        return OpenDescriptor(owning: Int32(mounted))
    }
}
