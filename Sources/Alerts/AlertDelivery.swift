import StreamCore

/// One of `notifications:` in a topology file: where notifications go. Secrets are named here, never held.
public struct AlertDelivery: Codable, Hashable, Sendable {
    public enum Target: Codable, Hashable, Sendable {
        case webhook(Webhook)
        case command(Command)
        case email(Email)
    }

    public var target: Target
    /// `{{ secret.name }}` in templates stands for these.
    public var secrets: [String: AlertSecret] = [:]
    /// Milliseconds that one try may take.
    public var timeout: Int64 = 10_000
    /// Tries after the first.
    public var retries = 8
    /// Milliseconds before the second try; each further pause is twice as long, up to five minutes.
    public var backoff: Int64 = 1_000

    public init(_ target: Target) { self.target = target }

    /// Milliseconds to wait after try number `attempt`, from 1; nil = it was the last.
    func pause(after attempt: Int) -> Int64? {
        guard attempt <= retries else { return nil }
        return min(300_000, backoff << Int64(min(attempt - 1, 20)))
    }

    public struct Webhook: Codable, Hashable, Sendable {
        public var url: String
        public var method = "POST"
        public var headers: [String: String] = [:]
        /// A template in the form of JSON, or text; nil = the whole event.
        public var body: JSONValue?
        /// A file of certificates in PEM form that are trusted instead of the system's.
        public var authorities: String?
        /// Loopback and private addresses may be called.
        public var allowsPrivate = true
        /// Link-local addresses may be called, those of clouds' metadata services among them.
        public var allowsMetadata = false

        public init(url: String) { self.url = url }
    }

    public struct Command: Codable, Hashable, Sendable {
        /// The program and its arguments. The event comes as JSON on its standard input.
        public var run: [String]
        public init(run: [String]) { self.run = run }
    }

    public struct Email: Codable, Hashable, Sendable {
        public enum Security: String, Codable, Hashable, Sendable, CaseIterable { case starttls, tls, none }

        public var host: String
        public var port: Int
        public var security: Security
        public var from: String
        public var to: [String]
        public var user: String?
        public var password: AlertSecret?
        public var subject = "[{{ state }}] {{ rule }}: {{ value }}"
        public var body: String?
        public var authorities: String?

        public init(host: String, port: Int, security: Security, from: String, to: [String]) {
            (self.host, self.port, self.security, self.from, self.to) = (host, port, security, from, to)
        }
    }
}

/// Where a secret stands: in an environment variable, or a file without its last line break.
public enum AlertSecret: Codable, Hashable, Sendable {
    case environment(String)
    case file(String)

    /// - Throws: ``DeliveryProblem``, without the value.
    func value() throws -> String {
        switch self {
        case .environment(let name):
            guard let value = Environment.variable(name), !value.isEmpty else { throw DeliveryProblem("the environment variable \(name) is not set") }
            return value
        case .file(let path):
            guard let bytes = try? Host.read(path), bytes.count <= 65_536 else { throw DeliveryProblem("the secret cannot be read from \(path)") }
            var text = String(decoding: bytes, as: UTF8.self)
            while text.last == "\n" || text.last == "\r" || text.last == "\r\n" { text.removeLast() }
            guard !text.isEmpty else { throw DeliveryProblem("the file \(path) holds no secret") }
            return text
        }
    }
}

/// Why a notification was not delivered.
struct DeliveryProblem: Error {
    var text: String
    /// Trying again is of no use.
    var isFinal: Bool
    init(_ text: String, isFinal: Bool = false) { (self.text, self.isFinal) = (text, isFinal) }
}

/// Secrets of one delivery, read for one try.
struct SecretValues {
    private(set) var named: [String: String] = [:]
    private var values: [String] = []

    init(_ secrets: [String: AlertSecret]) throws {
        for (name, secret) in secrets { named[name] = try add(secret) }
    }

    mutating func add(_ secret: AlertSecret) throws -> String {
        let value = try secret.value()
        values.append(value)
        return value
    }

    /// The text without any of the secrets, also in the forms in which they are sent.
    func redacted(_ text: String) -> String {
        var text = text
        let encoded = values.flatMap { [$0, Encodings.base64(Array($0.utf8)), Encodings.percent($0)] }
        for value in encoded.sorted(by: { $0.count > $1.count }) where value.count >= 3 { text = text.replacing(value, with: "***") }
        return String(text.prefix(500))
    }
}
