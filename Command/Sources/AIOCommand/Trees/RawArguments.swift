import AIO

/// The command line's paths as raw bytes: the parser converts arguments to strings, which changes invalid UTF-8.
enum RawArguments {
    static func paths(_ arguments: [String]) -> [Path] {
        var raw: [String: [[UInt8]]] = [:]
        for index in 0..<Int(CommandLine.argc) {
            guard let argument = CommandLine.unsafeArgv[index] else { continue }
            let bytes = Array(UnsafeBufferPointer(start: argument, count: length(argument)))
                .map { UInt8(bitPattern: $0) }
            raw[String(decoding: bytes, as: UTF8.self), default: []].append(bytes)
        }
        return arguments.map { text in
            // Arguments with the same string are matched in their order.
            guard let bytes = raw[text]?.first else { return Path(text) }
            raw[text]?.removeFirst()
            return Path(bytes: bytes)
        }
    }

    private static func length(_ string: UnsafePointer<CChar>) -> Int {
        var count = 0
        while string[count] != 0 { count += 1 }
        return count
    }
}

extension Path {
    /// The path of `name` in this directory.
    func with(_ name: [UInt8]) -> Path {
        let slash = UInt8(ascii: "/")
        let folder = bytes
        return Path(bytes: folder + (folder.last == slash ? [] : [slash]) + name)
    }

    /// The last component, without trailing slashes.
    var lastPart: [UInt8] {
        let slash = UInt8(ascii: "/")
        let trimmed = bytes.reversed().drop { $0 == slash }
        return trimmed.prefix { $0 != slash }.reversed()
    }
}
