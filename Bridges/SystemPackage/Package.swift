// swift-tools-version: 6.2
// Paths of swift-system for AIO: a package of its own, so that the library has no dependencies.
import PackageDescription

let package = Package(
    name: "aio-system-package",
    products: [.library(name: "AIOSystemPackage", targets: ["AIOSystemPackage"])],
    dependencies: [
        .package(name: "swift-aio", path: "../.."),
        .package(url: "https://github.com/apple/swift-system", from: "1.4.0"),
    ],
    targets: [
        .target(
            name: "AIOSystemPackage",
            dependencies: [
                .product(name: "AIO", package: "swift-aio"), .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(name: "AIOSystemPackageTests", dependencies: ["AIOSystemPackage"]),
    ],
    swiftLanguageModes: [.v6]
)
