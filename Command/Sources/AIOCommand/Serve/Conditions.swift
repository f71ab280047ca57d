/// What distinguishes one state of a file from another: the source of its ETag and Last-Modified fields.
struct Validators: Equatable {
    private let inode: UInt64
    private let size: UInt64
    /// The file's modification time in seconds since 1970, and the fraction.
    private let seconds: Int64
    private let nanoseconds: UInt32
    /// The value of Last-Modified, which conditions are compared with: the modification time, but not later than the
    /// time of the response (RFC 9110, section 8.8.2.1).
    let modified: Int64
    /// The file changed so recently that it may change again without a new tag.
    let isWeak: Bool

    /// `modified` and `now` are in seconds; `nanoseconds` is the fraction of `modified`.
    init(inode: UInt64, size: Int64, modified: Int64, nanoseconds: UInt32, now: Int64) {
        self.inode = inode
        self.size = UInt64(bitPattern: size)
        seconds = modified
        self.modified = min(modified, now)
        self.nanoseconds = nanoseconds
        // Timestamps come from a coarse clock that advances once per timer tick, every few milliseconds.
        isWeak = modified >= now - 1
    }

    /// The tag with its quotes, without the prefix `W/`.
    var tag: String {
        let numbers = [inode, size, UInt64(bitPattern: seconds), UInt64(nanoseconds)]
        return "\"" + numbers.map { String($0, radix: 16) }.joined(separator: "-") + "\""
    }

    /// Appends the value of the ETag field, without creating a string.
    func append(to buffer: ResponseBuffer) {
        buffer.append(isWeak ? "W/\"" : "\"")
        buffer.append(hexadecimal: inode)
        buffer.append("-")
        buffer.append(hexadecimal: size)
        buffer.append("-")
        buffer.append(hexadecimal: UInt64(bitPattern: seconds))
        buffer.append("-")
        buffer.append(hexadecimal: UInt64(nanoseconds))
        buffer.append("\"")
    }
}

/// The conditional fields of a request. RFC 9110, section 13.
struct Conditions {
    var ifMatch: String?
    var ifNoneMatch: String?
    var ifModifiedSince: String?
    var ifUnmodifiedSince: String?
    var ifRange: String?

    enum Outcome { case proceed, notModified, failed }

    /// Evaluates the fields in the order of RFC 9110, section 13.2.2, for GET and HEAD. Ignores an invalid date.
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

    /// Whether the Range field applies (If-Range): a part of a changed file would not fit what the client already has.
    func allowRange(_ file: Validators, now: Int64) -> Bool {
        guard let ifRange else { return true }
        if let date = HTTPDate.seconds(ifRange, now: now) { return date == file.modified && !file.isWeak }
        return EntityTags(ifRange).contain(file, strongly: true) && !ifRange.contains(",") && ifRange != "*"
    }
}

/// A list of entity tags, or the star, which matches any.
private struct EntityTags {
    private var isAny = false
    private var tags: [(tag: Substring, isWeak: Bool)] = []

    /// Parses up to the first invalid tag and keeps the tags before it.
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
