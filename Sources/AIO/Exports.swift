// The plain values of AIOCore that the async API takes and gives have their names here too. Whoever drives an `IOQueue`, or
// puts operations together, also imports AIOCore: `Operation`, `Transfer`, `Descriptor`, `Token`, `Completion` and their like.
public import AIOCore

#if !os(Linux)
    #error("swift-aio is for Linux: it is made of io_uring, Linux AIO, epoll and preadv2(2)")
#endif

public typealias EngineKind = AIOCore.EngineKind
public typealias SyncLevel = AIOCore.SyncLevel
public typealias TransferFlags = AIOCore.TransferFlags
