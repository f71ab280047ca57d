import Glibc

/// The two libraries that a program is started with.
struct DropInLibraries {
    /// In the order in which the dynamic linker is to look at them.
    var paths: [String]

    static let names = ["libaio.so.1", "libposixaio.so"]

    /// Looks in the folder that AIO_DROPINS names, or else where the build and the installation of this executable
    /// have them.
    static func find() throws(Failure) -> DropInLibraries {
        if let named = getenv("AIO_DROPINS").map({ String(cString: $0) }), !named.isEmpty {
            guard let libraries = DropInLibraries(folder: named) else {
                throw Failure("AIO_DROPINS: \(named) does not have both \(names.joined(separator: " and "))")
            }
            return libraries
        }
        for folder in folders {
            if let libraries = DropInLibraries(folder: folder) { return libraries }
        }
        throw Failure(
            "the drop-in libraries are not built: run Scripts/build-dropins, or set AIO_DROPINS to their folder")
    }

    private init?(folder: String) {
        paths = Self.names.compactMap { name in
            guard let path = realpath("\(folder)/\(name)", nil) else { return nil }
            defer { free(path) }
            return String(cString: path)
        }
        if paths.count != Self.names.count { return nil }
    }

    /// `lib/swift-aio` beside `bin`, and `dropins` in the `.build` that the executable lies in.
    private static var folders: [String] {
        guard let executable = realpath("/proc/self/exe", nil) else { return [] }
        defer { free(executable) }
        var parents = String(cString: executable).split(separator: "/").dropLast()
        var folders = parents.last == "bin" ? ["/\(parents.dropLast().joined(separator: "/"))/lib/swift-aio"] : []
        while let last = parents.last {
            if last == ".build" { folders.append("/\(parents.joined(separator: "/"))/dropins") }
            parents.removeLast()
        }
        return folders
    }

    /// The value of LD_PRELOAD: these before what is there already.
    func preload(before present: String?) throws(Failure) -> String {
        // The dynamic linker knows no way to quote them.
        if let path = paths.first(where: { $0.contains(" ") || $0.contains(":") }) {
            throw Failure(
                "\(path): LD_PRELOAD cannot have spaces or colons in a path; set AIO_DROPINS to another folder")
        }
        return (paths + [present ?? ""].filter { !$0.isEmpty }).joined(separator: ":")
    }
}
