internal import AIOCore
internal import CDropIns

// The functions that closes.c calls.

@c(drop_in_is_below_own)
func isBelowOwn(_ number: Int32) -> Bool { GuestNumbers.isBelow(number) }

@c(drop_in_is_own)
func isOwn(_ number: Int32) -> Bool { GuestNumbers.contains(number) }

@c(drop_in_next_own)
func nextOwn(_ first: Int32) -> Int32 { GuestNumbers.next(from: first) ?? -1 }

@c(drop_in_with_numbers)
func withNumbers(_ body: @convention(c) (OpaquePointer?) -> Void, _ asked: OpaquePointer?) {
    GuestNumbers.locked { body(asked) }
}
