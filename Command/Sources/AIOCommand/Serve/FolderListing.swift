import AIO

/// A page that lists a folder as links, sorted by the bytes of the names. A worker builds one piece of it at a time: no
/// loop is blocked, and memory holds only one piece, however slowly the client reads.
final class FolderListing {
    private let folder: OpenedFile
    private let path: ArraySlice<UInt8>
    private var last: [UInt8]?
    private(set) var isAtEnd = false

    /// The caller keeps the folder open until the last piece.
    init(of folder: OpenedFile, _ path: RequestPath) {
        self.folder = folder
        self.path = path.bytes == ArraySlice(".".utf8) ? [] : path.bytes
    }

    /// The next piece; nil if the folder cannot be read.
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

/// The HTML of a listing.
enum ListingText {
    /// `path` is the folder's path with a trailing slash; empty for the root.
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
        let cut = isCut ? "<p>The directory has more names than the \(ListingPiece.entriesMax) listed here.</p>\n" : ""
        return Array("</table>\n\(cut)</body></html>\n".utf8)
    }

    /// `size` is in bytes and nil unless the file is regular; `modified` is in seconds since 1970.
    static func row(_ name: [UInt8], isFolder: Bool, size: Int64?, modified: Int64?) -> String {
        let mark = isFolder ? "/" : ""
        let size = size.map { "\($0)" } ?? ""
        let time = modified.map { HTTPDate.text($0) } ?? ""
        // The prefix `./` keeps a name from being parsed as a scheme or a host.
        return "<tr><td><a href=\"./\(PercentEncoding.encode(name, keepsSlashes: false))\(mark)\">"
            + "\(escape(name))\(mark)</a></td><td>\(size)</td><td>\(time)</td></tr>\n"
    }

    /// Escapes text for HTML. Invalid UTF-8 becomes U+FFFD.
    private static func escape(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for scalar in String(decoding: Array(bytes), as: UTF8.self).unicodeScalars {
            switch scalar {
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "&": text += "&amp;"
            case "\"": text += "&quot;"
            case "'": text += "&#39;"
            // Control characters become U+FFFD as well: most are invalid in HTML.
            case _ where scalar.value < 0x20 || scalar.value == 0x7f: text += "\u{fffd}"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
