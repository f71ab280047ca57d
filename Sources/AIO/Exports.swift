// What belongs to the public face and is made of plain values lives in AIOCore, where the drop-in libraries can use
// it too. These names make `import AIO` enough.
public import AIOCore

public typealias Operation = AIOCore.Operation
public typealias Transfer = AIOCore.Transfer
public typealias TransferFlags = AIOCore.TransferFlags
public typealias SyncLevel = AIOCore.SyncLevel
public typealias Descriptor = AIOCore.Descriptor
public typealias Token = AIOCore.Token
public typealias Completion = AIOCore.Completion
public typealias CompletionFlags = AIOCore.CompletionFlags
public typealias BlockingCall = AIOCore.BlockingCall
public typealias BlockingWork = AIOCore.BlockingWork
public typealias SocketCall = AIOCore.SocketCall
public typealias BufferGroupCall = AIOCore.BufferGroupCall
public typealias Splice = AIOCore.Splice
public typealias FutexWait = AIOCore.FutexWait
public typealias EngineKind = AIOCore.EngineKind
