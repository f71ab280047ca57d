internal import AIOCore
internal import CKernel

/// The paths and descriptors that an operation is on.
struct OperationSubject {
    /// Each path with the directory that it starts from.
    private var named: [(directory: Int32, path: [UInt8]?)] = []
    private var descriptors: [Int32] = []

    init(_ operation: Operation) {
        switch operation {
        case .open(let directory, let path, _), .status(let directory, let path, _, _, _),
            .unlink(let directory, let path, _), .makeDirectory(let directory, let path, _),
            .symbolicLink(_, let directory, let path):
            add(directory, path)
        case .rename(let directory, let path, let newDirectory, let newPath, _),
            .link(let directory, let path, let newDirectory, let newPath, _):
            add(directory, path)
            add(newDirectory, newPath)
        case .close(let number): descriptors = [number]
        case .call(let call):
            // Of the calls that rings have, those on paths begin with the path, and the others with the descriptor.
            if call.kind == .getxattr || call.kind == .setxattr {
                named = [(CK_AT_FDCWD, text(at: call.first))]
            } else {
                descriptors = [Int32(truncatingIfNeeded: call.first)]
            }
        default:
            descriptors = [operation.descriptor, operation.otherDescriptor].compactMap { $0?.number }
        }
    }

    private mutating func add(_ directory: Int32, _ path: UnsafePointer<CChar>) {
        named.append((directory, text(at: Int(bitPattern: path))))
    }

    func paths(_ names: OpenNames) -> [[UInt8]] {
        named.compactMap { name in name.path.flatMap { names.absolute($0, from: name.directory) } }
            + descriptors.compactMap { names.path(of: $0) }
    }
}
