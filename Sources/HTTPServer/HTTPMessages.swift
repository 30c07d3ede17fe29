/// A request whose body has come in whole.
public struct HTTPRequest: Sendable {
    public var method: String
    /// Path and query as sent: `/logs/router-7?x=1`
    public var target: String
    public var headers: HTTPFields
    public var body: [UInt8]
    /// Address of the other side, without port.
    public var peer: String

    public init(method: String, target: String, headers: HTTPFields, body: [UInt8], peer: String = "127.0.0.1") {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.peer = peer
    }

    public var path: String { String(target.prefix { $0 != "?" }) }
    /// Behind the `?`, not decoded; empty without one.
    public var query: String { target.firstIndex(of: "?").map { String(target[target.index(after: $0)...]) } ?? "" }
}

/// Headers in the order in which they came; names are compared without regard to case.
public struct HTTPFields: Sendable, ExpressibleByArrayLiteral {
    public var all: [(name: String, value: String)]

    public init(_ all: [(name: String, value: String)] = []) { self.all = all }
    public init(arrayLiteral elements: (String, String)...) { all = elements.map { (name: $0.0, value: $0.1) } }

    /// The first value of that name.
    public subscript(name: String) -> String? {
        for field in all where Self.isSame(field.name, name) { return field.value }
        return nil
    }

    /// Names are ASCII: bit 0x20 tells the cases of letters apart.
    private static func isSame(_ a: String, _ b: String) -> Bool {
        guard a.utf8.count == b.utf8.count else { return false }
        return zip(a.utf8, b.utf8).allSatisfy { x, y in x == y || (x | 0x20 == y | 0x20 && x | 0x20 >= 0x61 && x | 0x20 <= 0x7A) }
    }
}

/// An answer: a status, headers beside the length, and a body.
public struct HTTPResponse: Sendable {
    public enum Body: Sendable {
        case bytes([UInt8])
        /// Written piece by piece, from a thread of its own, until the closure returns.
        case stream(@Sendable (any HTTPBodyWriter) -> Void)
    }

    public var status: Int
    public var headers: [(String, String)]
    public var body: Body

    public init(_ status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        (self.status, self.headers, self.body) = (status, headers, .bytes(body))
    }

    public init(_ status: Int, headers: [(String, String)] = [], stream: @escaping @Sendable (any HTTPBodyWriter) -> Void) {
        (self.status, self.headers, body) = (status, headers, .stream(stream))
    }

    public static func text(_ status: Int, _ text: String) -> HTTPResponse {
        HTTPResponse(status, headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(text.utf8))
    }
}

/// Takes the pieces of a streamed body.
public protocol HTTPBodyWriter: Sendable {
    /// Returns when the piece has been handed to the network: a slow reader makes the writer wait. Throws when the other side is
    /// gone or has read nothing for ``HTTPServer/Options/sendSeconds``, and when the server stops.
    func write(_ bytes: [UInt8]) throws
    var isClosed: Bool { get }
}
