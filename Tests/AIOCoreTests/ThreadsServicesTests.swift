import CKernel
import Glibc
import Testing
import UnitSupport

@testable import AIOCore

/// Linux AIO and readahead as services of one engine: direct reads go to the kernel, and buffered ones need no thread.
///
/// In child processes, whose threads and mappings are those of the queue alone.
struct ThreadsServicesTests {
    @Test(arguments: [EngineKind.threads, .linuxAIO, .readahead])
    func anEngineHasBothServices(_ engine: EngineKind) async throws {
        guard (try? EngineQueue(.linuxAIO, EngineConfiguration(queueDepth: 1))) != nil else {
            try Test.cancel("\(skipped("no Linux AIO"))")
        }
        guard Self.knowsNoWait(TemporaryFile([1])) else {
            try Test.cancel("\(skipped("the file system of the test files knows no RWF_NOWAIT"))")
        }
        await #expect(processExitsWith: .success) { [engine = engine.rawValue as UInt8] in
            let kind = try #require(EngineKind(rawValue: engine))
            let file = try ColdFile(pages: 16)
            let queue = try TestedQueue(kind, queueDepth: 16) {
                $0.sendsDirectToLinuxAIO = true
                $0.readsAhead = true
            }
            try file.read(.buffered, queue)
            // The first one is started with the engine.
            #expect(threads().filter { threadName($0) == "aio-worker" }.count <= 1, "buffered reads took workers")
            #expect(kernelContexts() == (kind == .linuxAIO ? 1 : 0))
            try file.read(.direct, queue)
            #expect(kernelContexts() == 1, "direct reads took no context")
        }
    }
}

extension ThreadsServicesTests {
    fileprivate static func knowsNoWait(_ file: TemporaryFile) -> Bool {
        var byte: UInt8 = 0
        return withUnsafeMutableBytes(of: &byte) {
            let read = Transfer(
                .classify(file.descriptor), $0.baseAddress!, count: 1, offset: 0, flags: .noWait)
            return read.attempt() != -Int(EOPNOTSUPP)
        }
    }
}

/// A file of pages that are not in the page cache, each filled with its number.
private final class ColdFile {
    private static let page = 1 << 16
    private let directory = TemporaryDirectory()
    private let pages: Int
    private let memory: UnsafeMutableRawBufferPointer

    init(pages: Int) throws {
        self.pages = pages
        memory = .allocate(byteCount: pages * Self.page, alignment: 4096)
        for index in memory.indices { memory[index] = UInt8(index / Self.page) }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        try #require(write(descriptor, memory.baseAddress, memory.count) == memory.count)
        try #require(fsync(descriptor) == 0)
    }

    deinit { memory.deallocate() }

    private var path: String { directory.file("cold") }

    /// Reads all pages at once.
    func read(_ kind: Descriptor.Kind, _ queue: TestedQueue) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (kind == .direct ? Int32(CK_O_DIRECT) : 0))
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0)
        for index in memory.indices { memory[index] = 0xff }
        for page in 0..<pages {
            let transfer = Transfer(
                .classify(descriptor), memory.baseAddress! + page * Self.page, count: Self.page,
                offset: Int64(page * Self.page))
            #expect(transfer.descriptor.kind == kind)
            queue.stage(try queue.prepare(.read(transfer)))
        }
        #expect(queue.wait(atLeast: pages, until: Kernel.now() + 20_000_000_000) == pages)
        #expect(queue.drain().map(\.completion.result) == Array(repeating: Int32(Self.page), count: pages))
        #expect((0..<pages).allSatisfy { page in memory[page * Self.page] == UInt8(page) })
    }
}

/// The contexts of Linux AIO of this process: each has its ring mapped.
private func kernelContexts() -> Int {
    guard let maps = fopen("/proc/self/maps", "r") else { return -1 }
    defer { fclose(maps) }
    var line = [CChar](repeating: 0, count: 8192)
    var count = 0
    while fgets(&line, Int32(line.count), maps) != nil {
        if strstr(line, "/[aio]") != nil { count += 1 }
    }
    return count
}
