/// A minor version of Apache Flink, such as 2.2.
public struct FlinkVersion: Comparable, Hashable, Sendable, CustomStringConvertible {
    public var major: Int, minor: Int

    public init(_ major: Int, _ minor: Int) { (self.major, self.minor) = (major, minor) }

    /// Reads `2.2` and `2.2.1`; nil when it is neither, or no version that scripts are written for.
    public init?(_ text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (2...3).contains(parts.count), let major = parts[0], let minor = parts[1], parts.allSatisfy({ $0 != nil }) else { return nil }
        self.init(major, minor)
        guard Self.all.contains(self) else { return nil }
    }

    /// Those that scripts are written for, oldest first.
    public static let all = [FlinkVersion(1, 20), FlinkVersion(2, 0), FlinkVersion(2, 1), FlinkVersion(2, 2), FlinkVersion(2, 3)]

    public static func < (a: FlinkVersion, b: FlinkVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

    public var description: String { "\(major).\(minor)" }
}
