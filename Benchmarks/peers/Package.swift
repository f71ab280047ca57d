// swift-tools-version: 6.2
// Peers over SwiftNIO, and the epoll loop that `aio bench echo --peer` compares with them: in a separate package, so
// that the library does not get their dependencies.
import PackageDescription

let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
]

let package = Package(
    name: "bench-peers",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.80.0")],
    targets: [
        .executableTarget(name: "nio-echo", dependencies: nio),
        .executableTarget(name: "nio-echo-async", dependencies: nio),
        .executableTarget(
            name: "nio-files",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "_NIOFileSystem", package: "swift-nio"),
            ]),
        .executableTarget(name: "epoll-echo", cSettings: [.define("_GNU_SOURCE")]),
    ],
    swiftLanguageModes: [.v6]
)
