// swift-tools-version: 6.2
// Targets from the bottom up: a target uses only those before it.
import PackageDescription

/// `AIOCore` is written in the Embedded subset; the trait compiles it so, as the drop-in libraries need it.
let embedded: SwiftSetting = .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"]))

let package = Package(
    name: "swift-aio",
    products: [
        .library(name: "AIO", targets: ["AIO"]),
        .library(name: "AIOCore", targets: ["AIOCore"]),
        .executable(name: "aio", targets: ["aio"]),
    ],
    traits: [
        .trait(name: "Embedded", description: "Compile AIOCore as Embedded Swift: no runtime, libc alone.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "3.12.3"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .systemLibrary(name: "CKernel", path: "Sources/CKernel"),
        .target(name: "AIOCore", dependencies: ["CKernel"], swiftSettings: [embedded]),
        .target(
            name: "AIO", dependencies: ["AIOCore", "CKernel"],
            // An async function runs where its caller stands: a cached read changes no thread.
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .systemLibrary(name: "CPosixAIO", path: "Sources/CPosixAIO"),
        .executableTarget(
            name: "aio",
            dependencies: [
                "AIO", "AIOCore", "CKernel", "CPosixAIO",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")],
            // swift-crypto is C++ inside, and does not say so to the linker.
            linkerSettings: [.linkedLibrary("stdc++")]),

        .executableTarget(name: "first-steps", dependencies: ["AIO"], path: "Examples/FirstSteps"),
        .executableTarget(name: "echo-server", dependencies: ["AIO"], path: "Examples/EchoServer"),
        .executableTarget(name: "tcp-proxy", dependencies: ["AIO"], path: "Examples/TCPProxy"),
        .executableTarget(name: "log-writer", dependencies: ["AIO"], path: "Examples/LogWriter"),
        .executableTarget(name: "dispatch-loop", dependencies: ["AIO"], path: "Examples/DispatchLoop"),

        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        .executableTarget(
            name: "allocation-counter", dependencies: ["AIO", "CAllocationCount"], path: "Tests/AllocationCounter",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .target(name: "UnitSupport", path: "Tests/UnitSupport"),
        // What the tests kill while it replaces a file.
        .executableTarget(
            name: "replace-loop", dependencies: ["AIO"], path: "Tests/ReplaceLoop",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(name: "AIOCoreTests", dependencies: ["AIOCore", "CKernel", "UnitSupport"]),
        .testTarget(
            name: "AIOTests", dependencies: ["AIO", "AIOCore", "CKernel", "UnitSupport"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(name: "DropInSupportTests", dependencies: ["UnitSupport"]),
        .testTarget(name: "CommandTests", dependencies: ["aio", "AIO", "UnitSupport"]),
        .testTarget(name: "RepositoryTests"),
        .testTarget(
            name: "ConformanceTests", dependencies: ["AIO", "AIOCore", "CKernel", "UnitSupport"],
            path: "Tests/Conformance",
            exclude: ["Programs"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "DropInTests", dependencies: ["CKernel", "UnitSupport"], path: "Tests/DropIns", exclude: ["Programs"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
    ],
    swiftLanguageModes: [.v6]
)

// For the sanitizers: what programs of their own do no sanitizer sees, and the command's packages are long to compile.
if Context.environment["AIO_LIBRARY_ALONE"] == "1" {
    package.dependencies = []
    package.products.removeAll { $0.name == "aio" }
    package.targets.removeAll { ["aio", "CommandTests", "DropInTests"].contains($0.name) }
}
