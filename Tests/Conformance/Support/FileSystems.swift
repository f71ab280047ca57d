import AIO
import AIOCore
import CKernel
import Glibc
import Testing
import UnitSupport

/// A file system for the data tests.
///
/// All but the machine's own are not attached to the tree: fsmount(2) creates a mount that only its descriptor holds,
/// on a loop device that disappears with its last user. So nothing is left behind, however the process ends.
enum FileSystem: String, Sendable, CaseIterable, CustomTestStringConvertible {
    /// The file system of `testDirectory`.
    case machine, tmpfs, ext4, xfs, btrfs

    var testDescription: String { rawValue }

    /// A folder in this file system; throws `Unavailable` with the reason.
    func folder() throws -> String {
        switch self {
        case .machine: testDirectory
        case .tmpfs: try Mounts.tmpfs.get().root
        case .ext4: try Mounts.ext4.get().root
        case .xfs: try Mounts.xfs.get().root
        case .btrfs: try Mounts.btrfs.get().root
        }
    }
}

/// Created once for all tests, and held until the process ends.
private enum Mounts {
    static let tmpfs = Result { try DetachedMount("tmpfs", [("size", "256m")]) }
    static let ext4 = Result { try onLoopDevice("ext4", sizeMiB: 192, ["mkfs.ext4", "-q", "-F"]) }
    static let xfs = Result { try onLoopDevice("xfs", sizeMiB: 384, ["mkfs.xfs", "-q", "-f"]) }
    static let btrfs = Result { try onLoopDevice("btrfs", sizeMiB: 256, ["mkfs.btrfs", "-q", "-f"]) }

    private static func onLoopDevice(_ type: String, sizeMiB: Int, _ make: [String]) throws -> DetachedMount {
        let image = "/dev/shm/swift-aio-\(getpid())-\(type)"
        defer { unlink(image) }
        let descriptor = Glibc.open(image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Unavailable(reason: "no file in /dev/shm") }
        defer { closeDescriptor(descriptor) }
        guard ftruncate(descriptor, sizeMiB << 20) == 0, runs(make + [image]) else {
            throw Unavailable(reason: "\(make[0]) is not there, or failed")
        }
        let device = try LoopDevice(over: descriptor)
        let mount = try DetachedMount(type, [("source", device.path)])
        // From here on the mount holds the device.
        _ = consume device
        return mount
    }
}

/// Runs `body` with a folder in a file system of this kind. The test case is skipped if it is not available.
func withScratch<R>(on fileSystem: FileSystem, _ body: (Scratch) async throws -> R) async throws -> R {
    if fileSystem != .machine { try needs(.mounts) }
    let folder: String
    do {
        folder = try fileSystem.folder()
    } catch let error as Unavailable {
        try Test.cancel("\(skipped("no \(fileSystem.rawValue): \(error.reason)"))")
    }
    return try await withScratch(in: folder, body)
}

/// Something that a test needs and this machine does not have.
struct Unavailable: Error {
    var reason: String

    init(reason: String) { self.reason = reason }

    /// From the result of a system call.
    init(_ call: String, _ result: Int) { reason = "\(call): \(Errno(rawValue: Int32(-result)))" }
}

/// A file system that is mounted but not attached to the tree: fsopen(2), fsconfig(2), fsmount(2).
struct DetachedMount: Sendable {
    private let descriptor: Int32

    /// Held until the process ends, or until `release`.
    init(_ type: String, _ options: [(key: String, value: String)]) throws {
        let context = type.withCString { SystemCall.call(SystemCall.fsopen, address($0), 1) }
        guard context >= 0 else { throw Unavailable("fsopen \(type)", context) }
        defer { closeDescriptor(Int32(context)) }
        for option in options { try Self.set(context, option.key, option.value) }
        // FSCONFIG_CMD_CREATE
        let created = SystemCall.call(SystemCall.fsconfig, context, 6)
        guard created >= 0 else { throw Unavailable("mount \(type)", created) }
        // FSMOUNT_CLOEXEC
        let mount = SystemCall.call(SystemCall.fsmount, context, 1)
        guard mount >= 0 else { throw Unavailable("fsmount \(type)", mount) }
        descriptor = Int32(mount)
    }

    /// The same for a single test, which is skipped if the mount fails.
    static func orSkip(_ type: String, _ options: [(key: String, value: String)]) throws -> DetachedMount {
        try needs(.mounts)
        do {
            return try DetachedMount(type, options)
        } catch let error as Unavailable {
            try Test.cancel("\(skipped("no \(type): \(error.reason)"))")
        }
    }

    private static func set(_ context: Int, _ key: String, _ value: String) throws {
        // FSCONFIG_SET_STRING
        let result = key.withCString { key in
            value.withCString { SystemCall.call(SystemCall.fsconfig, context, 1, address(key), address($0)) }
        }
        guard result >= 0 else { throw Unavailable("fsconfig \(key)", result) }
    }

    /// A path to its root.
    var root: String { "/proc/self/fd/\(descriptor)" }

    func release() { closeDescriptor(descriptor) }
}

/// A block device over a file, removed with its last user (LO_FLAGS_AUTOCLEAR).
struct LoopDevice: ~Copyable {
    let path: String
    let descriptor: Int32

    init(over file: Int32) throws {
        let control = Glibc.open("/dev/loop-control", O_RDWR | O_CLOEXEC)
        guard control >= 0 else { throw Unavailable(reason: "/dev/loop-control cannot be opened") }
        defer { closeDescriptor(control) }
        // Another process may take the free device first.
        for _ in 0..<64 {
            let number = Kernel.ioctl(control, 0x4C82, 0)
            guard number >= 0 else { throw Unavailable("LOOP_CTL_GET_FREE", number) }
            let device = Glibc.open("/dev/loop\(number)", O_RDWR | O_CLOEXEC)
            guard device >= 0 else { throw Unavailable(reason: "/dev/loop\(number) cannot be opened") }
            if Self.configure(device, over: file) == 0 {
                path = "/dev/loop\(number)"
                descriptor = device
                return
            }
            closeDescriptor(device)
        }
        throw Unavailable(reason: "no loop device is free")
    }

    deinit { closeDescriptor(descriptor) }

    /// LOOP_CONFIGURE with a struct loop_config: the descriptor at 0, the flags at 60.
    private static func configure(_ device: Int32, over file: Int32) -> Int {
        let configuration = UnsafeMutableRawBufferPointer.allocate(byteCount: 304, alignment: 8)
        defer { configuration.deallocate() }
        configuration.initializeMemory(as: UInt8.self, repeating: 0)
        configuration.storeBytes(of: UInt32(file), toByteOffset: 0, as: UInt32.self)
        configuration.storeBytes(of: 4, toByteOffset: 60, as: UInt32.self)
        return Kernel.ioctl(device, 0x4C0A, address(configuration.baseAddress))
    }
}
