import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

@Suite struct DescriptorTests {
    /// Inodes of two file systems may have one number.
    @Test func filesOfDifferentDevicesDiffer() {
        var status = ck_statx()
        status.device_major = 8
        status.device_minor = 3
        status.inode = 77
        #expect(FileIdentity(status) == FileIdentity(device: 8 << 32 | 3, inode: 77))
        status.device_minor = 4
        #expect(FileIdentity(status) != FileIdentity(device: 8 << 32 | 3, inode: 77))
    }

    @Test func aRegularFileIsBuffered() {
        let file = TemporaryFile()
        #expect(Descriptor.classify(file.descriptor) == Descriptor(file.descriptor, kind: .buffered))
    }

    @Test func aFileOpenedForDirectIOIsDirect() throws {
        let directory = TemporaryDirectory()
        var how = ck_open_how(flags: CK_O_CREAT | CK_O_RDWR | CK_O_DIRECT | CK_O_CLOEXEC, mode: 0o600, resolve: 0)
        let number = Int32(Kernel.openat2(CK_AT_FDCWD, directory.file("file"), &how))
        // tmpfs before 6.6 refuses O_DIRECT; AIO_TEST_DIRECTORY selects another directory.
        try #require(number >= 0, "O_DIRECT in \(directory.path): \(number)")
        defer { close(number) }
        #expect(Descriptor.classify(number).kind == .direct)
    }

    @Test func aDirectoryIsNeitherReadNorWritten() {
        let number = open("/", O_RDONLY | O_DIRECTORY)
        defer { close(number) }
        #expect(Descriptor.classify(number).kind == .other)
    }

    @Test func pipesSocketsTerminalsAndEventDescriptorsAreStreams() {
        let pipe = DescriptorPair.pipe()
        let sockets = DescriptorPair.sockets()
        let bell = Int32(Kernel.eventDescriptor())
        let null = open("/dev/null", O_RDWR)
        defer {
            close(bell)
            close(null)
        }
        for number in [pipe.first, pipe.second, sockets.first, bell] {
            #expect(Descriptor.classify(number) == Descriptor(number, kind: .stream))
        }
        #expect(Descriptor.classify(null).kind == .stream)
    }

    @Test func aTerminalMayLetAWriteWaitAndNullMayNot() {
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        let null = open("/dev/null", O_RDWR)
        defer {
            close(terminal)
            close(null)
        }
        #expect(Descriptor.classify(terminal).backing == .remote)
        #expect(Descriptor.classify(null).backing == .memory)
    }

    @Test func aFileInMemoryIsKnownAsSuch() throws {
        var how = ck_open_how(flags: CK_O_TMPFILE | CK_O_DIRECTORY | CK_O_RDWR | CK_O_CLOEXEC, mode: 0o600, resolve: 0)
        let number = Int32("/dev/shm".withCString { Kernel.openat2(CK_AT_FDCWD, $0, &how) })
        try #require(number >= 0, "a file in /dev/shm")
        defer { close(number) }
        #expect(Descriptor.classify(number).kind == .buffered)
        #expect(Descriptor.classify(number).backing == .memory)
        #expect(Descriptor.classify(TemporaryFile().descriptor).backing != .memory)
    }

    /// The names of block devices are in devtmpfs, which is in memory; the devices are not.
    @Test func aBlockDeviceIsNoFileInMemory() throws {
        let numbers = ["vda", "sda", "nvme0n1", "loop0"].lazy.map { open("/dev/\($0)", O_RDONLY | O_CLOEXEC) }
        guard let number = numbers.first(where: { $0 >= 0 }) else {
            try Test.cancel("\(skipped("no block device can be opened here"))")
        }
        defer { close(number) }
        let descriptor = Descriptor.classify(number)
        #expect(descriptor.kind == .buffered && descriptor.backing == .device)
    }

    @Test(arguments: [-1, 1 << 20] as [Int32])
    func aNumberThatIsNotOpenIsOther(_ number: Int32) {
        #expect(Descriptor.classify(number) == Descriptor(number, kind: .other))
    }
}

@Suite struct OperationTests {
    static let one = Descriptor(1, kind: .buffered)
    static var transfer: Transfer { Transfer(one, nil, count: 2, offset: 3, flags: .dataSync) }
    static let onADescriptor: [AIOCore.Operation] = [
        .read(transfer), .write(transfer), .readVectored(transfer), .writeVectored(transfer), .sync(one, .data),
        .syncRange(one, offset: 1, count: 2, flags: 3), .allocate(one, mode: 1, offset: 2, count: 3),
        .truncate(one, size: 4), .advise(one, offset: 1, count: 2, advice: 3), .poll(one, events: 1),
    ]
    static let onNone: [AIOCore.Operation] = [
        .nop, .close(1), .timeout(deadline: 1), .cancel(target: Token(rawValue: 0)),
        .call(.setPermissions(1, permissions: 2)),
    ]

    /// Everything but the descriptor is unchanged, as the value's textual description shows.
    @Test(arguments: onADescriptor)
    func anOperationMovesToAnotherDescriptorWithEverythingElse(_ operation: AIOCore.Operation) {
        let other = Descriptor.registered(5, kind: .stream)
        #expect(operation.descriptor == Self.one)
        #expect(operation.on(other).descriptor == other)
        #expect("\(operation.on(other).on(Self.one))" == "\(operation)")
        #expect("\(operation.on(other))" != "\(operation)")
    }

    @Test(arguments: onNone)
    func anOperationOnNoDescriptorStaysAsItIs(_ operation: AIOCore.Operation) {
        #expect(operation.descriptor == nil)
        #expect("\(operation.on(Self.one))" == "\(operation)")
        #expect(operation.transfer == nil)
    }

    /// Every operation in flight takes as much memory as the largest kind.
    @Test func aCallIsNoLargerThanATransfer() {
        #expect(MemoryLayout<BlockingCall>.size <= MemoryLayout<Transfer>.size)
    }

    @Test func onlyReadsAndWritesHaveATransferAndADirection() {
        #expect(AIOCore.Operation.read(Self.transfer).transfer?.isWrite == false)
        #expect(AIOCore.Operation.readVectored(Self.transfer).transfer?.isWrite == false)
        #expect(AIOCore.Operation.write(Self.transfer).transfer?.isWrite == true)
        #expect(AIOCore.Operation.writeVectored(Self.transfer).transfer?.isWrite == true)
        #expect(AIOCore.Operation.sync(Self.one, .full).transfer == nil)
    }

    @Test func aVectoredTransferCountsTheBytesOfItsVectors() {
        var vectors: [3 of iovec] = [
            iovec(iov_base: nil, iov_len: 1), iovec(iov_base: nil, iov_len: 20), iovec(iov_base: nil, iov_len: 300),
        ]
        withUnsafeMutableBytes(of: &vectors) { vectors in
            let transfer = Transfer(Self.one, vectors.baseAddress, count: 3, offset: 0)
            #expect(transfer.to(.vectored).byteCount == 321)
            #expect(transfer.byteCount == 3)
        }
    }

    @Test func whatIsOursIsNotAmongTheFlagsForTheKernel() {
        var transfer = Transfer(Self.one, nil, count: 2, offset: 3, flags: .append)
        transfer.form = [.cacheMissed, .whole, .throughPageCache, .dropsAppendFlags]
        #expect(transfer.flags.rawValue == CK_RWF_APPEND)
    }
}
