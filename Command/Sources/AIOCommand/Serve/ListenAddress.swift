import AIO

/// The address that a server listens on, as given on the command line.
enum ListenAddress {
    /// Resolves an address, or a host name and a port.
    static func resolve(_ text: String, _ runtime: IORuntime) async throws -> SocketAddress {
        guard text != "unix:" else { throw Failure("--listen unix: needs a path after the colon") }
        let failure: IOError
        do throws(IOError) {
            return try SocketAddress(text)
        } catch {
            failure = error
        }
        if let colon = text.lastIndex(of: ":") {
            let port = text[text.index(after: colon)...]
            if !port.isEmpty, port.allSatisfy({ ("0"..."9").contains($0) }), UInt16(port) == nil {
                throw Failure("--listen \(text.quoted): port \(port) is out of range; ports are 0 to 65535")
            }
        }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            colon > text.startIndex
        else { throw Failure("--listen \(text.quoted): \(failure.advice ?? "not an address")") }
        let addresses = try await SocketAddress.resolve(String(text[..<colon]), port: port, runtime: runtime)
        guard let first = addresses.first else { throw Failure("--listen \(text.quoted): no such host") }
        return first
    }

    static func listen(on address: SocketAddress, _ runtime: IORuntime) async throws -> Listener {
        do throws(IOError) {
            return try await Listener.listen(on: address, backlog: 4096, runtime: runtime)
        } catch {
            switch error.code {
            case .addressInUse:
                let isPath = if case .unix = address { true } else { false }
                let advice =
                    isPath
                    ? "remove it if no server listens on it" : "stop the server that uses it, or choose another port"
                throw Failure("\(address) is in use: \(advice)")
            default: throw Failure("\(error)")
            }
        }
    }
}
