/// The whole state at one moment, as the file `checkpoint` has it: a checksum, the generation of the log that continues
/// it, and an entry for each key, encoded as in the log.
struct Checkpoint {
    /// The log that continues the state is `log.GENERATION`.
    var generation: UInt64
    /// The sequence number of the last entry that the state contains.
    var sequence: UInt64
    var state: [String: [UInt8]]

    var encoded: [UInt8] {
        var body: [UInt8] = []
        body.append(littleEndian: generation)
        body.append(littleEndian: sequence)
        for key in state.keys.sorted() {
            body += Record(sequence: sequence, key: key, value: state[key] ?? []).encoded
        }
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Checksum.crc32c(body))
        return bytes + body
    }

    /// nil if the bytes are not a whole checkpoint.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= 20, Checksum.crc32c(bytes[4...]) == bytes.littleEndian(at: 0, UInt32.self) else {
            return nil
        }
        generation = bytes.littleEndian(at: 4, UInt64.self)
        sequence = bytes.littleEndian(at: 12, UInt64.self)
        state = [:]
        var offset = 20
        while offset < bytes.count {
            guard let (record, end) = Record.decode(bytes, at: offset, checksChecksum: true) else { return nil }
            state[record.key] = record.value
            offset = end
        }
    }

    init(generation: UInt64, sequence: UInt64, state: [String: [UInt8]]) {
        self.generation = generation
        self.sequence = sequence
        self.state = state
    }
}
