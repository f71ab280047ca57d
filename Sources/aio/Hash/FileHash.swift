import AIO
import AIOCore
import CKernel
import Crypto

/// A file that is hashed, or why it was not.
enum FileHash: Sendable {
    case digest([UInt8])
    case failure(IOError)

    /// Whether it was not hashed for want of descriptors.
    var wantsDescriptor: Bool {
        guard case .failure(let error) = self else { return false }
        return error.errno.map { [EMFILE, ENFILE].contains($0.rawValue) } ?? false
    }
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
            // By now others have been closed.
            if [-Int(EMFILE), -Int(ENFILE)].contains(descriptors[index]) {
                descriptors[index] = Self.open(paths[index])
            }
            hashes[index] = hash(paths[index], descriptors[index], buffer)
            if descriptors[index] >= 0 { Kernel.close(Int32(descriptors[index])) }
            descriptors[index] = -1
        }
        return 0
    }

    /// Opens a file and has it read ahead. What is no regular file by now is not waited for.
    private static func open(_ path: Path) -> Int {
        let result = path.openOfAnyLength(CK_O_RDONLY | CK_O_NOCTTY | CK_O_NONBLOCK)
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

    /// Waits for descriptors if there are none: the other jobs close theirs.
    @concurrent func run() async -> [FileHash] {
        var hashes: [FileHash]
        switch self {
        case .batch(let paths): hashes = await Self.hash(paths)
        case .file(let path): hashes = [await Self.hash(path)]
        }
        for (index, path) in paths.enumerated() {
            for _ in 0..<Self.attempts where hashes[index].wantsDescriptor && !Task.isCancelled {
                try? await IORuntime.shared.sleep(until: .after(.milliseconds(10)))
                hashes[index] = await Self.hash([path])[0]
            }
        }
        return hashes
    }

    /// For a descriptor, 10 ms each.
    private static var attempts: Int { 500 }

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

    private static func hash(_ file: File) async throws -> FileHash {
        var hasher = SHA256()
        for try await chunk in file.chunks(of: 1 << 20, readahead: 8) {
            chunk.withUnsafeBytes { hasher.update(bufferPointer: $0) }
        }
        return .digest(Array(hasher.finalize()))
    }

    /// Reads ahead while it hashes.
    private static func hash(_ path: Path) async -> FileHash {
        do {
            guard path.isTooLong else {
                return try await withFile(path.isStandardInput ? "/dev/stdin" : path) { try await hash($0) }
            }
            let opening = DeepOpen(path)
            let opened = try await IORuntime.shared.perform(.work(.passUnretained(opening)))
            opening.takeBack()
            let file = File(adopting: opened, runtime: .shared)
            do {
                let digest = try await hash(file)
                try await file.close()
                return digest
            } catch {
                try? await file.close()
                throw error
            }
        } catch let error as IOError {
            return .failure(error)
        } catch {
            return .failure(IOError(.other, "read", path: path))
        }
    }
}

/// Opens what the kernel does not take the path of.
private final class DeepOpen: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let path: Path

    init(_ path: Path) {
        self.path = path
        super.init(deadline: .never)
    }

    override func run() -> Int { path.openOfAnyLength(CK_O_RDONLY | CK_O_NOCTTY | CK_O_NONBLOCK) }
}

extension Path {
    /// For the kernel (PATH_MAX).
    fileprivate var isTooLong: Bool { bytes.count >= 4096 }
}

extension IOError {
    init(errno: Int, _ operation: String, _ path: Path) {
        let errno = AIO.Errno(rawValue: Int32(truncatingIfNeeded: errno))
        self.init(errno.rawValue == EACCES ? .permissionDenied : .other, operation, errno: errno, path: path)
    }
}
