internal import AIOCore
internal import CKernel

/// What is wrong with the text of a plan.
package struct MalformedFaults: Error, CustomStringConvertible {
    /// One line: the part of the text, and what it should be.
    package let description: String
}

/// The text of a plan, as in the environment variable AIO_FAULTS: rules, separated by commas.
///
///     CALL[@PATH][:NUMBER]=ACTION
///
/// CALL is the name of a system call, `read` or `write` for all their forms, `memory` or `descriptors` for what may
/// lack either, or `*` for any. PATH may also be the kind
/// of a descriptor without a path: `socket`, `pipe`, `inotify`, `process`, and what engines have, such as `event`.
/// NUMBER is that of the call, or 1/COUNT for one in so many; without it the rule applies to each such call. ACTION is
/// an errno's name, `short:BYTES`, `half`, `flip`, `slow:MILLISECONDSms`, or `hang`.
extension FaultPlan {
    package convenience init(parsing text: String) throws(MalformedFaults) {
        var rules: [FaultRule] = []
        for part in text.utf8.split(separator: UInt8(ascii: ",")) { rules.append(try Self.rule(Array(part))) }
        self.init(rules)
    }

    private static func rule(_ part: [UInt8]) throws(MalformedFaults) -> FaultRule {
        guard let equals = part.lastIndex(of: UInt8(ascii: "=")) else {
            throw malformed(part, "it has no action: CALL[@PATH][:NUMBER]=ACTION")
        }
        var subject = part[..<equals]
        var occurrence = FaultRule.Occurrence.always
        if let colon = subject.lastIndex(of: UInt8(ascii: ":")) {
            let isShare = subject[(colon + 1)...].starts(with: bytes(of: "1/"))
            guard let number = number(subject[(colon + (isShare ? 3 : 1))...]), number > 0 else {
                throw malformed(part, "after the colon comes the number of the call, from 1 on, or 1/COUNT")
            }
            occurrence = isShare ? .oneIn(number) : .nth(number)
            subject = subject[..<colon]
        }
        var place = FaultRule.Place.everywhere
        if let at = subject.firstIndex(of: UInt8(ascii: "@")) {
            var path = Array(subject[(at + 1)...])
            if path.first == UInt8(ascii: "/") {
                // The root becomes the empty path, which is above every other.
                while path.last == UInt8(ascii: "/") { path.removeLast() }
                place = .under(path)
            } else {
                guard CallForm.isMade(path) else {
                    throw malformed(part, "after @ comes a path from / on, or what descriptors are of, as in @socket")
                }
                place = .beginning(path)
            }
            subject = subject[..<at]
        }
        let name = Array(subject)
        let isAny = name == [UInt8(ascii: "*")]
        guard isAny || CallForm.isKnown(name) else { throw malformed(part, "there is no such call") }
        let action = try action(Array(part[(equals + 1)...]), of: part)
        return FaultRule(name: isAny ? nil : name, place, occurrence, action)
    }

    private static func action(_ text: [UInt8], of part: [UInt8]) throws(MalformedFaults) -> FaultRule.Action {
        if text.elementsEqual(bytes(of: "hang")) { return .hang }
        if text.elementsEqual(bytes(of: "half")) { return .half }
        if text.elementsEqual(bytes(of: "flip")) { return .flip }
        if text.starts(with: bytes(of: "short:")) {
            guard let count = number(text[6...]), count > 0 else {
                throw malformed(part, "after short: comes the number of bytes, from 1 on")
            }
            return .short(count)
        }
        if text.starts(with: bytes(of: "slow:")) {
            guard text.suffix(2).elementsEqual(bytes(of: "ms")), let time = number(text[5..<(text.count - 2)]) else {
                throw malformed(part, "after slow: comes the time in milliseconds: slow:100ms")
            }
            return .slow(Nanoseconds(time) * 1_000_000)
        }
        for (name, errno) in errnos where text.elementsEqual(bytes(of: name)) { return .fail(errno) }
        throw malformed(part, "the action is an errno's name, short:BYTES, half, flip, slow:MILLISECONDSms or hang")
    }

    private static func number(_ text: ArraySlice<UInt8>) -> Int? {
        guard !text.isEmpty, text.count < 10 else { return nil }
        var number = 0
        for digit in text {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "9") else { return nil }
            number = number * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return number
    }

    private static func malformed(_ part: [UInt8], _ reason: String) -> MalformedFaults {
        MalformedFaults(description: "AIO_FAULTS: " + String(decoding: part, as: UTF8.self) + ": " + reason)
    }

    private static let errnos: [(StaticString, Int32)] = [
        ("EPERM", EPERM), ("ENOENT", ENOENT), ("EINTR", EINTR), ("EIO", EIO), ("ENXIO", ENXIO), ("EBADF", EBADF),
        ("EAGAIN", EAGAIN), ("ENOMEM", ENOMEM), ("EACCES", EACCES), ("EBUSY", EBUSY), ("EEXIST", EEXIST),
        ("EXDEV", EXDEV), ("ENODEV", ENODEV), ("ENOTDIR", ENOTDIR), ("EISDIR", EISDIR), ("EINVAL", EINVAL),
        ("ENFILE", ENFILE), ("EMFILE", EMFILE), ("ETXTBSY", ETXTBSY), ("EFBIG", EFBIG), ("ENOSPC", ENOSPC),
        ("EROFS", EROFS), ("EMLINK", EMLINK), ("EPIPE", EPIPE), ("ENOSYS", ENOSYS), ("ENOTEMPTY", ENOTEMPTY),
        ("ELOOP", ELOOP), ("EOPNOTSUPP", EOPNOTSUPP), ("EADDRINUSE", EADDRINUSE), ("ENETUNREACH", ENETUNREACH),
        ("ECONNABORTED", ECONNABORTED), ("ECONNRESET", ECONNRESET), ("ENOBUFS", ENOBUFS), ("ETIMEDOUT", ETIMEDOUT),
        ("ECONNREFUSED", ECONNREFUSED), ("EHOSTUNREACH", EHOSTUNREACH), ("ESTALE", ESTALE), ("EDQUOT", EDQUOT),
    ]
}
