@_spi(AIOCommand) import AIO
import AIOCore
import CKernel
import Crypto

/// The digest of a file, or why there is none.
enum FileHash: Sendable {
    case digest([UInt8])
    case failure(IOError)

    /// Whether the process or the system had no free descriptor for the file.
    var wantsDescriptor: Bool {
        guard case .failure(let error) = self else { return false }
        return error.errno.map { [EMFILE, ENFILE].contains($0.rawValue) } ?? false
    }
}

/// A file to hash. If its path is longer than PATH_MAX, it is opened by its name in its directory.
struct HashedFile: Sendable {
    var path: Path
    var nameInDirectory: NameInDirectory?

    /// The path to open.
    var openedPath: Path { path.isStandardInput ? "/dev/stdin" : path }

    /// Opens the file on a worker's thread. Returns a descriptor or a negative errno.
    func open() -> Int {
        let flags = CK_O_RDONLY | CK_O_NOCTTY | CK_O_NONBLOCK
        guard isTooLong, let nameInDirectory else { return openedPath.openOfAnyLength(flags) }
        return nameInDirectory.open(flags)
    }

    /// Whether the path exceeds PATH_MAX.
    var isTooLong: Bool { path.bytes.count >= 4096 }
}

/// A batch of small files that one worker reads and hashes. It first starts readahead for all of them.
final class HashBatch: BlockingWork, @unchecked Sendable {
    // @unchecked: see `BlockingWork`.
    private let files: [HashedFile]
    private(set) var hashes: [FileHash]

    private static var bufferSize: Int { 256 << 10 }

    init(_ files: [HashedFile]) {
        self.files = files
        hashes = files.map { .failure(IOError(.cancelled, "read", path: $0.path)) }
        super.init(deadline: .never)
    }

    override func run() -> Int {
        var descriptors: [Int] = []
        defer { for descriptor in descriptors where descriptor >= 0 { Kernel.close(Int32(descriptor)) } }
        for file in files { descriptors.append(shouldEnd ? -Int(ECANCELED) : Self.open(file)) }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 4096)
        defer { buffer.deallocate() }
        for index in files.indices {
            guard !shouldEnd else { return -Int(ECANCELED) }
            // Other files of the batch are closed by now.
            if [-Int(EMFILE), -Int(ENFILE)].contains(descriptors[index]) {
                descriptors[index] = Self.open(files[index])
            }
            hashes[index] = hash(files[index].path, descriptors[index], buffer)
            if descriptors[index] >= 0 { Kernel.close(Int32(descriptors[index])) }
            descriptors[index] = -1
        }
        return 0
    }

    /// Opens a file and starts its readahead. O_NONBLOCK: a file that has become a FIFO must not block the worker.
    private static func open(_ file: HashedFile) -> Int {
        let result = file.open()
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

/// The work of one task: a batch of small files, or one file of any size or type.
enum HashJob: Sendable {
    case batch([HashedFile])
    case file(HashedFile)

    /// A file of this size or more is a job of its own. In bytes.
    static var largeSize: Int { 4 << 20 }
    static var batchCountMax: Int { 16 }
    static var batchSizeMax: Int64 { 4 << 20 }

    var files: [HashedFile] {
        switch self {
        case .batch(let files): files
        case .file(let file): [file]
        }
    }

    /// Hashes the files. Waits if no descriptor is free: the other jobs close theirs.
    @concurrent func run() async -> [FileHash] {
        var hashes = await attempt()
        for (index, job) in single.enumerated() {
            for _ in 0..<Self.attempts where hashes[index].wantsDescriptor && !Task.isCancelled {
                try? await IORuntime.shared.sleep(until: .after(.milliseconds(10)))
                hashes[index] = await job.attempt()[0]
            }
        }
        return hashes
    }

    private func attempt() async -> [FileHash] {
        switch self {
        case .batch(let files): await Self.hash(files)
        case .file(let file): [await Self.hash(file)]
        }
    }

    /// A job of the same kind for each file: one of unknown size must not be read by a batch.
    private var single: [HashJob] {
        switch self {
        case .batch(let files): files.map { .batch([$0]) }
        case .file: [self]
        }
    }

    /// Attempts to get a descriptor, 10 ms apart.
    private static var attempts: Int { 500 }

    private static func hash(_ files: [HashedFile]) async -> [FileHash] {
        let work = HashBatch(files)
        await withTaskCancellationHandler {
            // Files that were not hashed keep the error that `init` set.
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
    private static func hash(_ hashed: HashedFile) async -> FileHash {
        let path = hashed.path
        do {
            guard hashed.isTooLong else {
                return try await withFile(hashed.openedPath) { try await hash($0) }
            }
            let opening = DeepOpen(hashed)
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

/// Opens a file whose path exceeds PATH_MAX.
private final class DeepOpen: BlockingWork, @unchecked Sendable {
    // @unchecked: see `BlockingWork`.
    private let file: HashedFile

    init(_ file: HashedFile) {
        self.file = file
        super.init(deadline: .never)
    }

    override func run() -> Int { file.open() }
}

extension IOError {
    init(errno: Int, _ operation: String, _ path: Path) {
        let errno = AIO.Errno(rawValue: Int32(truncatingIfNeeded: errno))
        self.init(errno.rawValue == EACCES ? .permissionDenied : .other, operation, errno: errno, path: path)
    }
}
