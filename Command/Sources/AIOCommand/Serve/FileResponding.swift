import AIO

// From the target of a request to the file that is sent.
extension ServedConnection {
    /// Sends the file or folder that a GET or HEAD names. Throws a refusal only before anything is sent.
    func sendFile(for request: Request, keepsAlive: Bool) async throws {
        let path = try RequestPath(request.target)
        let now = state.now
        guard !path.endsWithSlash else { return try await sendFolder(path, request, now, keepsAlive) }
        var file = try await service.folder.open(path, now: now)
        if file.isFolder {
            await file.close(service.runtime)
            let target = path.folderTarget
            // The head must fit into the buffer, whose `append` drops the rest.
            guard target.utf8.count < ResponseBuffer.capacity / 2 else { throw Refusal(.uriTooLong) }
            return try await sendRedirect(to: target, request, keepsAlive: keepsAlive)
        }
        try await sendAndClose(&file, path, request, now, keepsAlive)
    }

    private func sendFolder(_ path: RequestPath, _ request: Request, _ now: Int64, _ keepsAlive: Bool) async throws {
        let index = path.appending("index.html")
        if var file = try await openIfThere(index, now) {
            if !file.isFolder { return try await sendAndClose(&file, index, request, now, keepsAlive) }
            await file.close(service.runtime)
        }
        // There is no index; the folder itself may not exist either.
        var folder = try await service.folder.open(path, now: now)
        do {
            try await sendListing(of: folder, path, request, keepsAlive)
        } catch {
            await folder.close(service.runtime)
            throw error
        }
        await folder.close(service.runtime)
    }

    private func sendListing(
        of folder: OpenedFile, _ path: RequestPath, _ request: Request, _ keepsAlive: Bool
    ) async throws {
        let listing = FolderListing(of: folder, path)
        guard service.listsFolders, let first = await listing.next(service) else { throw Refusal(.forbidden) }
        guard !listing.isAtEnd else { return try await sendPage(first, request, keepsAlive: keepsAlive) }
        // The length is known only at the end, so the listing is sent in pieces.
        try await sendPieces(first, request, keepsAlive: keepsAlive) {
            if listing.isAtEnd { return nil }
            guard let next = await listing.next(self.service) else { throw IOError(.inputOutput, "readdir") }
            return next
        }
    }

    private func openIfThere(_ path: RequestPath, _ now: Int64) async throws(Refusal) -> OpenedFile? {
        do throws(Refusal) {
            return try await service.folder.open(path, now: now)
        } catch {
            guard error.status == .notFound else { throw error }
            return nil
        }
    }

    private func sendAndClose(
        _ file: inout OpenedFile, _ path: RequestPath, _ request: Request, _ now: Int64, _ keepsAlive: Bool
    ) async throws {
        do {
            try await send(&file, path, request, now, keepsAlive)
        } catch {
            await file.close(service.runtime)
            throw error
        }
        await file.close(service.runtime)
    }

    private func send(
        _ file: inout OpenedFile, _ path: RequestPath, _ request: Request, _ now: Int64, _ keepsAlive: Bool
    ) async throws {
        switch request.conditions.evaluate(file.validators, now: now) {
        case .failed: throw Refusal(.preconditionFailed)
        case .notModified: return try await sendNotModified(file, request, keepsAlive)
        case .proceed: break
        }
        let type = path.cString.withUnsafeBufferPointer { name in
            let name = UnsafeBufferPointer(rebasing: name.dropLast())
            return Representation(type: ContentType.of(name), encoding: ContentType.encoding(of: name))
        }
        // RFC 9110, section 14.2: Range applies to GET only.
        let isRange = request.method == .get && request.conditions.allowRange(file.validators, now: now)
        switch ByteRanges(isRange ? request.range : nil, size: file.size) {
        case .whole: try await sendWhole(&file, type, request, keepsAlive)
        case .parts(let ranges) where ranges.count == 1: try await sendPart(ranges[0], &file, type, request, keepsAlive)
        case .parts(let ranges): try await sendParts(ranges, &file, type, request, keepsAlive)
        case .unsatisfiable: try await sendUnsatisfiable(file, request, keepsAlive)
        }
    }

    // MARK: Responses

