/// What tells one state of a file from another.
struct Validators: Equatable {
    private let inode: UInt64
    private let size: UInt64
    private let nanoseconds: UInt32
    /// Seconds.
    let modified: Int64
    /// The file was changed so short a time ago that it may change again without another tag.
    let isWeak: Bool

    /// `modified` and `now` in seconds, `nanoseconds` besides.
    init(inode: UInt64, size: Int64, modified: Int64, nanoseconds: UInt32, now: Int64) {
        self.inode = inode
        self.size = UInt64(bitPattern: size)
        self.modified = modified
        self.nanoseconds = nanoseconds
        // File systems take the time from a clock that ticks every some milliseconds.
        isWeak = modified >= now - 1
    }

    /// With its quotes, without the mark of a weak one.
    var tag: String {
        let numbers = [inode, size, UInt64(bitPattern: modified), UInt64(nanoseconds)]
        return "\"" + numbers.map { String($0, radix: 16) }.joined(separator: "-") + "\""
    }

    /// The ETag field's value. As `tag`, without making text of it.
    func append(to buffer: ResponseBuffer) {
        buffer.append(isWeak ? "W/\"" : "\"")
        buffer.append(hexadecimal: inode)
        buffer.append("-")
        buffer.append(hexadecimal: size)
        buffer.append("-")
        buffer.append(hexadecimal: UInt64(bitPattern: modified))
        buffer.append("-")
        buffer.append(hexadecimal: UInt64(nanoseconds))
        buffer.append("\"")
    }
}

/// The fields of a request that make it depend on the state of the file. RFC 9110, 13.
struct Conditions {
    var ifMatch: String?
    var ifNoneMatch: String?
    var ifModifiedSince: String?
    var ifUnmodifiedSince: String?
    var ifRange: String?

    enum Outcome { case proceed, notModified, failed }

    /// In the order of RFC 9110, 13.2.2, for GET and HEAD. A date that is none is passed over.
    func evaluate(_ file: Validators, now: Int64) -> Outcome {
        if let ifMatch {
            guard EntityTags(ifMatch).contain(file, strongly: true) else { return .failed }
        } else if let date = ifUnmodifiedSince.flatMap({ HTTPDate.seconds($0, now: now) }) {
            guard file.modified <= date else { return .failed }
        }
        if let ifNoneMatch {
            return EntityTags(ifNoneMatch).contain(file, strongly: false) ? .notModified : .proceed
        }
        if let date = ifModifiedSince.flatMap({ HTTPDate.seconds($0, now: now) }) {
            return file.modified <= date ? .notModified : .proceed
        }
        return .proceed
    }

    /// Whether a Range field counts: a part of another state of the file would not fit what the client has.
    func allowRange(_ file: Validators, now: Int64) -> Bool {
        guard let ifRange else { return true }
        if let date = HTTPDate.seconds(ifRange, now: now) { return date == file.modified && !file.isWeak }
        return EntityTags(ifRange).contain(file, strongly: true) && !ifRange.contains(",") && ifRange != "*"
    }
}

/// A list of tags, or the star that stands for any.
private struct EntityTags {
    private var isAny = false
    private var tags: [(tag: Substring, isWeak: Bool)] = []

    /// What is no tag ends the list: it then holds those before.
    init(_ field: String) {
        var rest = field.trimmingBlanks
        if rest == "*" {
            isAny = true
            return
        }
        while true {
            rest = rest.drop { $0 == " " || $0 == "\t" || $0 == "," }
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return }
            tags.append((rest[...end], isWeak))
            rest = rest[rest.index(after: end)...]
        }
    }

    func contain(_ file: Validators, strongly: Bool) -> Bool {
        isAny || tags.contains { $0.tag == file.tag && !(strongly && ($0.isWeak || file.isWeak)) }
    }
}
