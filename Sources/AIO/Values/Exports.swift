// The plain values of AIOCore that the async API takes and gives come with AIO, as the same declarations: an alias would be
// a second name for whoever imports both. Whoever drives an `IOQueue`, or puts operations together, also imports AIOCore:
// `Operation`, `Transfer`, `Descriptor`, `Token`, `Completion` and their like.
@_exported public import enum AIOCore.EngineKind
@_exported public import enum AIOCore.SyncLevel
@_exported public import struct AIOCore.TransferFlags

#if !os(Linux)
    #error("swift-aio is for Linux: it is made of io_uring, Linux AIO, epoll and preadv2(2)")
#endif
