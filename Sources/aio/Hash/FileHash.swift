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

/// A file to be hashed, and how it is reached where its path is longer than the kernel takes.
struct HashedFile: Sendable {
    var path: Path
    var nameInDirectory: NameInDirectory?

    /// On a worker's thread. A descriptor, or a negative errno.
    func open() -> Int {
        let flags = CK_O_RDONLY | CK_O_NOCTTY | CK_O_NONBLOCK
        guard isTooLong, let nameInDirectory else { return path.openOfAnyLength(flags) }
        return nameInDirectory.open(flags)
    }

    /// For the kernel (PATH_MAX).
    var isTooLong: Bool { path.bytes.count >= 4096 }
}

/// Some files, none of them large, read and hashed in one go by one worker: it first asks for the data of all of them.
final class HashBatch: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
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
            // By now others have been closed.
            if [-Int(EMFILE), -Int(ENFILE)].contains(descriptors[index]) {
                descriptors[index] = Self.open(files[index])
            }
            hashes[index] = hash(files[index].path, descriptors[index], buffer)
            if descriptors[index] >= 0 { Kernel.close(Int32(descriptors[index])) }
            descriptors[index] = -1
        }
        return 0
    }

    /// Opens a file and has it read ahead. What is no regular file by now is not waited for.
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

/// What one task hashes: a batch of small files, or a file of any size or kind.
enum HashJob: Sendable {
    case batch([HashedFile])
    case file(HashedFile)

    /// From here on a file is a job of its own.
    static var largeSize: Int { 4 << 20 }
    static var batchCountMax: Int { 16 }
    static var batchSizeMax: Int64 { 4 << 20 }

    var files: [HashedFile] {
        switch self {
        case .batch(let files): files
        case .file(let file): [file]
        }
    }

    /// Waits for descriptors if there are none: the other jobs close theirs.
    @concurrent func run() async -> [FileHash] {
        var hashes: [FileHash]
        switch self {
        case .batch(let files): hashes = await Self.hash(files)
        case .file(let file): hashes = [await Self.hash(file)]
        }
        for (index, file) in files.enumerated() {
            for _ in 0..<Self.attempts where hashes[index].wantsDescriptor && !Task.isCancelled {
                try? await IORuntime.shared.sleep(until: .after(.milliseconds(10)))
                hashes[index] = await Self.hash([file])[0]
            }
        }
        return hashes
    }

    /// For a descriptor, 10 ms each.
    private static var attempts: Int { 500 }

    private static func hash(_ files: [HashedFile]) async -> [FileHash] {
        let work = HashBatch(files)
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
    private static func hash(_ hashed: HashedFile) async -> FileHash {
        let path = hashed.path
        do {
            guard hashed.isTooLong else {
                return try await withFile(path.isStandardInput ? "/dev/stdin" : path) { try await hash($0) }
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

/// Opens what the kernel does not take the path of.
private final class DeepOpen: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
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
