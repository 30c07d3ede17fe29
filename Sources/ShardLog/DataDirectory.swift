#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension ShardLog {
    /// Where streams are kept when nothing else is said: `SWIFTWATER_DATA`, else `swiftwater-data` in the working directory.
    public static var defaultDirectory: String {
        guard let value = getenv("SWIFTWATER_DATA"), value.pointee != 0 else { return "swiftwater-data" }
        return String(cString: value)
    }
}
