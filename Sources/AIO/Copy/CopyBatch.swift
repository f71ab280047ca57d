internal import AIOCore
internal import CKernel

/// A batch of small files that one worker copies. It first starts readahead for all of them.
final class CopyBatch: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    let items: [CopyItem]
    private let session: CopySession
    /// The error of each item; nil after success.
    private(set) var failures: [IOError?]

    init(_ items: [CopyItem], _ session: CopySession, _ deadline: Deadline) {
        self.items = items
        self.session = session
        failures = Array(repeating: IOError(.cancelled, "copy"), count: items.count)
        super.init(deadline: deadline.nanoseconds)
    }

    override func run() -> Int {
        var open: [OpenCopy?] = Array(repeating: nil, count: items.count)
        for index in items.indices {
            guard !shouldEnd else { return -Int(ECANCELED) }
            open[index] = openSource(index)
        }
        // On a page boundary, so that the kernel copies whole pages.
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferSize, alignment: 4096)
        defer { buffer.deallocate() }
        for index in items.indices where failures[index] != nil {
            guard !shouldEnd else { return -Int(ECANCELED) }
            do throws(IOError) {
                try copy(items[index], open[index], buffer)
                failures[index] = nil
            } catch {
                open[index]?.abandon()
                if error.code == .cancelled { return -Int(ECANCELED) }
                failures[index] = error
            }
            open[index] = nil
        }
        return 0
    }

    private var bufferSize: Int {
        // 64 KiB for files that report no size.
        max(65536, min(Int(items.map(\.size).max() ?? 0), OpenCopy.pieceSize))
    }

    private func openSource(_ index: Int) -> OpenCopy? {
        let item = items[index]
        guard item.type == .regular, item.existing == nil, !session.hasFewDescriptors else { return nil }
        // An error is ignored here, and found again when the item is copied.
        let copy = try? OpenCopy(item, session)
        copy?.readAhead()
        return copy
    }

    private func copy(
        _ item: CopyItem, _ opened: OpenCopy?, _ buffer: UnsafeMutableRawBufferPointer
    ) throws(IOError) {
        if let existing = item.existing, try item.makeHardLink(to: existing, session) { return }
        guard item.type == .regular else { return try item.copySpecial(session) }
        let copy: OpenCopy
        if let opened { copy = opened } else { copy = try OpenCopy(item, session) }
        if try !copy.begin() { try copy.copyPieces(buffer) { shouldEnd } }
        try copy.finish()
    }
}
