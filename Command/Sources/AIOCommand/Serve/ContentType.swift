/// The media type of a file, from the extension of its name.
enum ContentType {
    /// `name` is a path or its last component.
    static func of(_ name: UnsafeBufferPointer<UInt8>) -> StaticString {
        guard let key = key(name) else { return unknown }
        return types[key] ?? unknown
    }

    /// The content encoding of a compressed file whose media type is that of the uncompressed content.
    static func encoding(of name: UnsafeBufferPointer<UInt8>) -> StaticString? {
        key(name) == compressedDrawing ? "gzip" : nil
    }

    private static let compressedDrawing = Array(".svgz".utf8).withUnsafeBufferPointer { key($0) }

    private static var unknown: StaticString { "application/octet-stream" }

    /// The extension in lower case, packed into one number. nil without an extension, or if it is longer than 16 bytes.
    private static func key(_ name: UnsafeBufferPointer<UInt8>) -> UInt128? {
        var key: UInt128 = 0
        for (count, byte) in name.reversed().enumerated() {
            if byte == UInt8(ascii: ".") { return count > 0 ? key : nil }
            guard count < 16, byte != UInt8(ascii: "/") else { return nil }
            let isUpper = (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
            key |= UInt128(isUpper ? byte | 0x20 : byte) << UInt128(8 * count)
        }
        return nil
    }

    private static let types: [UInt128: StaticString] = {
        var types: [UInt128: StaticString] = [:]
        for (names, type) in table {
            for name in "\(names)".split(separator: " ") {
                let dotted = Array(".\(name)".utf8)
                if let key = dotted.withUnsafeBufferPointer({ key($0) }) { types[key] = type }
            }
        }
        return types
    }()

    /// Extensions and their type. Text is declared as UTF-8, which nearly all text is.
    static let table: [(StaticString, StaticString)] = [
        ("html htm", "text/html; charset=utf-8"), ("xhtml", "application/xhtml+xml"),
        ("css", "text/css; charset=utf-8"), ("js mjs", "text/javascript; charset=utf-8"),
        ("txt text log conf", "text/plain; charset=utf-8"), ("md markdown", "text/markdown; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8"), ("tsv", "text/tab-separated-values; charset=utf-8"),
        ("ics", "text/calendar; charset=utf-8"), ("vcf", "text/vcard; charset=utf-8"),
        ("vtt", "text/vtt; charset=utf-8"),
        ("c h cc cpp hpp swift py sh rs go java", "text/plain; charset=utf-8"),
        ("json map", "application/json"), ("jsonld", "application/ld+json"), ("geojson", "application/geo+json"),
        ("webmanifest", "application/manifest+json"), ("xml xsl", "application/xml"), ("atom", "application/atom+xml"),
        ("rss", "application/rss+xml"), ("yaml yml", "application/yaml"), ("toml", "application/toml"),
        ("sql", "application/sql"), ("wasm", "application/wasm"), ("pdf", "application/pdf"),
        ("rtf", "application/rtf"), ("epub", "application/epub+zip"), ("zip", "application/zip"),
        ("gz tgz", "application/gzip"), ("bz2", "application/x-bzip2"), ("xz", "application/x-xz"),
        ("zst", "application/zstd"), ("7z", "application/x-7z-compressed"), ("tar", "application/x-tar"),
        ("jar", "application/java-archive"), ("iso bin img exe dll deb rpm", "application/octet-stream"),
        ("doc", "application/msword"), ("xls", "application/vnd.ms-excel"), ("ppt", "application/vnd.ms-powerpoint"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        ("odt", "application/vnd.oasis.opendocument.text"),
        ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("odp", "application/vnd.oasis.opendocument.presentation"),
        ("png", "image/png"), ("apng", "image/apng"), ("jpg jpeg jpe", "image/jpeg"), ("gif", "image/gif"),
        ("webp", "image/webp"), ("avif", "image/avif"), ("jxl", "image/jxl"), ("heic", "image/heic"),
        ("svg svgz", "image/svg+xml"), ("ico", "image/vnd.microsoft.icon"), ("bmp", "image/bmp"),
        ("tif tiff", "image/tiff"), ("psd", "image/vnd.adobe.photoshop"),
        ("woff", "font/woff"), ("woff2", "font/woff2"), ("ttf", "font/ttf"), ("otf", "font/otf"),
        ("ttc", "font/collection"), ("eot", "application/vnd.ms-fontobject"),
        ("mp3", "audio/mpeg"), ("m4a", "audio/mp4"), ("aac", "audio/aac"), ("oga ogg opus", "audio/ogg"),
        ("wav", "audio/wav"), ("flac", "audio/flac"), ("weba", "audio/webm"), ("mid midi", "audio/midi"),
        ("mp4 m4v", "video/mp4"), ("webm", "video/webm"), ("ogv", "video/ogg"), ("mov", "video/quicktime"),
        ("mkv", "video/matroska"), ("avi", "video/x-msvideo"), ("mpeg mpg", "video/mpeg"), ("ts", "video/mp2t"),
        ("m3u8", "application/vnd.apple.mpegurl"), ("mpd", "application/dash+xml"),
    ]
}
