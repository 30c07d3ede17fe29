import AWSProtocol
import StreamCore

/// What came of a request that did not succeed.
struct KinesisFailure: Error {
    enum Kind {
        /// Too much was asked for: later it will do.
        case throttled
        /// An iterator lives for five minutes.
        case expiredIterator
        /// The network or the service failed, or is not ready; trying again may do.
        case transient
        /// The key is unknown, its signature wrong, or it may not do this.
        case refused
        /// There is no such stream, shard or consumer.
        case missing
        /// Anything else: trying again does not mend it.
        case wrong
    }

    /// The exception's name; empty when no answer came.
    var type: String
    var message: String

    private static let throttling: Set<String> = [
        "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException", "ThrottlingException", "Throttling", "RequestLimitExceeded",
    ]
    private static let refusals: Set<String> = [
        "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignatureException", "IncompleteSignature", "MissingAuthenticationTokenException",
        "MissingAuthenticationToken", "InvalidClientTokenId", "AccessDeniedException", "AccessDenied", "ExpiredTokenException", "ExpiredToken", "SignatureDoesNotMatch",
        "KMSAccessDeniedException", "InvalidAccessKeyId", "AuthFailure", "OptInRequired", "NotAuthorized",
    ]
    private static let troubles: Set<String> = [
        "InternalFailure", "InternalServerError", "InternalFailureException", "ServiceUnavailable", "ServiceUnavailableException", "ResourceInUseException", "RequestTimeout",
    ]

    var kind: Kind {
        if type.isEmpty || Self.troubles.contains(type) { return .transient }
        if Self.throttling.contains(type) { return .throttled }
        if Self.refusals.contains(type) { return .refused }
        return switch type {
        case "ExpiredIteratorException": .expiredIterator
        case "ResourceNotFoundException": .missing
        default: .wrong
        }
    }

    var isRetryable: Bool { kind == .throttled || kind == .transient }
    var text: String { type.isEmpty ? message : message.isEmpty ? type : "\(type): \(message)" }

    /// An answer of a status that is no success.
    init(status: Int, header: String?, body: [UInt8]) {
        let value = try? AWSJSON.parse(body)
        let named = value?["__type"]?.string ?? header ?? ""
        let name = named.split(separator: "#").last.map { String($0.prefix { $0 != ":" }) } ?? ""
        message = value?["message"]?.string ?? value?["Message"]?.string ?? (value == nil ? String(decoding: body.prefix(200), as: UTF8.self) : "")
        type = name.isEmpty ? (status >= 500 ? "ServiceUnavailable" : status == 403 ? "AccessDenied" : status == 429 ? "Throttling" : "HTTP status \(status)") : name
    }

    init(type: String = "", _ message: String) { (self.type, self.message) = (type, message) }
}

extension EndpointOptions {
    /// The failure as a user is to see it.
    func error(_ failure: KinesisFailure, _ doing: String, table: String) -> StreamError {
        let place = "\(url.absoluteString) (region \(region))"
        let problem = "table \(table): \(doing) at \(place) failed: \(failure.text)"
        switch failure.kind {
        case .missing:
            return StreamError(.validate, problem, fix: "create the stream, for example with 'stream.create-shards' = '1', or correct 'stream', 'aws.region' and 'aws.endpoint'")
        case .refused:
            return StreamError(.validate, problem, fix: "look at 'aws.credentials.basic.accesskeyid' and '.secretkey' or at where 'aws.credentials.provider' finds the key, at "
                + "'aws.region', at what the key is allowed to do, and at this machine's clock")
        case .transient where failure.type.isEmpty:
            return StreamError(.io, "table \(table): \(doing): cannot reach \(url.absoluteString): \(failure.message)", fix: "look whether the endpoint runs there, and at 'aws.endpoint'")
        case .transient, .throttled, .expiredIterator: return StreamError(.io, problem, fix: "try again later")
        case .wrong: return StreamError(.runtime, problem)
        }
    }
}
