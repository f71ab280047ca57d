import AIOCore
import CKernel

/// Creates the file, runs the contestants' turns, and reports.
struct Bench {
    private let plan: Plan
    private let progress = ProgressBar()

    init(_ plan: Plan) { self.plan = plan }

    func run() async throws {
        defer { progress.clear() }
        if let path = plan.jsonPath { try JSONFile.check(path) }
        let lineup = try Lineup(plan)
        // The device must outlive the file on it.
        let device = try makeDevice()
        let pattern = Pattern()
        let file = try makeFile(pattern, device)
        let shape = try makeShape(file)
        try checkDirect(file)
        let content: FileContent =
            file.isOurs ? .pattern(pattern) : .checksums(try file.takeChecksums(shape, progress))
        let load = MachineLoad()
        let rounds = Rounds(plan: plan, file: file, shape: shape, content: content, progress: progress)
        try await rounds.run(lineup.sections)
        progress.clear()
        let report = Report(
            plan: plan, file: file, device: device?.device, load: load, sections: lineup.sections,
            notes: lineup.notes + rounds.notes)
        try Console.write(report.table)
        if let path = plan.jsonPath { try JSONFile.write(report, to: path) }
    }

    private func makeDevice() throws -> MemoryDevice? {
        guard case .memoryDevice(let size) = plan.source else { return nil }
        return try MemoryDevice(size: size)
    }

    private func makeFile(_ pattern: Pattern, _ device: MemoryDevice?) throws -> TestFile {
        switch plan.source {
        case .own(let path):
            return try TestFile.open(path, order: plan.order)
        case .temporary(let name, let size):
            let directory = try OpenDescriptor(name, CK_O_RDONLY | CK_O_DIRECTORY)
            return try TestFile.create(
                in: directory, directoryName: name == "." ? "the working directory" : name.quoted, size: size,
                order: plan.order, pattern: pattern, progress: progress)
        case .memoryDevice(let size):
            guard let device else { throw Failure("no memory device") }
            return try TestFile.create(
                in: device.root, directoryName: "the memory device", size: size, order: plan.order, pattern: pattern,
                progress: progress)
        }
    }

    private func makeShape(_ file: TestFile) throws(Failure) -> WorkloadShape {
        guard file.size >= plan.blockSize else {
            throw Failure("\(file.name): the file (\(ByteCount(file.size))) is smaller than one block")
        }
        return WorkloadShape(
            fileSize: file.size, blockSize: plan.blockSize, order: plan.order, writePercent: plan.writePercent)
    }

    /// Checks that the file system supports direct I/O in blocks of this size, if any contestant uses it.
    private func checkDirect(_ file: TestFile) throws(Failure) {
        guard plan.isDirect || plan.peers.contains(.linuxAIODirect) else { return }
        var status = ck_statx()
        let result = Kernel.status(file.descriptor.number, CK_STATX_DIOALIGN, &status)
        guard result >= 0, status.mask & CK_STATX_DIOALIGN != 0 else { return }
        let unit = Int(status.direct_offset_alignment)
        let advice = plan.isDirect ? "" : " (or leave linux-aio-direct out of --peers)"
        guard unit > 0 else {
            throw Failure("\(file.name): \(file.fileSystem) does not support direct I/O here\(advice)")
        }
        guard plan.blockSize % unit == 0 else {
            throw Failure("\(file.name): direct I/O needs a --block that is a multiple of \(unit) bytes\(advice)")
        }
    }
}
