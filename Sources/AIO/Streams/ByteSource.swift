internal import AIOCore

/// The source of buffered reads: a file at an offset, or a stream.
enum ByteSource: Sendable {
    case file(File)
    case stream(any ReadableStream)

    var runtime: IORuntime {
        switch self {
        case .file(let file): file.runtime
        case .stream(let stream): stream.runtime
        }
    }

    var path: Path? {
        if case .file(let file) = self { file.path } else { nil }
    }

    /// Whether bytes that were read are consumed and there are no offsets.
    var isStream: Bool {
        if case .file(let file) = self { file.descriptor.kind == .stream } else { true }
    }

    /// Makes one read, into memory whose address the caller keeps fixed until the call returns.
    func read(
        _ base: UnsafeMutableRawPointer, _ count: Int, _ offset: Int64, _ deadline: Deadline
    ) async throws(IOError) -> Int {
        switch self {
        case .file(let file):
            return try await file.read(base, count, offset, [], deadline)
        case .stream(let stream):
            var bytes = MutableRawSpan(_unsafeStart: base, byteCount: count)
            return try await stream.read(into: &bytes, deadline: deadline)
        }
    }

    /// Reads until the memory is full. Throws `unexpectedEndOfFile` if the end comes first.
    func readExactly(
        _ base: UnsafeMutableRawPointer?, _ count: Int, _ offset: Int64, _ deadline: Deadline
    ) async throws(IOError) {
        switch self {
        case .file(let file):
            try await file.readExactly(base, count, offset, [], deadline)
        case .stream(let stream):
            guard let base else { return }
            var bytes = MutableRawSpan(_unsafeStart: base, byteCount: count)
            try await stream.readExactly(into: &bytes, deadline: deadline)
        }
    }
}

/// The sink of buffered writes: a file at an offset, or a stream.
enum ByteSink: Sendable {
    case file(File)
    case stream(any WritableStream)

    var runtime: IORuntime {
        switch self {
        case .file(let file): file.runtime
        case .stream(let stream): stream.runtime
        }
    }

    var path: Path? {
        if case .file(let file) = self { file.path } else { nil }
    }

    /// Writes all of memory whose address the caller keeps fixed until the call returns.
    func writeAll(_ base: UnsafeRawPointer, _ count: Int, _ offset: Int64) async throws(IOError) {
        switch self {
        case .file(let file):
            try await file.writeAll(base, count, offset, [], .never)
        case .stream(let stream):
            try await stream.writeAll(RawSpan(_unsafeStart: base, byteCount: count))
        }
    }
}
