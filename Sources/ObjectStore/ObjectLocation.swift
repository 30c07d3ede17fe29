import StreamCore

/// Where objects are: a bucket and the beginning of their keys, from `s3://bucket/prefix`.
package struct ObjectLocation: Hashable, Sendable, CustomStringConvertible {
    package let bucket: String
    /// Without slashes at its ends; empty for the bucket as a whole.
    package let prefix: String

    /// Schemes that mean S3; the second is Hadoop's.
    package static let schemes: Set<String> = ["s3", "s3a"]

    package init(bucket: String, prefix: String) { (self.bucket, self.prefix) = (bucket, prefix) }

    /// - Returns: nil when the text is no URL of one of the ``schemes``.
    /// - Throws: `.validate` when the bucket is missing or cannot be one.
    package init?(_ url: String) throws {
        guard let colon = url.firstRange(of: "://"), Self.schemes.contains(url[..<colon.lowerBound].lowercased()) else { return nil }
        let parts = url[colon.upperBound...].split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        let isValid: (Character) -> Bool = { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "." || $0 == "_") }
        guard let bucket = parts.first, bucket.count >= 3, bucket.allSatisfy(isValid), !url[colon.upperBound...].hasPrefix("/") else {
            throw StreamError(.validate, "path '\(url)' names no bucket", fix: "write it as in 's3://bucket/folder/table'")
        }
        guard !parts.contains("."), !parts.contains("..") else {
            throw StreamError(.validate, "path '\(url)' has a part '.' or '..', which object stores take as names", fix: "write the path without them")
        }
        self.init(bucket: bucket, prefix: parts.dropFirst().joined(separator: "/"))
    }

    package var description: String { "s3://" + bucket + (prefix.isEmpty ? "" : "/" + prefix) }

    /// The key of a path below the prefix; an empty path is the prefix itself.
    package func key(_ path: String) -> String { prefix.isEmpty ? path : path.isEmpty ? prefix : prefix + "/" + path }
}
