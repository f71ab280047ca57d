import AIO

/// A page with the names in a folder, as links, in the order of their bytes. It comes in pieces, each put together by a
/// worker: so no loop is held up by it, and no more than a piece of it is in memory, however slowly the client takes it.
final class FolderListing {
    private let folder: OpenedFile
    private let path: ArraySlice<UInt8>
    private var last: [UInt8]?
    private(set) var isAtEnd = false

    /// The folder is held open by whoever makes this, until the last piece.
    init(of folder: OpenedFile, _ path: RequestPath) {
        self.folder = folder
        self.path = path.bytes == ArraySlice(".".utf8) ? [] : path.bytes
    }

    /// The next piece. nil if the folder cannot be read.
    func next(_ service: Service) async -> [UInt8]? {
        await service.listings.enter()
        defer { service.listings.leave() }
        let piece = ListingPiece(folder, behind: last)
        let result = try? await service.runtime.perform(.work(.passUnretained(piece)))
        piece.takeBack()
        guard result != nil else { return nil }
        let head = last == nil ? ListingText.head(path) : []
        isAtEnd = piece.isLast
        last = piece.lastName ?? []
        return head + piece.rows + (isAtEnd ? ListingText.tail(piece.isCut) : [])
    }
}

/// What a listing is made of.
enum ListingText {
    /// `path` is that of the folder, with a slash at its end; empty for the uppermost.
    static func head(_ path: ArraySlice<UInt8>) -> [UInt8] {
        let title = "Index of /" + escape(path)
        let head = """
            <!DOCTYPE html>
            <html><head><meta charset="utf-8"><title>\(title)</title></head>
            <body><h1>\(title)</h1>
            <table>

            """
        return Array((head + (path.isEmpty ? "" : "<tr><td><a href=\"../\">../</a></td></tr>\n")).utf8)
    }

    static func tail(_ isCut: Bool) -> [UInt8] {
        let cut = isCut ? "<p>There are more than these \(ListingPiece.entriesMax) names.</p>\n" : ""
        return Array("</table>\n\(cut)</body></html>\n".utf8)
    }

    /// `size` of a regular file, `modified` in seconds since 1970.
    static func row(_ name: [UInt8], isFolder: Bool, size: Int64?, modified: Int64?) -> String {
        let mark = isFolder ? "/" : ""
        let size = size.map { "\($0)" } ?? ""
        let time = modified.map { HTTPDate.text($0) } ?? ""
        // With the dot in front, no name is taken for a scheme or a host.
        return "<tr><td><a href=\"./\(PercentEncoding.encode(name, keepsSlashes: false))\(mark)\">"
            + "\(escape(name))\(mark)</a></td><td>\(size)</td><td>\(time)</td></tr>\n"
    }

    /// As text in HTML; what is no UTF-8 becomes a sign of its own.
    private static func escape(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for scalar in String(decoding: Array(bytes), as: UTF8.self).unicodeScalars {
            switch scalar {
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "&": text += "&amp;"
            case "\"": text += "&quot;"
            case "'": text += "&#39;"
            // Control characters mean nothing good on a page.
            case _ where scalar.value < 0x20 || scalar.value == 0x7f: text += "\u{fffd}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
