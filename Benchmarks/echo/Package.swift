// swift-tools-version: 6.2
// Echo servers for `aio bench echo --peer`, in a separate package, so that the library does not get their dependencies.
import PackageDescription

let package = Package(
    name: "echo-peers",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.80.0")],
    targets: [
        .executableTarget(
            name: "nio-echo",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .executableTarget(
            name: "nio-echo-async",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            ]),
        .executableTarget(name: "epoll-echo", cSettings: [.define("_GNU_SOURCE")]),
    ],
    swiftLanguageModes: [.v6]
)