    private func sendNotModified(_ file: OpenedFile, _ request: Request, _ keepsAlive: Bool) async throws {
        let buffer = begin(.notModified)
        defer { state.release(buffer) }
        add(file.validators, to: buffer)
        end(buffer, of: request, keepsAlive)
        try await flush(buffer)
    }

    private func sendUnsatisfiable(_ file: OpenedFile, _ request: Request, _ keepsAlive: Bool) async throws {
        let buffer = begin(.rangeNotSatisfiable)
        defer { state.release(buffer) }
        buffer.append("Content-Range: bytes */")
        buffer.append(file.size)
        buffer.append("\r\nContent-Length: 0\r\n")
        end(buffer, of: request, keepsAlive)
        try await flush(buffer)
    }

    private func sendWhole(
        _ file: inout OpenedFile, _ type: Representation, _ request: Request, _ keepsAlive: Bool
    ) async throws {
        let buffer = begin(.ok)
        defer { state.release(buffer) }
        add(type, length: file.size, to: buffer)
        add(file.validators, to: buffer)
        end(buffer, of: request, keepsAlive)
        try await send(buffer, then: 0..<(request.method == .head ? 0 : file.size), of: &file)
    }

    private func sendPart(
        _ range: Range<Int64>, _ file: inout OpenedFile, _ type: Representation, _ request: Request, _ keepsAlive: Bool
    ) async throws {
        let buffer = begin(.partialContent)
        defer { state.release(buffer) }
        add(type, length: Int64(range.count), to: buffer)
        buffer.append("Content-Range: \(Self.text(range, file.size))\r\n")
        add(file.validators, to: buffer)
        end(buffer, of: request, keepsAlive)
        try await send(buffer, then: range, of: &file)
    }

    /// Sends several parts, each with its own fields, separated by a boundary that is random so that no part contains
    /// it.
    private func sendParts(
        _ ranges: [Range<Int64>], _ file: inout OpenedFile, _ type: Representation, _ request: Request,
        _ keepsAlive: Bool
    ) async throws {
        let boundary =
            String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
        let size = file.size
        let heads = ranges.map { range in
            "\r\n--\(boundary)\r\nContent-Type: \(type.type)\r\nContent-Range: \(Self.text(range, size))\r\n\r\n"
        }
        let tail = "\r\n--\(boundary)--\r\n"
        let overhead = heads.reduce(tail.utf8.count) { $0 + $1.utf8.count }
        // The parts are not larger than the file, but the sum with their fields can overflow.
        let (length, overflows) = ranges.reduce(0) { $0 + $1.count }.addingReportingOverflow(overhead)
        guard !overflows else { return try await sendWhole(&file, type, request, keepsAlive) }
        let buffer = begin(.partialContent)
        defer { state.release(buffer) }
        buffer.append("Content-Type: multipart/byteranges; boundary=\(boundary)")
        add(encodingOf: type, to: buffer)
        buffer.append("\r\nContent-Length: \(length)\r\n")
        add(file.validators, to: buffer)
        end(buffer, of: request, keepsAlive)
        for (head, range) in zip(heads, ranges) {
            buffer.append(head)
            try await send(buffer, then: range, of: &file)
            bodyBytesSent += Int64(head.utf8.count)
        }
        buffer.append(tail)
        try await flush(buffer)
        bodyBytesSent += Int64(tail.utf8.count)
    }

    // MARK: Fields

    private func add(_ type: Representation, length: Int64, to buffer: ResponseBuffer) {
        buffer.append("Content-Type: ")
        buffer.append(type.type)
        add(encodingOf: type, to: buffer)
        buffer.append("\r\nContent-Length: ")
        buffer.append(length)
        buffer.append("\r\nAccept-Ranges: bytes\r\n")
    }

    private func add(encodingOf type: Representation, to buffer: ResponseBuffer) {
        guard let encoding = type.encoding else { return }
        buffer.append("\r\nContent-Encoding: ")
        buffer.append(encoding)
    }

    private func add(_ validators: Validators, to buffer: ResponseBuffer) {
        buffer.append("Last-Modified: ")
        buffer.append(state.modificationText(validators.modified))
        buffer.append("\r\nETag: ")
        validators.append(to: buffer)
        buffer.append("\r\n")
    }

    private static func text(_ range: Range<Int64>, _ size: Int64) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
    }
}

/// The type and the encoding of a file's content.
struct Representation {
    var type: StaticString
    var encoding: StaticString?
}
