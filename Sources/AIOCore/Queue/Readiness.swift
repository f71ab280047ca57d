internal import CKernel

extension Operation {
    /// The poll that waits until an operation that completed with `result`, which is no end, can go on. nil if it is.
    func readiness(after result: Int32) -> Operation? {
        switch self {
        case .splice(let splice), .tee(let splice):
            switch Int(result) {
            case -Int(EAGAIN): return .poll(splice.input, events: CK_POLLIN)
            case Splice.outputIsFull: return .poll(splice.output, events: CK_POLLOUT)
            default: return nil
            }
        case .socket(.connect(let socket, _, _)):
            // The connection is on its way; the same call then says what became of it.
            return result == -EINPROGRESS || result == -EALREADY ? .poll(socket, events: CK_POLLOUT) : nil
        default:
            let traits = traits
            guard result == -EAGAIN, let descriptor = traits.descriptor else { return nil }
            switch traits.interest {
            case .reading?: return .poll(descriptor, events: CK_POLLIN)
            case .writing?: return .poll(descriptor, events: CK_POLLOUT)
            case .polling?, nil: return nil
            }
        }
    }
}
