import AIO
import CKernel
import Glibc
import Testing
import UnitSupport

/// Mounts inside a tree, and older kernels without some system calls.
@Suite(.overSimulation, .timeLimit(.minutes(10))) struct MountTests {
    /// Neither a mount of another file system nor a bind mount, which looks like a part of the tree.
    @Test(.notSimulated(.mounts), .notSimulated(.process), arguments: engines.map(\.description), ["tmpfs", "bind"])
    func whatIsMountedInATreeIsNotRemovedWithIt(_ name: String, _ kind: String) async throws {
        guard geteuid() == 0, MountNamespace.isAllowed else {
            try Test.cancel("\(skipped("mounts in a namespace of one's own cannot be had here"))")
        }
        try await withScratch { scratch in
            _ = try scratch.makeFolder("tree")
            _ = try scratch.makeFolder("tree/mount")
            _ = try scratch.makeFolder("other")
            _ = try scratch.file("other/kept", [1])
            defer {
                for name in ["tree/mount", "tree", "other"] { rmdir(scratch.path(name)) }
            }
            let folder = scratch.folder
            await #expect(processExitsWith: .success) {
                [name = name as String, kind = kind as String, folder = folder as String] in
                var configuration = IORuntime.Configuration()
                configuration.engine = .forced(try #require(EngineKind(name)))
                // New threads inherit the namespace of the thread that starts them; so there is no suspension in
                // between.
                try MountNamespace.enter()
                try MountNamespace.mount(kind == "bind" ? "\(folder)/other" : nil, at: "\(folder)/tree/mount")
                let runtime = try IORuntime(configuration)
                let kept = Path("\(folder)/tree/mount/kept")
                try await Paths.writeFile(kept, [2], runtime: runtime)
                let error = await expectError(.other) {
                    try await Paths.removeRecursively(Path("\(folder)/tree"), runtime: runtime)
                }
                #expect(error?.errno?.rawValue == EXDEV)
                #expect(error?.path == Path("\(folder)/tree/mount"))
                #expect(try await Paths.readFile(kept, runtime: runtime) == [2])
                // If the path names the mount itself, it is emptied and stays.
                let busy = await expectError(.other) {
                    try await Paths.removeRecursively(Path("\(folder)/tree/mount"), runtime: runtime)
                }
                #expect(busy?.errno?.rawValue == EBUSY)
                await expectError(.notFound) { try await Paths.readFile(kept, runtime: runtime) }
                await runtime.shutdown()
            }
            #expect(try scratch.names(in: "tree") == ["mount"])
            #expect(try scratch.names(in: "other") == (kind == "bind" ? [] : ["kept"]))
            unlink(scratch.path("other/kept"))
        }
    }

    /// Before Linux 6.6 there is only fchmodat(2), which follows links.
    @Test(.notSimulated(.process), arguments: engines.map(\.description))
    func permissionsAreSetWithoutFchmodat2(_ name: String) async {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let engine = try #require(EngineKind(name))
            try Seccomp.refuse([CK_NR_fchmodat2], with: ENOSYS)
            try await withScratch { scratch in
                let path = Path(try scratch.file("file"))
                #expect(symlink("file", scratch.path("link")) == 0)
                try await withRuntime(engine) { runtime in
                    for (link, permissions) in [("file", 0o640), ("link", 0o604)] as [(String, UInt16)] {
                        try await Paths.setPermissions(permissions, of: Path(scratch.path(link)), runtime: runtime)
                        #expect(try await Paths.status(of: path, runtime: runtime).permissions == permissions)
                    }
                    let error = await expectError(.notSupported) {
                        try await Paths.setPermissions(0o600, of: path, followLinks: false, runtime: runtime)
                    }
                    #expect(error?.operation == "chmod" && error?.path == path)
                    #expect(try await Paths.status(of: path, runtime: runtime).permissions == 0o604)
                }
            }
        }
    }
}

/// Mounts that only one thread and those it starts can see. They disappear with these threads, however the process
/// ends.
enum MountNamespace {
    #if arch(x86_64)
        private static let mountCall = 165
        private static let unshareCall = 272
    #else
        private static let mountCall = 40
        private static let unshareCall = 97
    #endif
    private static let bind = 0x1000
    private static let recursive = 0x4000
    private static let privately = 0x40000

    /// Tried on a separate thread, with which the namespace disappears.
    static let isAllowed: Bool = {
        let isEntered = Flag()
        guard let thread = try? startThread({ if (try? enter()) != nil { isEntered.set() } }) else { return false }
        pthread_join(thread, nil)
        return isEntered.isSet
    }()

    /// unshare(2) with CLONE_NEWNS; mounts do not propagate to other namespaces.
    static func enter() throws {
        let unshared = SystemCall.call(unshareCall, 0x20000)
        guard unshared == 0 else { throw Unavailable("unshare", unshared) }
        try call("none", "/", nil, recursive | privately)
    }

    /// Bind-mounts a folder, or mounts a new tmpfs.
    static func mount(_ folder: String?, at target: String) throws {
        if let folder { try call(folder, target, nil, bind) } else { try call("none", target, "tmpfs", 0) }
    }

    private static func call(_ source: String, _ target: String, _ type: String?, _ flags: Int) throws {
        let result = source.withCString { source in
            target.withCString { target in
                (type ?? "").withCString { type in
                    SystemCall.call(mountCall, address(source), address(target), address(type), flags)
                }
            }
        }
        guard result == 0 else { throw Unavailable("mount", result) }
    }
}
