import Foundation
import Testing

/// The folders of a target are floors: each compiles with those below it alone, so no dependency points upwards.
@Suite struct FloorTests {
    static let core = Building(
        module: "AIOCore",
        floors: [
            "Values", "Collections", "Kernel", "Attempts", "Workers", "Ring", "Engines", "Queue", "Loop", "Guests",
        ])
    static let library = Building(
        module: "AIO",
        floors: [
            "Values", "Runtime", "Handles", "File", "FileSystem", "Directories", "Changes", "Copy", "Network",
            "Streams",
            "Signals", "Processes", "Queue",
        ], above: core, options: ["-enable-upcoming-feature", "NonisolatedNonsendingByDefault"])
    static let buildings = [core, library]

    @Test(arguments: buildings)
    func everyFolderIsAFloor(_ building: Building) throws {
        #expect(Set(try building.folders()) == Set(building.floors))
    }

    @Test(arguments: buildings)
    func eachFloorNeedsOnlyThoseBelow(_ building: Building) throws {
        try building.withModulesBelow { below in
            for index in building.floors.indices {
                let errors = try building.errors(compiling: building.floors[...index], below)
                #expect(errors == "", "\(building.floors[index]) names what is above it")
            }
        }
    }

    /// Without this test the others could pass because nothing is compiled.
    @Test(arguments: buildings)
    func aFloorWithoutThoseBelowIsFound(_ building: Building) throws {
        try building.withModulesBelow { below in
            let errors = try building.errors(compiling: building.floors[3...3], below)
            #expect(errors.contains("error: cannot find"))
        }
    }
}

/// A target that consists of floors.
struct Building: Sendable, CustomTestStringConvertible {
    let module: String
    /// From the bottom up.
    let floors: [String]
    var folder: String
    private let below: [Building]
    private let options: [String]

    init(module: String, floors: [String], above below: Building? = nil, options: [String] = []) {
        self.module = module
        self.floors = floors
        self.options = options
        self.below = below.map { [$0] } ?? []
        folder = "\(SourceTree.root)/Sources/\(module)"
    }

    var testDescription: String { module }

    /// The folders of sources, so without the documentation catalogue.
    func folders() throws -> [String] {
        let manager = FileManager.default
        return try manager.contentsOfDirectory(atPath: folder).filter { name in
            var isFolder: ObjCBool = false
            return manager.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) && isFolder.boolValue
                && !name.hasSuffix(".docc")
        }
    }

    /// Calls `body` with a folder that contains the modules that this one depends on.
    func withModulesBelow(_ body: (String) throws -> Void) throws {
        let manager = FileManager.default
        let modules = manager.temporaryDirectory.appending(path: "aio-modules-\(UUID().uuidString)")
        try manager.createDirectory(at: modules, withIntermediateDirectories: false)
        defer { try? manager.removeItem(at: modules) }
        for building in below {
            let path = "\(modules.path)/\(building.module).swiftmodule"
            let options = ["-emit-module", "-emit-module-path", path]
            try #require(try building.errors(building.floors[...], options, modules.path) == "")
        }
        try body(modules.path)
    }

    /// The compiler's errors for these floors alone.
    func errors(compiling floors: ArraySlice<String>, _ modules: String) throws -> String {
        try errors(floors, ["-typecheck"], modules)
    }

    private func errors(_ floors: ArraySlice<String>, _ mode: [String], _ modules: String) throws -> String {
        let compiler = Process()
        let output = Pipe()
        compiler.executableURL = URL(filePath: "/usr/bin/env")
        compiler.arguments =
            ["swiftc"] + mode + ["-whole-module-optimization", "-swift-version", "6", "-package-name", "swift_aio"]
            + ["-module-name", module, "-I", modules, "-parse-as-library"] + options
            + ["-Xcc", "-fmodule-map-file=\(SourceTree.root)/Sources/CKernel/module.modulemap"]
            + floors.flatMap { sources(of: $0) }
        compiler.standardError = output
        try compiler.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        compiler.waitUntilExit()
        let lines = text.split(separator: "\n").filter { $0.contains("error:") }.joined(separator: "\n")
        return compiler.terminationStatus == 0 || !lines.isEmpty ? lines : text
    }

    private func sources(of floor: String) -> [String] {
        let files = FileManager.default.enumerator(atPath: "\(folder)/\(floor)")?.compactMap { $0 as? String } ?? []
        return files.filter { $0.hasSuffix(".swift") }.map { "\(folder)/\(floor)/\($0)" }
    }
}
