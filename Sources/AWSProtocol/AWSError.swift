/// What a service answers when it refuses a request: the type as its model names it, and the text as it words it.
public struct AWSError: Error, Hashable, Sendable {
    /// `ResourceNotFoundException`
    public var type: String
    public var message: String
    /// HTTP status: 400, or 500 and above for the service's own failures.
    public var status: Int
    /// Members beside `message`, for example `CancellationReasons`.
    public var members: [String: AWSValue]

    public init(_ type: String, _ message: String, status: Int = 400, members: [String: AWSValue] = [:]) {
        self.type = type
        self.message = message
        self.status = status
        self.members = members
    }

    /// The request is not what its content type says: malformed text, or a value of another type than the model's.
    public static func serialization(_ message: String) -> AWSError { AWSError("SerializationException", message) }
    public static func validation(_ message: String) -> AWSError { AWSError("ValidationException", message) }
    public static func unknownOperation() -> AWSError { AWSError("UnknownOperationException", "") }
}
