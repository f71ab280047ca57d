/// One entry of the log, as it is in the file: its length, a checksum, its sequence number, and the key and the value.
/// All numbers are little-endian.
struct Record: Equatable {
    /// Counts all entries of the store, from 1 on. An entry that a crash left in a reused part of a file has another.
    var sequence: UInt64
    var key: String
    var value: [UInt8]

    /// The size of what precedes the key: length and checksum (4 bytes each), sequence number (8), length of the key
    /// (4).
    private static let headerSize = 20
    /// The longest key and value together.
    static let sizeLimit = 16 << 20

    var encoded: [UInt8] {
        var body: [UInt8] = []
        body.append(littleEndian: sequence)
        body.append(littleEndian: UInt32(key.utf8.count))
        body += key.utf8
        body += value
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(body.count))
        bytes.append(littleEndian: Checksum.crc32c(body))
        return bytes + body
    }

    /// The record at `offset`, and where the next one begins. nil if there is no whole record: the log ends here.
    static func decode(_ bytes: [UInt8], at offset: Int, checksChecksum: Bool) -> (record: Record, end: Int)? {
        guard bytes.count - offset >= headerSize else { return nil }
        let length = Int(bytes.littleEndian(at: offset, UInt32.self))
        let checksum = bytes.littleEndian(at: offset + 4, UInt32.self)
        let start = offset + 8
        guard length >= headerSize - 8, length <= bytes.count - start else { return nil }
        let body = bytes[start..<start + length]
        guard !checksChecksum || Checksum.crc32c(body) == checksum else { return nil }
        let keyLength = Int(bytes.littleEndian(at: start + 8, UInt32.self))
        guard keyLength <= length - 12 else { return nil }
        let key = body[(start + 12)..<(start + 12 + keyLength)]
        let record = Record(
            sequence: bytes.littleEndian(at: start, UInt64.self), key: String(decoding: key, as: UTF8.self),
            value: Array(body[(start + 12 + keyLength)...]))
        return (record, start + length)
    }
}

enum Checksum {
    /// CRC-32C (Castagnoli), bit by bit reflected, as iSCSI (RFC 3720) and ext4 have it.
    static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~0) { table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] ^ ($0 >> 8) }
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0x82f6_3b78 ^ (value >> 1) : value >> 1 }
    }
}

extension [UInt8] {
    mutating func append(littleEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
    }

    func littleEndian<Value: FixedWidthInteger>(at offset: Int, _ type: Value.Type) -> Value {
        withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: Value.self)) }
    }
}
