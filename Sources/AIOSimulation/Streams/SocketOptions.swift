internal import AIOCore
internal import CKernel

/// The options of a socket that have values of their own; those that are numbers without further effect are kept as
/// they were set.
struct SocketOptions {
    /// SO_SNDBUF and SO_RCVBUF as getsockopt(2) reports them: the doubled values.
    var sendBuffer = 212_992
    var receiveBuffer = 212_992
    var linger = ck_linger()
    private var numbers: [Int64: Int32] = [:]

    subscript(level: Int32, name: Int32) -> Int32? {
        get { numbers[Self.key(level, name)] }
        set { numbers[Self.key(level, name)] = newValue }
    }

    private static func key(_ level: Int32, _ name: Int32) -> Int64 { Int64(level) << 32 | Int64(name) }

    func isOn(_ level: Int32, _ name: Int32) -> Bool { self[level, name] ?? 0 != 0 }

    var reusesAddress: Bool { isOn(CK_SOL_SOCKET, CK_SO_REUSEADDR) }
    var reusesPort: Bool { isOn(CK_SOL_SOCKET, CK_SO_REUSEPORT) }
    var isV6Only: Bool { isOn(CK_IPPROTO_IPV6, CK_IPV6_V6ONLY) }
    /// TCP_USER_TIMEOUT in milliseconds; 0 for the network's default.
    var userTimeout: Int32 { self[CK_IPPROTO_TCP, CK_TCP_USER_TIMEOUT] ?? 0 }
}

/// Options that CKernel does not name, because the library does not set them.
private enum OtherOption {
    static let type: Int32 = 3
    static let dontRoute: Int32 = 5
    static let outOfBandInline: Int32 = 10
    static let priority: Int32 = 12
    static let receiveLowMark: Int32 = 18
    static let protocolNumber: Int32 = 38
    static let domain: Int32 = 39
    static let cork: Int32 = 3
    static let quickAck: Int32 = 12
    static let typeOfService: Int32 = 1
    static let unicastHops: Int32 = 16
}

extension SocketDescription {
    private var isTCP: Bool { protocolNumber == 6 }
    private var isUnix: Bool { domain == CK_AF_UNIX }

    /// The range of a number that is only kept, and its default; nil for an unknown option.
    private func number(_ level: Int32, _ name: Int32) -> (range: ClosedRange<Int32>?, initial: Int32)? {
        switch (level, name) {
        case (CK_SOL_SOCKET, CK_SO_REUSEADDR), (CK_SOL_SOCKET, CK_SO_REUSEPORT), (CK_SOL_SOCKET, CK_SO_BROADCAST),
            (CK_SOL_SOCKET, CK_SO_KEEPALIVE), (CK_SOL_SOCKET, OtherOption.dontRoute),
            (CK_SOL_SOCKET, OtherOption.outOfBandInline):
            return (nil, 0)
        case (CK_SOL_SOCKET, OtherOption.priority): return (0...6, 0)
        case (CK_SOL_SOCKET, OtherOption.receiveLowMark): return (1...Int32.max, 1)
        case (CK_IPPROTO_TCP, _) where isTCP: return Self.tcpNumber(name)
        case (CK_IPPROTO_IP, _) where !isUnix: return ipNumber(name)
        case (CK_IPPROTO_IPV6, _) where domain == CK_AF_INET6: return Self.ipv6Number(name)
        default: return nil
        }
    }

    private static func tcpNumber(_ name: Int32) -> (range: ClosedRange<Int32>?, initial: Int32)? {
        switch name {
        case CK_TCP_NODELAY, OtherOption.cork: (nil, 0)
        case OtherOption.quickAck: (nil, 1)
        case CK_TCP_KEEPIDLE: (1...32767, 7200)
        case CK_TCP_KEEPINTVL: (1...32767, 75)
        case CK_TCP_KEEPCNT: (1...127, 9)
        case CK_TCP_USER_TIMEOUT: (0...Int32.max, 0)
        default: nil
        }
    }

