internal import AIOCore
internal import CKernel

/// Sockets and FIFOs that have names in the file system.
extension SimulatedKernel {
    /// bind(2) to a path: creates the socket's file.
    func makeSocketFile(_ path: [UInt8], _ socket: UnixSocket) -> Int {
        do throws(CallError) {
            let (directory, name) = try newName(Int(CK_AT_FDCWD), path, forDirectory: false)
            let file = SpecialFile(
                number: fileSystem.nextInodeNumber(),
                attributes: newAttributes(CK_S_IFSOCK | 0o777, in: directory), created: fileSystem.now,
                device: (0, 0))
            file.stream = socket
            try fileSystem.addNew(file, name, in: directory)
            return 0
        } catch {
            return error.result == -Int(EEXIST) ? -Int(EADDRINUSE) : error.result
        }
    }

    /// The socket that a path leads to. ECONNREFUSED for any other file, and for a socket that has been closed.
    func socket(at path: [UInt8]) -> (result: Int, socket: UnixSocket?) {
        do throws(CallError) {
            var walk = try walk(Int(CK_AT_FDCWD), path)
            let file = try walk.file(path, followLast: true).inode as? SpecialFile
            guard let socket = file?.stream as? UnixSocket, !socket.isDead else { return (-Int(ECONNREFUSED), nil) }
            return (0, socket)
        } catch {
            return (error.result, nil)
        }
    }

    /// Opens a FIFO, whose contents exist while somebody has it open.
    func openFIFO(_ file: SpecialFile, flags: UInt64) -> (result: Int, description: OpenDescription?) {
        let buffer = file.stream as? PipeBuffer ?? PipeBuffer(file)
        file.stream = buffer
        return openFIFO(buffer, flags: flags)
    }
}
