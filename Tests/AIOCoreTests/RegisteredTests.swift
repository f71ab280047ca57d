import CKernel
import Testing

@testable import AIOCore

/// Files and buffers that are registered with a queue, as the engines without a ring have them.
@Suite struct RegisteredTests {
    @Test func aRegisteredFileIsReachedByItsIndex() throws {
        var pipe = try Pipe()
        var files = RegisteredFiles()
        let result = [-1, pipe.reading].withUnsafeBufferPointer { files.register($0) }
        let resolved = files.resolve(.registered(1, kind: .stream))
        let ends = [files.resolve(.registered(0)), files.resolve(.registered(2)), files.resolve(.registered(-1))]
        let other = files.resolve(Descriptor(1))?.number
        let isOpenStill = pipe.closeReading { resolved.map { Kernel.openFlags($0.number) >= 0 } }
        #expect(result == 0)
        #expect(resolved?.isRegistered == false)
        #expect(resolved?.kind == .stream)
        #expect(ends.allSatisfy { $0 == nil }, "an empty index, and two that do not exist")
        #expect(other == 1, "not a registered one")
        #expect(isOpenStill == true, "the caller may close its own")
    }

    @Test func filesAreRegisteredOnceAtATime() throws {
        let pipe = try Pipe()
        var files = RegisteredFiles()
        let none = [Int32]().withUnsafeBufferPointer { files.register($0) }
        let early = files.unregister()
        let first = [pipe.reading].withUnsafeBufferPointer { files.register($0) }
        let second = [pipe.reading].withUnsafeBufferPointer { files.register($0) }
        let number = files.resolve(.registered(0))?.number ?? -1
        let end = files.unregister()
        let again = files.unregister()
        let afterwards = [pipe.reading].withUnsafeBufferPointer { files.register($0) }
        #expect(none == -Int(EINVAL))
        #expect(early == -Int(ENXIO))
        #expect(first == 0)
        #expect(second == -Int(EBUSY))
        #expect(number >= 0)
        #expect(end == 0)
        #expect(again == -Int(ENXIO))
        #expect(afterwards == 0)
    }

    @Test func aRegistrationThatFailsLeavesNothing() throws {
        let pipe = try Pipe()
        var files = RegisteredFiles()
        let refused = [pipe.reading, .max].withUnsafeBufferPointer { files.register($0) }
        let resolved = files.resolve(.registered(0))
        let later = [pipe.reading].withUnsafeBufferPointer { files.register($0) }
        #expect(refused == -Int(EBADF))
        #expect(resolved == nil)
        #expect(later == 0)
    }

    @Test func aTransferIsAllowedWithinTheBufferThatItNames() {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 16)
        defer { memory.deallocate() }
        var buffers = RegisteredBuffers()
        func allows(_ offset: Int, _ count: Int, _ index: UInt16 = 0) -> Bool {
            let transfer = Transfer(Descriptor(1), memory + offset, count: count, offset: 0, bufferIndex: index)
            return buffers.allows(.transfer(transfer))
        }
        let early = allows(16, 16)
        let result = [iovec(iov_base: memory + 16, iov_len: 32)].withUnsafeBufferPointer { buffers.register($0) }
        let allowed = [allows(16, 32), allows(16, 0), allows(48, 0), allows(47, 1), allows(0, 64, .max)]
        let refused = [allows(15, 1), allows(16, 33), allows(48, 1), allows(16, 1, 1), allows(0, 64), allows(17, -1)]
        #expect(result == 0)
        #expect(!early, "there is no such buffer")
        #expect(allowed.allSatisfy { $0 }, "\(allowed)")
        #expect(refused.allSatisfy { !$0 }, "\(refused)")
    }

    @Test func buffersAreRegisteredOnceAtATime() {
        var byte: UInt8 = 0
        var buffers = RegisteredBuffers()
        withUnsafeMutableBytes(of: &byte) { bytes in
            let vector = [iovec(iov_base: bytes.baseAddress, iov_len: 1)]
            let none = [iovec]().withUnsafeBufferPointer { buffers.register($0) }
            let early = buffers.unregister()
            let first = vector.withUnsafeBufferPointer { buffers.register($0) }
            let second = vector.withUnsafeBufferPointer { buffers.register($0) }
            let end = buffers.unregister()
            let again = buffers.unregister()
            let afterwards = vector.withUnsafeBufferPointer { buffers.register($0) }
            #expect(none == -Int(EINVAL))
            #expect(early == -Int(ENXIO))
            #expect(first == 0)
            #expect(second == -Int(EBUSY))
            #expect(end == 0)
            #expect(again == -Int(ENXIO))
            #expect(afterwards == 0)
        }
    }
}

/// Both ends are closed at the end.
private struct Pipe: ~Copyable {
    private(set) var reading: Int32
    private let writing: Int32

    init() throws {
        var ends: (Int32, Int32) = (-1, -1)
        let result = withUnsafeMutablePointer(to: &ends) {
            ck_system_call_6(CK_NR_pipe2, Int(bitPattern: $0), Int(CK_O_CLOEXEC), 0, 0, 0, 0)
        }
        try #require(result == 0)
        (reading, writing) = ends
    }

    deinit {
        if reading >= 0 { Kernel.close(reading) }
        Kernel.close(writing)
    }

    /// Runs `body` with the reading end closed.
    mutating func closeReading<R>(_ body: () -> R) -> R {
        Kernel.close(reading)
        reading = -1
        return body()
    }
}
