import AIO
import AIOCore
import CKernel
import Crypto

/// A file that is hashed, or why it was not.
enum FileHash: Sendable {
    case digest([UInt8])
    case failure(IOError)
}

/// Some files, none of them large, read and hashed in one go by one worker: it first asks for the data of all of them.
final class HashBatch: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let paths: [Path]
    private(set) var hashes: [FileHash]

    private static var bufferSize: Int { 256 << 10 }

    init(_ paths: [Path]) {
        self.paths = paths
        hashes = paths.map { .failure(IOError(.cancelled, "read", path: $0)) }
        super.init(deadline: .never)
    }

    override func run() -> Int {
        var descriptors: [Int] = []
        defer { for descriptor in descriptors where descriptor >= 0 { Kernel.close(Int32(descriptor)) } }
        for path in paths { descriptors.append(shouldEnd ? -Int(ECANCELED) : Self.open(path)) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 4096)
        defer { buffer.deallocate() }
        for index in paths.indices {
            guard !shouldEnd else { return -Int(ECANCELED) }
            hashes[index] = hash(paths[index], descriptors[index], buffer)
        }
        return 0
    }

    /// Opens a file and has it read ahead. What is no regular file by now is not waited for.
    private static func open(_ path: Path) -> Int {
        var how = ck_open_how(flags: CK_O_RDONLY | CK_O_CLOEXEC | CK_O_NOCTTY | CK_O_NONBLOCK, mode: 0, resolve: 0)
        let bytes = path.bytes.map { CChar(bitPattern: $0) } + [0]
        let result = Kernel.openat2(CK_AT_FDCWD, bytes, &how)
        if result >= 0 { _ = Kernel.readahead(Int32(result), 0, HashJob.largeSize) }
        return result
    }

    private func hash(_ path: Path, _ descriptor: Int, _ buffer: UnsafeMutableRawBufferPointer) -> FileHash {
        guard descriptor >= 0 else { return .failure(IOError(errno: -descriptor, "open", path)) }
        var hasher = SHA256()
        while !shouldEnd {
            let count = Kernel.read(Int32(descriptor), buffer.baseAddress!, buffer.count)
            if count == -Int(EINTR) { continue }
            guard count >= 0 else { return .failure(IOError(errno: -count, "read", path)) }
            guard count > 0 else { return .digest(Array(hasher.finalize())) }
            hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
        return .failure(IOError(.cancelled, "read", path: path))
    }
}

/// What one task hashes: a batch of small files, or a file of any size or kind.
enum HashJob: Sendable {
    case batch([Path])
    case file(Path)

    /// From here on a file is a job of its own.
    static var largeSize: Int { 4 << 20 }
    static var batchCountMax: Int { 16 }
    static var batchSizeMax: Int64 { 4 << 20 }

    var paths: [Path] {
        switch self {
        case .batch(let paths): paths
        case .file(let path): [path]
        }
    }

    @concurrent func run() async -> [FileHash] {
        switch self {
        case .batch(let paths): await Self.hash(paths)
        case .file(let path): [await Self.hash(path)]
        }
    }

    private static func hash(_ paths: [Path]) async -> [FileHash] {
        let work = HashBatch(paths)
        await withTaskCancellationHandler {
            // What was not hashed by its end says so itself.
            _ = try? await IORuntime.shared.perform(.work(.passUnretained(work)))
        } onCancel: {
            work.requestEnd()
        }
        work.takeBack()
        return work.hashes
    }

    /// Reads ahead while it hashes.
    private static func hash(_ path: Path) async -> FileHash {
        do {
            return try await withFile(path) { file in
                var hasher = SHA256()
                for try await chunk in file.chunks(of: 1 << 20, readahead: 8) {
                    chunk.withUnsafeBytes { hasher.update(bufferPointer: $0) }
                }
                return .digest(Array(hasher.finalize()))
            }
        } catch let error as IOError {
            return .failure(error)
        } catch {
            return .failure(IOError(.other, "read", path: path))
        }
    }
}

extension IOError {
    init(errno: Int, _ operation: String, _ path: Path) {
        let errno = AIO.Errno(rawValue: Int32(truncatingIfNeeded: errno))
        self.init(errno.rawValue == EACCES ? .permissionDenied : .other, operation, errno: errno, path: path)
    }
}
