// swift-tools-version: 6.2
// The drop-in libraries: C interfaces written in Embedded Swift over AIOCore, which depend on libc alone.
// `Scripts/build-dropins` builds them.
import PackageDescription

/// Whether the libraries take faults from AIO_FAULTS: those with assertions do (`Scripts/build-dropins debug`).
let takesFaults = Context.environment["DROPINS_TAKE_FAULTS"] == "1"

let swiftSettings: [SwiftSetting] =
    [.enableExperimentalFeature("Embedded")] + (takesFaults ? [.define("TAKES_FAULTS")] : [])

let faultInjection: [Target.Dependency] =
    takesFaults ? [.product(name: "FaultInjection", package: "swift-aio")] : []

let cSettings: [CSetting] = [
    // Threads may be unwound through these, from any instruction: see CPosixWaits.
    .unsafeFlags(["-fasynchronous-unwind-tables", "-ffunction-sections", "-fdata-sections"])
]

/// Exports the names in `Exports/NAME.map` alone, under the name that programs ask the linker for.
func linkerSettings(_ name: String, map: String) -> [LinkerSetting] {
    [
        .unsafeFlags([
            "-Xlinker", "--version-script=\(Context.packageDirectory)/Exports/\(map)", "-Xlinker", "-soname=\(name)",
            "-Xlinker", "--gc-sections", "-Xlinker", "-z", "-Xlinker", "defs",
            // GNU ld: gold leaves the names of Swift's classes among those that the dynamic linker sees.
            "-use-ld=bfd",
            // The loop's threads run in it, and the summary is written by it: dlclose(3) must leave it mapped.
            "-Xlinker", "-z", "-Xlinker", "nodelete",
        ])
    ]
}

let package = Package(
    name: "drop-ins",
    products: [
        .library(name: "LibAIO", type: .dynamic, targets: ["LibAIO"]),
        .library(name: "PosixAIO", type: .dynamic, targets: ["PosixAIO"]),
    ],
    dependencies: [.package(name: "swift-aio", path: "..", traits: ["Embedded"])],
    targets: [
        .target(name: "CDropIns", cSettings: cSettings),
        .target(name: "CRawCalls", dependencies: ["CDropIns"], cSettings: cSettings),
        .target(name: "CPosixWaits", dependencies: ["CDropIns"], cSettings: cSettings),
        .target(
            name: "DropInSupport",
            dependencies: ["CDropIns", .product(name: "AIOCore", package: "swift-aio")] + faultInjection,
            swiftSettings: swiftSettings),
        .target(
            name: "LibAIO", dependencies: ["DropInSupport", "CDropIns", "CRawCalls"], swiftSettings: swiftSettings,
            linkerSettings: linkerSettings("libaio.so.1", map: "libaio.map")),
        .target(
            name: "PosixAIO", dependencies: ["DropInSupport", "CDropIns", "CPosixWaits"], swiftSettings: swiftSettings,
            linkerSettings: linkerSettings("libposixaio.so", map: "libposixaio.map")),
    ],
    swiftLanguageModes: [.v6]
)
