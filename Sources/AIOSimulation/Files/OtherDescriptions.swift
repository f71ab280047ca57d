internal import AIOCore
internal import CKernel

/// An open directory, or a file opened with O_PATH.
final class PlaceDescription: FileDescription {
    override func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        // generic_read_dir; a loop over the buffers knows no flags.
        flags & ~CK_RWF_HIPRI != 0 ? -Int(EOPNOTSUPP) : -Int(EISDIR)
    }

    override func seek(_ offset: Int64, _ from: Int32) throws(CallError) -> Int64 {
        switch from {
        case CK_SEEK_SET: return try moved(to: offset, limit: .max)
        case CK_SEEK_CUR: return try moved(to: position + offset, limit: .max)
        case CK_SEEK_END: return try moved(to: Int64.max + min(0, offset), limit: .max)
        default: throw CallError(EINVAL)
        }
    }

    /// getdents64(2): fills the buffer with whole records.
    func readEntries(_ buffer: UnsafeMutableRawBufferPointer) throws(CallError) -> Int {
        guard let directory = inode as? Directory else { throw CallError(ENOTDIR) }
        return try readEntries(of: directory, buffer)
    }

    func readEntries(of directory: Directory, _ buffer: UnsafeMutableRawBufferPointer) throws(CallError) -> Int {
        try require(!directory.isRemoved, ENOENT)
        var filled = 0
        var place = position
        func add(_ name: FileName, _ inode: Inode, next: Int64) -> Bool {
            guard let size = Self.put(name, inode, next, in: buffer, at: filled) else { return false }
            filled += size
            place = next
            return true
        }
        var isFull = false
        if place == 0 { isFull = !add(Array(".".utf8), directory, next: 1) }
        if place == 1 { isFull = !add(Array("..".utf8), directory.entry?.parent ?? directory, next: 2) }
        if !isFull {
            for (position, name) in directory.entries(from: place) {
                guard let inode = directory.lookUp(name)?.inode else { continue }
                guard add(name, inode, next: position + 1) else {
                    isFull = true
                    break
                }
            }
        }
        try require(filled > 0 || !isFull, EINVAL)
        position = place
        fileSystem.noteAccess(directory)
        fileSystem.notify(entry, CK_IN_ACCESS)
        return filled
    }

    /// Writes a record; nil without room.
    private static func put(
        _ name: FileName, _ inode: Inode, _ next: Int64, in buffer: UnsafeMutableRawBufferPointer, at start: Int
    ) -> Int? {
        let nameStart = Int(CK_DIRECTORY_ENTRY_NAME_OFFSET)
        let size = (nameStart + name.count + 1 + 7) & ~7
        guard start + size <= buffer.count else { return nil }
        let record = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + size])
        record.initializeMemory(as: UInt8.self, repeating: 0)
        record.storeBytes(of: inode.number, toByteOffset: 0, as: UInt64.self)
        record.storeBytes(of: next, toByteOffset: 8, as: Int64.self)
        record.storeBytes(of: UInt16(size), toByteOffset: 16, as: UInt16.self)
        record.storeBytes(of: UInt8(inode.type >> 12), toByteOffset: 18, as: UInt8.self)
        UnsafeMutableRawBufferPointer(rebasing: record[nameStart...]).copyBytes(from: name)
        return size
    }
}

/// The devices of mem(4): /dev/null, /dev/zero, /dev/full, /dev/random and /dev/urandom.
final class DeviceDescription: FileDescription {
    private let minor: UInt32

    init(_ device: SpecialFile, _ entry: DirectoryEntry, flags: UInt64, in fileSystem: SimulatedFileSystem) {
        minor = device.device.minor
        super.init(entry, flags: flags, in: fileSystem)
    }

    static func isKnown(_ file: SpecialFile) -> Bool {
        file.type == CK_S_IFCHR && file.device.major == 1 && [3, 5, 7, 8, 9].contains(file.device.minor)
    }

    override func read(into buffers: [UnsafeMutableRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        guard minor != 3 else { return 0 }
        for buffer in buffers {
            for index in buffer.indices {
                buffer[index] = minor >= 8 ? UInt8(truncatingIfNeeded: fileSystem.world.random.next()) : 0
            }
        }
        return buffers.reduce(0) { $0 + $1.count }
    }

    override func write(_ buffers: [UnsafeRawBufferPointer], at offset: Int64?, flags: UInt32) -> Int {
        let count = buffers.reduce(0) { $0 + $1.count }
        return minor == 7 && count > 0 ? -Int(ENOSPC) : count
    }

    override func seek(_ offset: Int64, _ from: Int32) throws(CallError) -> Int64 { 0 }
}
