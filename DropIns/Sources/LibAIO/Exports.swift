@_cdecl("io_setup")
public func exportSetup(_ depth: Int32, _ context: UnsafeMutablePointer<UInt>?) -> Int32 { 0 }
