import Foundation
import Testing

/// The folders of a target are floors: each compiles with those below it alone, so that no arrow points up.
@Suite struct FloorTests {
    static let core = Building(
        module: "AIOCore",
        floors: [
            "Values", "Collections", "Kernel", "Attempts", "Workers", "Ring", "Engines", "Queue", "Loop", "Guests",
        ])

    @Test func everyFolderIsAFloor() throws {
        #expect(Set(try Self.core.folders()) == Set(Self.core.floors))
    }

    @Test(arguments: core.floors.indices)
    func eachFloorNeedsOnlyThoseBelow(_ index: Int) throws {
        let errors = try Self.core.errors(compiling: Self.core.floors[...index])
        #expect(errors == "", "\(Self.core.floors[index]) names what is above it")
    }

    /// Without this the others could hold because nothing is compiled.
    @Test func aFloorWithoutTheOneBelowIsFound() throws {
        #expect(try Self.core.errors(compiling: ["Values", "Collections", "Attempts"]).contains("error: cannot find"))
    }
}

/// A target that is built of floors.
struct Building: Sendable {
    let module: String
    /// From the ground up.
    let floors: [String]

    var folder: String

    init(module: String, floors: [String]) {
        self.module = module
        self.floors = floors
        folder = "\(SourceTree.root)/Sources/\(module)"
    }

    func folders() throws -> [String] {
        let manager = FileManager.default
        return try manager.contentsOfDirectory(atPath: folder).filter { name in
            var isFolder: ObjCBool = false
            return manager.fileExists(atPath: "\(folder)/\(name)", isDirectory: &isFolder) && isFolder.boolValue
        }
    }

    /// What the compiler has to say against these floors alone.
    func errors(compiling floors: ArraySlice<String>) throws -> String {
        let compiler = Process()
        let output = Pipe()
        compiler.executableURL = URL(filePath: "/usr/bin/env")
        compiler.arguments =
            ["swiftc", "-typecheck", "-whole-module-optimization", "-swift-version", "6", "-package-name", "swift_aio"]
            + ["-module-name", module, "-Xcc", "-fmodule-map-file=\(SourceTree.root)/Sources/CKernel/module.modulemap"]
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
