internal import CDropIns
internal import DropInSupport

@c(drop_in_library_name)
func libraryName() -> UnsafePointer<CChar>? { ("libposixaio.so" as StaticString).cString }
