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
        .library(name: "AIOSimulation", targets: ["AIOSimulation"]),
        // For this repository's command, in debug builds.
        .library(name: "FaultInjection", targets: ["FaultInjection"]),
    ],
    traits: [
        .trait(name: "Embedded", description: "Compile AIOCore as Embedded Swift: no runtime, libc alone.")
    ],
    targets: [
        .systemLibrary(name: "CKernel", path: "Sources/CKernel"),
        .target(name: "AIOCore", dependencies: ["CKernel"], swiftSettings: [embedded]),
        .target(name: "CTaskCancellation"),
        .target(
            name: "AIO", dependencies: ["AIOCore", "CKernel", "CTaskCancellation"],
            // An async function runs where its caller stands: a cached read changes no thread.
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .target(name: "FaultInjection", dependencies: ["AIOCore", "CKernel"], swiftSettings: [embedded]),
        .target(name: "CSimulation", cSettings: [.headerSearchPath("../CKernel")]),
        .target(
            name: "AIOSimulation",
            dependencies: ["AIO", "AIOCore", "CKernel", "CSimulation", "FaultInjection"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),

        .executableTarget(name: "first-steps", dependencies: ["AIO", "AIOCore"], path: "Examples/FirstSteps"),
        .executableTarget(name: "echo-server", dependencies: ["AIO"], path: "Examples/EchoServer"),
        .executableTarget(name: "tcp-proxy", dependencies: ["AIO"], path: "Examples/TCPProxy"),
        .target(
            name: "LogWriter", dependencies: ["AIO"], path: "Examples/LogWriter/Service",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .executableTarget(
            name: "log-writer", dependencies: ["AIO", "LogWriter"], path: "Examples/LogWriter/Program"),
        .target(
            name: "LogStore", dependencies: ["AIO"], path: "Examples/LogStore/Store",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .executableTarget(
            name: "log-store", dependencies: ["AIO", "LogStore"], path: "Examples/LogStore/Program"),
        .executableTarget(name: "dispatch-loop", dependencies: ["AIO", "AIOCore"], path: "Examples/DispatchLoop"),

        .target(name: "CAllocationCount", path: "Tests/CAllocationCount"),
        .target(name: "CInstructionCount", path: "Tests/CInstructionCount"),
        .executableTarget(
            name: "path-costs", dependencies: ["AIO", "AIOCore", "CAllocationCount", "CInstructionCount"],
            path: "Tests/PathCosts", exclude: ["expected"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .target(name: "CExitTestOutput", path: "Tests/CExitTestOutput"),
        .target(
            name: "CSimulatedLibrary", dependencies: ["CSimulation"], path: "Tests/CSimulatedLibrary",
            cSettings: [.headerSearchPath("../../Sources/CKernel")]),
        .target(name: "UnitSupport", dependencies: ["CExitTestOutput"], path: "Tests/UnitSupport"),
        // What the tests kill while it replaces a file.
        .executableTarget(
            name: "replace-loop", dependencies: ["AIO"], path: "Tests/ReplaceLoop",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        // What makes promises on a file system whose writes are recorded: Scripts/power-loss.
        .executableTarget(
            name: "power-loss-program", dependencies: ["AIO"], path: "Tests/PowerLoss/Program",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        // The queue and the loop over a simulated engine: for its tests, and for long runs.
        .target(name: "QueueSimulation", dependencies: ["AIOCore", "CKernel"], path: "Tests/QueueSimulation"),
        .executableTarget(
            name: "queue-simulation", dependencies: ["QueueSimulation"], path: "Tests/QueueSimulationRun"),
        .testTarget(name: "QueueSimulationTests", dependencies: ["QueueSimulation"]),
        // What promises to survive a loss of power, over simulated disks: for its tests, and for long runs.
        .target(
            name: "CrashSimulation", dependencies: ["AIOSimulation", "AIO", "LogStore", "LogWriter", "UnitSupport"],
            path: "Tests/CrashSimulation",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .executableTarget(
            name: "crash-simulation", dependencies: ["CrashSimulation"], path: "Tests/CrashSimulationRun",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        // Everything at once, for minutes: Scripts/soak.
        .executableTarget(
            name: "soak", dependencies: ["AIO", "AIOCore", "UnitSupport"], path: "Tests/Soak",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(name: "AIOCoreTests", dependencies: ["AIOCore", "CKernel", "UnitSupport"]),
        .testTarget(
            name: "SimulatedProgramTests",
            dependencies: ["AIOSimulation", "AIO", "echo-server", "tcp-proxy", "log-writer"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "LogStoreTests", dependencies: ["LogStore", "CrashSimulation", "AIOSimulation", "AIO"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "CrashSimulationTests", dependencies: ["CrashSimulation", "LogWriter"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "AIOSimulationTests", dependencies: ["AIOSimulation", "AIO", "AIOCore", "CKernel", "UnitSupport"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "AIOTests", dependencies: ["AIO", "AIOCore", "CKernel", "UnitSupport"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(name: "DropInSupportTests", dependencies: ["AIOCore", "UnitSupport"]),
        .target(name: "CFibers", path: "Tests/CFibers"),
        // Sources of the library once more, over atomics and locks that an explorer schedules. Optimized also in debug
        // builds, for the number of executions; unchecked, since fibers share a thread's list of accesses. No product
        // contains the target, whose unsafe flags would keep other packages from depending on it.
        .testTarget(
            name: "InterleavingTests", dependencies: ["AIOCore", "CKernel", "CFibers"],
            swiftSettings: [
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
                .unsafeFlags(["-O", "-enforce-exclusivity=unchecked"]),
            ]),
        .testTarget(name: "RepositoryTests", dependencies: ["UnitSupport"]),
        .testTarget(
            name: "ConformanceTests",
            dependencies: [
                "AIO", "AIOCore", "FaultInjection", "CKernel", "UnitSupport", "AIOSimulation", "CSimulatedLibrary",
                "CSimulation",
            ],
            path: "Tests/Conformance",
            exclude: ["Programs"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "DropInTests", dependencies: ["CKernel", "UnitSupport"], path: "Tests/DropIns", exclude: ["Programs"],
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        .testTarget(
            name: "PowerLossTests", dependencies: ["UnitSupport"], path: "Tests/PowerLoss/Tests",
            swiftSettings: [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
    ],
    swiftLanguageModes: [.v6]
)

// What a sanitizer cannot run: fibers, other processes, and simulations, whose clocks a sanitizer's runtime needs.
// Scripts/test-sanitizers does not build it either.
if Context.environment["AIO_TEST_SANITIZER"] != nil {
    let left: Set<String> = [
        "InterleavingTests", "CFibers", "DropInTests", "PowerLossTests", "AIOSimulationTests", "LogStoreTests",
        "CrashSimulationTests", "CrashSimulation", "crash-simulation", "SimulatedProgramTests", "QueueSimulationTests",
        "RepositoryTests",
        // Programs of the tests that are left out, and of no test.
        "queue-simulation", "QueueSimulation", "log-store", "LogStore", "echo-server", "tcp-proxy", "dispatch-loop",
        "path-costs", "CAllocationCount", "CInstructionCount", "power-loss-program", "replace-loop",
    ]
    package.targets.removeAll { left.contains($0.name) }
}
