internal import CDropIns
internal import DropInSupport

@c(drop_in_library_name)
func libraryName() -> UnsafePointer<CChar>? { ("libaio.so.1" as StaticString).cString }