    private func ipNumber(_ name: Int32) -> (range: ClosedRange<Int32>?, initial: Int32)? {
        switch name {
        case CK_IP_TTL: (1...255, 64)
        case OtherOption.typeOfService: (0...255, 0)
        case CK_IP_MULTICAST_TTL: (0...255, 1)
        case CK_IP_MULTICAST_LOOP: (nil, 1)
        default: nil
        }
    }

    private static func ipv6Number(_ name: Int32) -> (range: ClosedRange<Int32>?, initial: Int32)? {
        switch name {
        case CK_IPV6_V6ONLY: (nil, 0)
        case OtherOption.unicastHops: (0...255, 64)
        case CK_IPV6_MULTICAST_HOPS: (0...255, 1)
        case CK_IPV6_MULTICAST_LOOP: (0...1, 1)
        default: nil
        }
    }

    // MARK: getsockopt

    func getOption(_ call: SystemCall) -> Int {
        guard let count = UnsafeMutablePointer<Int32>(bitPattern: call.e) else { return -Int(EFAULT) }
        guard count.pointee >= 0 else { return -Int(EINVAL) }
        let (level, name) = (Int32(truncatingIfNeeded: call.b), Int32(truncatingIfNeeded: call.c))
        guard var bytes = value(level, name) else { return -Int(knows(level) ? ENOPROTOOPT : EOPNOTSUPP) }
        // ip_getsockopt: a small number for a small buffer is one byte.
        if level == CK_IPPROTO_IP, (1..<4).contains(count.pointee), bytes.dropFirst().allSatisfy({ $0 == 0 }) {
            bytes = [bytes[0]]
        }
        let part = min(Int(count.pointee), bytes.count)
        guard let memory = UnsafeMutableRawPointer(bitPattern: call.d) else { return part == 0 ? 0 : -Int(EFAULT) }
        bytes.withUnsafeBytes { memory.copyMemory(from: $0.baseAddress!, byteCount: part) }
        count.pointee = Int32(part)
        return 0
    }

    /// Whether the domain has options of a level. ip_getsockopt has another errno for those that it has not than
    /// ip_setsockopt.
    private func knows(_ level: Int32) -> Bool {
        switch domain {
        case CK_AF_UNIX: level == CK_SOL_SOCKET
        case CK_AF_INET: level == CK_SOL_SOCKET || level == CK_IPPROTO_IP || level == CK_IPPROTO_TCP && isTCP
        default: true
        }
    }

