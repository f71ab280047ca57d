// What a Swift program costs that does nothing: the peer of the command's start.
