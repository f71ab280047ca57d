internal import AIOCore

/// Where bytes come from, for what reads them piece by piece: a file at an offset, or a stream.
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

    /// Whether what was read is gone, and there are no offsets.
    var isStream: Bool {
        if case .file(let file) = self { file.descriptor.kind == .stream } else { true }
    }

    /// One read into memory that the caller keeps where it is until this returns.
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

    /// The same until all of it is there. Throws `unexpectedEndOfFile` if the end comes before.
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

/// Where bytes go, likewise.
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

    /// Writes all of memory that the caller keeps where it is until this returns.
    func writeAll(_ base: UnsafeRawPointer, _ count: Int, _ offset: Int64) async throws(IOError) {
        switch self {
        case .file(let file):
            try await file.writeAll(base, count, offset, [], .never)
        case .stream(let stream):
            try await stream.writeAll(RawSpan(_unsafeStart: base, byteCount: count))
        }
    }
}
