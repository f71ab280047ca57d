// swift-tools-version: 6.2
// The programs that `Benchmarks/run` compares: this library's, and those of its peers that depend on nothing else. Each
// carries out one turn and prints its figures as a line of JSON.
import PackageDescription

let package = Package(
    name: "bench-programs",
    dependencies: [.package(name: "swift-aio", path: "../..")],
    targets: [
        // A link to the library's own.
        .target(name: "CAllocationCount", path: "Sources/CAllocationCount"),
        .executableTarget(
            name: "bench-aio",
            dependencies: [
                "CAllocationCount",
                .product(name: "AIO", package: "swift-aio"), .product(name: "AIOCore", package: "swift-aio"),
            ],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .executableTarget(name: "bench-c", cSettings: [.define("_GNU_SOURCE")]),
        .executableTarget(name: "bench-count", cSettings: [.define("_GNU_SOURCE")]),
        .executableTarget(name: "bench-foundation"),
        .executableTarget(name: "bench-empty", path: "Sources/empty"),
    ],
    swiftLanguageModes: [.v6]
)
