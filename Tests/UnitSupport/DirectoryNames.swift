import Glibc

/// The names in a directory, but for `.` and `..`; nil if it cannot be opened.
public func entryNames(in directory: String) -> [String]? {
    rawEntryNames(in: Array(directory.utf8CString))?.map {
        String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The same for names that may be no text: each ends with a NUL, as the directory's path does.
public func rawEntryNames(in directory: [CChar]) -> [[CChar]]? {
    guard let stream = opendir(directory) else { return nil }
    defer { closedir(stream) }
    return rawEntryNames(stream)
}

/// The same for an open directory.
public func rawEntryNames(_ stream: OpaquePointer) -> [[CChar]] {
    var names: [[CChar]] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            // Not all 256 bytes: the record of a short name ends before them.
            $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
            }
        }
        if name != [0x2e, 0], name != [0x2e, 0x2e, 0] { names.append(name) }
    }
    return names
}
