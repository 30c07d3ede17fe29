/// One API behind the endpoint: answers the operations whose `X-Amz-Target` starts with its prefix.
public protocol AWSService: Sendable {
    /// `Kinesis_20131202`
    var targetPrefix: String { get }
    /// How its JSON is versioned in `Content-Type`: `1.0` or `1.1`.
    var jsonVersion: String { get }
    /// The service in the scope of its requests' signatures: `kinesis`, and `dynamodb` for its streams too.
    var signingName: String { get }
    /// Answers one request, on a thread that may block. Requests come side by side.
    ///
    /// - Throws: ``AWSError`` for what the service refuses; any other error becomes an `InternalFailure` of status 500 and is logged.
    func handle(_ request: AWSRequest) throws -> AWSResponse
    /// Lets go of files and ends its threads; no request comes any more.
    func close()
}

extension AWSService {
    public var jsonVersion: String { "1.1" }
    /// What stands before the underscore in the prefix, in lower case; `dynamodb` for all of DynamoDB.
    public var signingName: String {
        let name = targetPrefix.prefix { $0 != "_" }.lowercased()
        return name.hasPrefix("dynamodb") ? "dynamodb" : name
    }
    public func close() {}
}

/// How bodies are written.
public enum AWSEncoding: Sendable, Hashable {
    case json, cbor
}

/// A request as a service sees it, signature checked.
public struct AWSRequest: Sendable {
    /// What follows the prefix in `X-Amz-Target`: `PutRecords`
    public var operation: String
    public var encoding: AWSEncoding
    /// As it came. ``input(_:)`` makes values of it.
    public var body: [UInt8]
    /// Of the credential scope; `us-east-1` for requests without a signature.
    public var region: String
    public var accountID: String
    public var requestID: String
    /// The client's name of the call (`amz-sdk-invocation-id`): the same for each time that it sends the call.
    public var invocation: String?
    /// From 1; SDKs send a call again when they have not heard of it.
    public var attempt = 1

    public static let defaultAccountID = "000000000000"
    public static let defaultRegion = "us-east-1"

    public init(operation: String, encoding: AWSEncoding = .json, body: [UInt8], region: String = defaultRegion, accountID: String = defaultAccountID,
                requestID: String = "") {
        self.operation = operation
        self.encoding = encoding
        self.body = body
        self.region = region
        self.accountID = accountID
        self.requestID = requestID
    }

    /// The members of the input, in the types of the shape: blobs decoded, timestamps as seconds, nulls and unknown members left out.
    ///
    /// - Throws: `SerializationException` for a malformed body or a value of another type; `ValidationException` listing every
    ///   constraint that is broken.
    public func input(_ shape: Structure) throws -> AWSValue {
        let value = try rawInput()
        let typed = try shape.convert(value, encoding: encoding)
        try shape.validate(typed)
        return typed
    }

    /// The body as it is written: blobs are text still.
    public func rawInput() throws -> AWSValue {
        if body.isEmpty { return .map([:]) }
        let value = switch encoding {
        case .json: try AWSJSON.parse(body)
        case .cbor: try CBOR.parse(body)
        }
        guard case .map = value else { throw AWSError.serialization("the request is no object") }
        return value
    }
}

/// What a service answers.
public enum AWSResponse: Sendable {
    /// The members of the output; nothing for operations without one.
    case output(AWSValue)
    /// An output that is encoded already, in the request's encoding.
    case encoded([UInt8])
    /// A stream of events (`application/vnd.amazon.eventstream`) after an initial response. The closure runs on a thread of its own
    /// until it returns; a throwing `send` means that the client is gone.
    case events(@Sendable (any EventSender) throws -> Void)

    public static let empty = AWSResponse.output(.map([:]))
}

/// Where a service puts the events of a stream. `send` blocks while the client reads too slowly.
public protocol EventSender: Sendable {
    /// `type` is the event's name in the model: `initial-response`, `SubscribeToShardEvent`. The payload is in the request's encoding.
    func send(type: String, payload: AWSValue) throws
    /// Ends the stream with an exception of the model.
    func fail(_ error: AWSError) throws
    /// The client has hung up, or the server is stopping.
    var isClosed: Bool { get }
}
