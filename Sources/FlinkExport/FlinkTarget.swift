/// What a script is made for: a version of Flink, and where its cluster finds what this machine has in its folders.
public struct FlinkTarget: Sendable {
    public var version: FlinkVersion
    /// Folders here and what they are called where the cluster runs, such as `s3://bucket/lake`.
    public var maps: [(from: String, to: String)]
    /// Address of the service that answers the Kinesis API; nil = AWS itself.
    public var kinesisEndpoint: String?
    /// The account in ARNs of streams, 12 digits.
    public var kinesisAccount: String
    /// What relative paths are below, without a slash at its end.
    public var workingDirectory: String

    public init(version: FlinkVersion, maps: [(from: String, to: String)] = [], kinesisEndpoint: String? = nil, kinesisAccount: String = "000000000000",
                workingDirectory: String) {
        self.version = version
        self.maps = maps
        self.kinesisEndpoint = kinesisEndpoint
        self.kinesisAccount = kinesisAccount
        self.workingDirectory = workingDirectory
    }

    /// Where the cluster finds a path.
    ///
    /// - Returns: nil when the path is one of this machine alone, which no `maps` names.
    public func path(_ path: String) -> String? {
        if path.contains("://"), !path.hasPrefix("file://") { return path }
        let local = absolute(path)
        let found = maps.map { (from: absolute($0.from), to: $0.to) }.filter { local == $0.from || local.hasPrefix($0.from.hasSuffix("/") ? $0.from : $0.from + "/") }
            .max { $0.from.count < $1.from.count }
        guard let found else { return nil }
        let rest = local.dropFirst(found.from.count)
        let to = found.to.hasSuffix("/") ? String(found.to.dropLast()) : found.to
        return rest.isEmpty ? to : to + (rest.hasPrefix("/") ? "" : "/") + rest
    }

    /// The path with neither `file://` nor `.` nor `..` in it.
    public func absolute(_ path: String) -> String {
        var path = path.hasPrefix("file://") ? String(path.dropFirst(7)) : path
        if !path.hasPrefix("/") { path = workingDirectory + "/" + path }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
