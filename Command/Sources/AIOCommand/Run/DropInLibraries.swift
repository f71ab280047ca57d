import Glibc

/// The two drop-in libraries that `aio run` preloads.
struct DropInLibraries {
    /// In the order in which the dynamic linker searches them.
    var paths: [String]

    static let names = ["libaio.so.1", "libposixaio.so"]

    /// Searches the folder that AIO_DROPINS names; without it, the folders of an installation and of a build.
    static func find() throws(Failure) -> DropInLibraries {
        if let named = getenv("AIO_DROPINS").map({ String(cString: $0) }), !named.isEmpty {
            guard let libraries = DropInLibraries(folder: named) else {
                throw Failure("AIO_DROPINS: \(named.quoted) does not contain \(names.joined(separator: " and "))")
            }
            return libraries
        }
        for folder in folders {
            if let libraries = DropInLibraries(folder: folder) { return libraries }
        }
        throw Failure(
            "the drop-in libraries are not built: run Scripts/build-dropins, or set AIO_DROPINS to their directory")
    }

    private init?(folder: String) {
        paths = Self.names.compactMap { name in
            guard let path = realpath("\(folder)/\(name)", nil) else { return nil }
            defer { free(path) }
            return String(cString: path)
        }
        if paths.count != Self.names.count { return nil }
    }

    /// `lib/swift-aio` next to `bin`, for an installed executable; then `.build/dropins` of the repository, for an
    /// executable in the `.build` of this package, which is a folder of the repository.
    private static var folders: [String] {
        guard let executable = realpath("/proc/self/exe", nil) else { return [] }
        defer { free(executable) }
        var parents = String(cString: executable).split(separator: "/").dropLast()
        var folders = parents.last == "bin" ? ["/\(parents.dropLast().joined(separator: "/"))/lib/swift-aio"] : []
        while let last = parents.last {
            parents.removeLast()
            if last == ".build" { folders.append("/\(parents.dropLast().joined(separator: "/"))/.build/dropins") }
        }
        return folders
    }

    /// The value of LD_PRELOAD: these libraries, then the present value.
    func preload(before present: String?) throws(Failure) -> String {
        // ld.so(8): LD_PRELOAD has no escape for spaces and colons.
        if let path = paths.first(where: { $0.contains(" ") || $0.contains(":") }) {
            throw Failure(
                "\(path.quoted): LD_PRELOAD allows no spaces or colons in a path; set AIO_DROPINS to another directory")
        }
        return (paths + [present ?? ""].filter { !$0.isEmpty }).joined(separator: ":")
    }
}
