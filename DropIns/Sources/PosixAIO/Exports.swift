@c public func aio_read() -> Int32 { 0 }
