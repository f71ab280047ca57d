// AIO re-exports those plain values of AIOCore that the async API uses. They are the same declarations; with a type
// alias, a program that imports both modules would see two names. Programs that use an `IOQueue` or construct
// operations import AIOCore as well: `Operation`, `Transfer`, `Descriptor`, `Token`, `Completion` and others.
@_exported public import enum AIOCore.EngineKind
@_exported public import enum AIOCore.SyncLevel
@_exported public import struct AIOCore.TransferFlags

#if !os(Linux)
    #error("swift-aio is for Linux: it is made of io_uring, Linux AIO, epoll and preadv2(2)")
#endif
