import AWSProtocol
import Foundation
import StreamCore

/// How object storage is reached. Names of options as in Flink's, Hadoop's and Arrow's S3 file systems.
///
///     s3.endpoint            http://host:port; else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL; else Amazon's of the region
///     s3.region              else AWS_REGION, AWS_DEFAULT_REGION; else us-east-1
///     s3.access-key, s3.secret-key, s3.session-token      else AWS_ACCESS_KEY_ID ... in the environment; else a profile
///     s3.profile             of ~/.aws/credentials, else AWS_PROFILE, else default
///     s3.path-style-access   http://host/bucket/key instead of http://bucket.host/key; true where an endpoint is given
///     s3.multipart.size      bytes of a part of an upload, 5 mb to 512 mb; 8 mb
///     s3.retry.attempts      tries of one request; 8, which is some 15 s
///     s3.request.timeout     of one try; 60 s
///     s3.lock.lease          how long a writer's lock outlives a writer that was killed on another machine, at least 5 s; 60 s
///     s3.spool-directory     of files that are being written; the system's temporary directory
package struct ObjectStoreOptions: Sendable {
    package var endpoint: URL
    package var region: String
    package var isPathStyle: Bool
    package var credentials: ObjectCredentials
    package var partBytes = 8 << 20
    package var attempts = 8
    /// Seconds.
    package var timeout = 60.0
    /// Milliseconds.
    package var lease: Int64 = 60_000
    package var spoolDirectory: String
    /// A file of certificates that are trusted instead of the system's: AWS_CA_BUNDLE.
    package var authorities: String?
    /// Parts of one upload or download that are under way at a time.
    package var parallelParts = 4

    package enum Key {
        package static let endpoint = "s3.endpoint"
        package static let region = ["s3.region", "s3.endpoint.region"]
        package static let accessKey = ["s3.access-key", "s3.access-key-id"]
        package static let secret = ["s3.secret-key", "s3.secret-access-key"]
        package static let token = ["s3.session-token"]
        package static let profile = "s3.profile"
        package static let pathStyle = ["s3.path-style-access", "s3.path.style.access"]
        package static let partSize = "s3.multipart.size"
        package static let attempts = "s3.retry.attempts"
        package static let timeout = "s3.request.timeout"
        package static let lease = "s3.lock.lease"
        package static let spool = "s3.spool-directory"
        /// Those whose values nobody should see.
        package static let secrets = Set(accessKey + secret + token)
        package static let all = Set([endpoint, profile, partSize, attempts, timeout, lease, spool] + region + accessKey + secret + token + pathStyle)
    }

    /// What the environment says, and defaults.
    package static func environment(_ variables: [String: String] = ProcessInfo.processInfo.environment) throws -> ObjectStoreOptions {
        try ObjectStoreOptions(TableDescriptor(name: "", schema: [], options: [:]), environment: variables)
    }

    /// - Parameter table: may have options of other things as well.
    package init(_ table: TableDescriptor, environment: [String: String] = ProcessInfo.processInfo.environment) throws {
        let options = TableOptions(table)
        func value(_ keys: [String]) -> String? { keys.lazy.compactMap { table.options[$0] }.first { !$0.isEmpty } }
        func variable(_ names: String...) -> String? { names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty } }
        region = value(Key.region) ?? variable("AWS_REGION", "AWS_DEFAULT_REGION") ?? "us-east-1"
        let given = table.options[Key.endpoint] ?? variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
        var address = given ?? "https://s3.\(region).amazonaws.com"
        if !address.contains("://") { address = "https://" + address }
        while address.hasSuffix("/") { address.removeLast() }
        guard let url = URL(string: address), url.scheme == "http" || url.scheme == "https", let host = url.host, !host.isEmpty, url.path.isEmpty, url.query == nil else {
            throw StreamError(.validate, "the endpoint of object storage '\(address)' is no address of a server", fix: "write it as in 'http://host:9000'",
                              at: table.optionLocations[Key.endpoint])
        }
        endpoint = url
        isPathStyle = try Key.pathStyle.lazy.compactMap { try options.bool($0) }.first ?? (given != nil)
        var credentials: AWSCredentials?
        switch (value(Key.accessKey), value(Key.secret)) {
        case (let key?, let secret?): credentials = AWSCredentials(accessKey: key, secret: secret, sessionToken: value(Key.token))
        case (nil, nil): break
        case (let key, _):
            let (alone, missing) = key == nil ? (Key.secret[0], Key.accessKey[0]) : (Key.accessKey[0], Key.secret[0])
            throw StreamError(.validate, "option '\(alone)' stands alone", fix: "add '\(missing)'", at: table.optionLocations[alone])
        }
        self.credentials = ObjectCredentials(credentials, profile: table.options[Key.profile], environment: environment)
        if let bytes = try options.bytes(Key.partSize) {
            guard (5 << 20...512 << 20).contains(bytes) else { throw options.error(Key.partSize, "is not from 5 mb to 512 mb") }
            partBytes = bytes
        }
        attempts = try options.int(Key.attempts, in: 1...100) ?? attempts
        if let milliseconds = try options.milliseconds(Key.timeout) { timeout = max(0.001, Double(milliseconds) / 1_000) }
        if let milliseconds = try options.milliseconds(Key.lease) {
            guard milliseconds >= 5_000 else { throw options.error(Key.lease, "is shorter than 5 s") }
            lease = milliseconds
        }
        authorities = variable("AWS_CA_BUNDLE")
        spoolDirectory = table.options[Key.spool] ?? NSTemporaryDirectory()
        while spoolDirectory.count > 1, spoolDirectory.hasSuffix("/") { spoolDirectory.removeLast() }
    }
}
