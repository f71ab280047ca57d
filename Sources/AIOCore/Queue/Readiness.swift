internal import CKernel

extension Operation {
    /// Returns the poll to issue before retrying if `result` means that the operation would block (EAGAIN, or
    /// EINPROGRESS or EALREADY for a connect); nil if `result` is final.
    func readiness(after result: Int32) -> Operation? {
        switch self {
        case .splice(let splice), .tee(let splice):
            switch Int(result) {
            case -Int(EAGAIN): return .poll(splice.input, events: CK_POLLIN)
            case Splice.outputIsFull: return .poll(splice.output, events: CK_POLLOUT)
            default: return nil
            }
        case .socket(.connect(let socket, _, _)):
            // The connection is in progress; the same call then returns the outcome.
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
