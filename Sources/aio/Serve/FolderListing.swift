import AIO

/// A page with the names in a folder, as links.
enum FolderListing {
    /// Names that a page has at most: it is made in memory.
    private static var entriesMax: Int { 10_000 }

    /// nil if the folder cannot be read. The descriptor leads to it, wherever its name leads by now. Links are not followed:
    /// the page tells nothing of what they lead to.
    static func page(of folder: OpenedFile, _ path: RequestPath, _ runtime: IORuntime) async -> [UInt8]? {
        var entries: [DirectoryEntry] = []
        var isCut = false
        do throws(IOError) {
            let names = FileSystem.entries(of: folder.ownPath, options: [.status], runtime: runtime).makeAsyncIterator()
            while let entry = try await names.next() {
                guard entries.count < entriesMax else {
                    isCut = true
                    break
                }
                entries.append(entry)
            }
        } catch {
            return nil
        }
        entries.sort { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) }
        return page(entries, at: path.bytes == ArraySlice(".".utf8) ? [] : path.bytes, isCut)
    }

    /// `path` is that of the folder, with a slash at its end; empty for the uppermost.
    static func page(_ entries: [DirectoryEntry], at path: ArraySlice<UInt8>, _ isCut: Bool) -> [UInt8] {
        let title = "Index of /" + escape(path)
        var page = """
            <!DOCTYPE html>
            <html><head><meta charset="utf-8"><title>\(title)</title></head>
            <body><h1>\(title)</h1>
            <table>

            """
        if !path.isEmpty { page += "<tr><td><a href=\"../\">../</a></td></tr>\n" }
        for entry in entries { page += row(entry) }
        page += "</table>\n"
        if isCut { page += "<p>There are more than these \(entriesMax) names.</p>\n" }
        page += "</body></html>\n"
        return Array(page.utf8)
    }

    private static func row(_ entry: DirectoryEntry) -> String {
        let mark = entry.type == .directory ? "/" : ""
        let size = entry.type == .regular ? entry.status.map { "\($0.size)" } ?? "" : ""
        let time = entry.status.map { HTTPDate.text(Int64($0.modificationTime / .seconds(1))) } ?? ""
        // With the dot in front, no name is taken for a scheme or a host.
        return "<tr><td><a href=\"./\(PercentEncoding.encode(entry.name.bytes, keepsSlashes: false))\(mark)\">"
            + "\(escape(entry.name.bytes))\(mark)</a></td><td>\(size)</td><td>\(time)</td></tr>\n"
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