    private func value(_ level: Int32, _ name: Int32) -> [UInt8]? {
        func bytes<Value: BitwiseCopyable>(_ value: Value) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }
        if let number = number(level, name) { return bytes(options[level, name] ?? number.initial) }
        guard level == CK_SOL_SOCKET else { return nil }
        switch name {
        case CK_SO_ERROR: return bytes(Int32(-takeError()))
        case CK_SO_ACCEPTCONN: return bytes(Int32(isListening ? 1 : 0))
        case CK_SO_SNDBUF: return bytes(Int32(options.sendBuffer))
        case CK_SO_RCVBUF: return bytes(Int32(options.receiveBuffer))
        case CK_SO_LINGER: return bytes(options.linger)
        case OtherOption.type: return bytes(type)
        case OtherOption.domain: return bytes(domain)
        case OtherOption.protocolNumber: return bytes(protocolNumber)
        default: return nil
        }
    }

    // MARK: setsockopt

    func setOption(_ call: SystemCall) -> Int {
        let (level, name) = (Int32(truncatingIfNeeded: call.b), Int32(truncatingIfNeeded: call.c))
        guard call.e >= 0 else { return -Int(EINVAL) }
        guard level == CK_SOL_SOCKET || !isUnix else { return -Int(EOPNOTSUPP) }
        if level != CK_SOL_SOCKET, name == CK_MCAST_JOIN_GROUP || name == CK_MCAST_LEAVE_GROUP {
            return setGroup(call, isJoin: name == CK_MCAST_JOIN_GROUP)
        }
        if level == CK_SOL_SOCKET, name == CK_SO_LINGER { return setLinger(call) }
        // ip_setsockopt takes a single byte too.
        let isByte = level == CK_IPPROTO_IP && (1..<4).contains(call.e)
        guard call.e >= 4 || isByte else { return -Int(EINVAL) }
        guard let memory = UnsafeRawPointer(bitPattern: call.d) else { return -Int(EFAULT) }
        let value = isByte ? Int32(memory.load(as: UInt8.self)) : memory.loadUnaligned(as: Int32.self)
        return set(level, name, value)
    }

    private func set(_ level: Int32, _ name: Int32, _ value: Int32) -> Int {
        switch (level, name) {
        case (CK_SOL_SOCKET, CK_SO_SNDBUF): options.sendBuffer = Self.bufferSize(value, least: 4608)
        case (CK_SOL_SOCKET, CK_SO_RCVBUF): options.receiveBuffer = Self.bufferSize(value, least: 2304)
        case (CK_SOL_SOCKET, CK_SO_REUSEPORT) where isUnix && value != 0: return -Int(EOPNOTSUPP)
        case (CK_IPPROTO_IPV6, CK_IPV6_V6ONLY) where isBound: return -Int(EINVAL)
        case (CK_IPPROTO_IP, CK_IP_MULTICAST_TTL) where isTCP: return -Int(EINVAL)
        case (CK_IPPROTO_IPV6, CK_IPV6_MULTICAST_HOPS) where isTCP: return -Int(ENOPROTOOPT)
        default: return setNumber(level, name, value)
        }
        optionsChanged()
        readinessChanged()
        return 0
    }

    private func setNumber(_ level: Int32, _ name: Int32, _ value: Int32) -> Int {
        guard let number = number(level, name) else { return -Int(ENOPROTOOPT) }
        guard let range = number.range else {
            options[level, name] = value != 0 ? 1 : 0
            optionsChanged()
            return 0
        }
        // -1 is the default of the options about hops.
        let isDefault = value == -1 && range.upperBound == 255
        guard isDefault || range.contains(value) else { return -Int(EINVAL) }
        options[level, name] = isDefault ? number.initial : value
        optionsChanged()
        return 0
    }

    /// Doubled, at least the kernel's minimum, and at most net.core.wmem_max and rmem_max.
    private static func bufferSize(_ value: Int32, least: Int) -> Int {
        max(2 * Int(min(UInt32(bitPattern: value), 212_992)), least)
    }

    private func setLinger(_ call: SystemCall) -> Int {
        guard call.e >= MemoryLayout<ck_linger>.size else { return -Int(EINVAL) }
        guard let memory = UnsafeRawPointer(bitPattern: call.d) else { return -Int(EFAULT) }
        let linger = memory.loadUnaligned(as: ck_linger.self)
        options.linger =
            linger.is_on != 0
            ? ck_linger(is_on: 1, seconds: linger.seconds)
            : ck_linger(
                is_on: 0, seconds: options.linger.seconds)
        return 0
    }

    /// MCAST_JOIN_GROUP and MCAST_LEAVE_GROUP.
    private func setGroup(_ call: SystemCall, isJoin: Bool) -> Int {
        guard let socket = self as? UDPSocket else { return -Int(isJoin ? EPROTO : EADDRNOTAVAIL) }
        guard call.e >= MemoryLayout<ck_group_request>.size else { return -Int(EINVAL) }
        guard let memory = UnsafeRawPointer(bitPattern: call.d) else { return -Int(EFAULT) }
        let name = UnsafeRawBufferPointer(start: memory + 8, count: 128)
        guard let group = Endpoint(name)?.address, group.isMulticast else { return -Int(EINVAL) }
        if isJoin {
            guard !socket.groups.contains(group) else { return -Int(EADDRINUSE) }
            socket.groups.append(group)
        } else {
            guard let index = socket.groups.firstIndex(of: group) else { return -Int(EADDRNOTAVAIL) }
            socket.groups.remove(at: index)
        }
        return 0
    }
}
