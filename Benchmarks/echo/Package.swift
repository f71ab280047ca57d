// swift-tools-version: 6.2
// Echo servers that `aio bench echo --peer` is given: a package of its own, whose dependencies are not the library's.
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
