// swift-tools-version: 6.2
// The command `aio`: a package of its own, so that the library has no dependencies.
import PackageDescription

let swiftSettings: [SwiftSetting] = [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]

let package = Package(
    name: "aio-command",
    products: [.executable(name: "aio", targets: ["AIOCommand"])],
    dependencies: [
        .package(name: "swift-aio", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.0.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // glibc's aio.h, for the benchmark's peer.
        .systemLibrary(name: "CPosixAIO"),
        .executableTarget(
            name: "AIOCommand",
            dependencies: [
                "CPosixAIO",
                .product(name: "AIO", package: "swift-aio"),
                .product(name: "AIOCore", package: "swift-aio"),
                .product(name: "FaultInjection", package: "swift-aio"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: swiftSettings,
            // swift-crypto is C++ inside, and does not say so to the linker.
            linkerSettings: [.linkedLibrary("stdc++")]),
        // The folder and the files that are links are the library's own tests'.
        .target(name: "CExitTestOutput", path: "Tests/CExitTestOutput"),
        .target(name: "UnitSupport", dependencies: ["CExitTestOutput"], path: "Tests/UnitSupport"),
        .testTarget(
            name: "AIOCommandTests",
            dependencies: [
                "AIOCommand", "UnitSupport",
                .product(name: "AIO", package: "swift-aio"),
                .product(name: "AIOCore", package: "swift-aio"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: swiftSettings),
    ],
    swiftLanguageModes: [.v6]
)
