internal import AIOCore
internal import CKernel

/// Copies a large file in ranges, by several workers concurrently.
struct LargeFileCopy: Sendable {
    let item: CopyItem
    let session: CopySession
    let runtime: IORuntime
    let deadline: Deadline

    /// The maximum number of workers for one file.
    private static var width: Int { 3 }

    func run() async -> IOError? {
        let opening = CopyStep(deadline) { step throws(IOError) in
            let copy = try OpenCopy(item, session)
            step.copy = copy
            step.hasContent = try copy.begin()
        }
        if let error = await carryOut(opening) {
            await abandon(opening.copy)
            return error
        }
        guard let copy = opening.copy else { return nil }
        if !opening.hasContent, let error = await copyRanges(copy) {
            await abandon(copy)
            return error
        }
        let closing = CopyStep(deadline) { _ throws(IOError) in try copy.finish() }
        guard let error = await carryOut(closing) else { return nil }
        await abandon(copy)
        return error
    }

    private func copyRanges(_ copy: OpenCopy) async -> IOError? {
        await withTaskGroup(of: IOError?.self) { group in
            // Without ranges to share, each worker would copy the whole file.
            for _ in 0..<(copy.cursor == nil ? 1 : Self.width) {
                group.addTask { await carryOut(ranges(of: copy)) }
            }
            var first: IOError?
            for await error in group where error != nil {
                first = first ?? error
                group.cancelAll()
            }
            return first
        }
    }

    private func ranges(of copy: OpenCopy) -> CopyStep {
        CopyStep(deadline) { step throws(IOError) in
            // On a page boundary, so that the kernel copies whole pages.
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: OpenCopy.pieceSize, alignment: 4096)
            defer { buffer.deallocate() }
            try copy.copyPieces(buffer) { step.shouldEnd }
        }
    }

    private func carryOut(_ step: CopyStep) async -> IOError? {
        do throws(IOError) { _ = try await runtime.perform(step, "copy", item.source.path, deadline) } catch {
            return step.failure ?? error
        }
        return nil
    }

    /// Runs regardless of cancellation and shutdown.
    private func abandon(_ copy: OpenCopy?) async {
        guard let copy else { return }
        await runtime.performToTheEnd(CopyStep(.never, isRelease: true) { _ throws(IOError) in copy.abandon() }, "copy")
    }
}

/// System calls on a worker, as a closure that throws.
final class CopyStep: BlockingWork, @unchecked Sendable {
    // @unchecked: as BlockingWork says.
    private let body: (CopyStep) throws(IOError) -> Void
    private(set) var failure: IOError?
    fileprivate(set) var copy: OpenCopy?
    fileprivate(set) var hasContent = false

    init(_ deadline: Deadline, isRelease: Bool = false, _ body: @escaping (CopyStep) throws(IOError) -> Void) {
        self.body = body
        super.init(deadline: deadline.nanoseconds, isRelease: isRelease)
    }

    override func run() -> Int {
        do throws(IOError) { try body(self) } catch {
            if error.code != .cancelled { failure = error }
            return -Int(error.errno?.rawValue ?? ECANCELED)
        }
        return 0
    }
}

extension CopyStep {
    /// Carries out the steps one after the other, in a task that is not cancelled. Errors are ignored.
    @concurrent static func carryOutUncancelled(_ steps: [CopyStep], _ runtime: IORuntime, _ path: Path) async {
        let work: @concurrent @Sendable () async -> Void = {
            for step in steps {
                do throws(IOError) { _ = try await runtime.perform(step, "copy", path, .never) } catch {}
            }
        }
        await Task(operation: work).value
    }
}
