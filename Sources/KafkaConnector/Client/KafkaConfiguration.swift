import CRdKafka
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a client is told about its cluster: the `properties.*` options of a table, without their prefix.
///
/// Names are those of librdkafka. The Java client's names, which scripts written for Flink use, are translated where the meaning
/// is the same; those that mean nothing outside of Java are left out and listed in ``ignored``; those that cannot be honoured
/// are refused.
public struct KafkaConfiguration: Sendable {
    /// librdkafka's names and values.
    public private(set) var properties: [String: String] = [:]
    /// Properties that were given and mean nothing here.
    public private(set) var ignored: [String] = []
    /// How the user wrote a property, for error messages: its name before the translation.
    private var writtenAs: [String: String] = [:]
    /// What stands before a property's name where the user wrote it: `properties.` in a table.
    private let prefix: String

    /// Properties that the user writes under a name of their own, without the prefix.
    private let options: [String: String]

    /// - Parameters:
    ///   - prefix: what the user writes before a property.
    ///   - options: properties that the user gives as options of their own: `["bootstrap.servers": "--bootstrap"]`.
    /// - Throws: `.validate` for a property that cannot be honoured, or has a value that librdkafka refuses.
    public init(_ given: [String: String], prefix: String = "properties.", options: [String: String] = [:]) throws {
        self.prefix = prefix
        self.options = options
        for (key, value) in given.sorted(by: { $0.key < $1.key }) {
            switch Self.translate(key) {
            // The Java client's word for it.
            case .same where key == "auto.offset.reset" && value.lowercased() == "none": set(key, "error", writtenAs: key)
            case .same: set(key, value, writtenAs: key)
            case .named(let name): set(name, value, writtenAs: key)
            case .kilobytes(let name):
                guard let bytes = Int(value) else { throw error(key, value, "is not a number of bytes") }
                set(name, String(max(1, bytes / 1024)), writtenAs: key)
            case .login: try addLogin(value, writtenAs: key)
            case .nothing: ignored.append(key)
            case .refused(let fix): throw error(key, value, "cannot be honoured by this client", fix: fix)
            }
        }
        try check()
    }

    /// The properties of a table's options.
    public init(table: TableDescriptor) throws {
        var given: [String: String] = [:]
        for (key, value) in table.options where key.hasPrefix("properties.") { given[String(key.dropFirst(11))] = value }
        guard let servers = given["bootstrap.servers"] ?? given["metadata.broker.list"], !servers.isEmpty else {
            throw StreamError(.validate, "table \(table.name): connector '\(table.options["connector"] ?? "kafka")' needs option 'properties.bootstrap.servers'",
                              fix: "add 'properties.bootstrap.servers' = 'host:9092' to its WITH options")
        }
        do { try self.init(given) } catch let error as StreamError {
            throw StreamError(error.code, "table \(table.name): \(error.problem)", fix: error.fix)
        }
    }

    public subscript(name: String) -> String? { properties[name] }

    /// Sets what the connector itself decides; what the user gave stays with `unlessGiven`.
    public mutating func set(_ name: String, _ value: String, unlessGiven: Bool = false) {
        if unlessGiven, properties[name] != nil { return }
        properties[name] = value
    }

    public mutating func remove(_ name: String) { properties[name] = nil }

    private mutating func set(_ name: String, _ value: String, writtenAs key: String) {
        properties[name] = value
        writtenAs[name] = key
    }

    /// The brokers, as they were given.
    public var servers: String { properties["bootstrap.servers"] ?? properties["metadata.broker.list"] ?? properties["test.mock.num.brokers"].map { "\($0) mock brokers" } ?? "" }

    /// The option that a message should name for a property.
    public func option(_ name: String) -> String { options[name] ?? prefix + (writtenAs[name] ?? name) }

    /// The caller frees it, or gives it to `rd_kafka_new`.
    func make() throws -> OpaquePointer {
        let conf = rd_kafka_conf_new()!
        var text = [CChar](repeating: 0, count: 512)
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
            let result = rd_kafka_conf_set(conf, name, value, &text, text.count)
            guard result == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(conf)
                throw refusal(result, name, value, text)
            }
        }
        return conf
    }

    private func check() throws {
        let conf = try make()
        rd_kafka_conf_destroy(conf)
    }

    private func refusal(_ result: rd_kafka_conf_res_t, _ name: String, _ value: String, _ text: [CChar]) -> StreamError {
        let said = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let key = writtenAs[name] ?? name
        if result == RD_KAFKA_CONF_UNKNOWN {
            return error(key, value, "is not a property of librdkafka",
                         fix: NearName.hint(for: name, in: Self.names()))
        }
        return error(key, value, "is refused: \(said)")
    }

    private func error(_ key: String, _ value: String, _ problem: String, fix: String? = nil) -> StreamError {
        let shown = key.contains("password") || key.contains("secret") || key.contains("jaas") ? "..." : value
        return StreamError(.validate, "'\(prefix)\(key)' = '\(shown)' \(problem)", fix: fix)
    }

    /// All property names that librdkafka has, those without a default among them.
    static func names() -> [String] {
        var text: UnsafeMutablePointer<CChar>?, count = 0
        guard let file = open_memstream(&text, &count) else { return [] }
        rd_kafka_conf_properties_show(file)
        fclose(file)
        defer { free(text) }
        guard let text else { return [] }
        // A table: name | for what | values | default | meaning.
        return String(cString: text).split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
            let name = String(cells[0]).trimmed
            return cells.count >= 5 && name.contains { $0.isLetter } && name != "Property" ? name : nil
        }
    }

    // MARK: The Java client's names

    /// Properties of the Java client that librdkafka has nothing for, and needs nothing for.
    static let javaOnly: Set<String> = [
        "key.deserializer", "value.deserializer", "key.serializer", "value.serializer", "partition.assignment.strategy", "max.poll.records",
        "metrics.recording.level", "metric.reporters", "metrics.num.samples", "metrics.sample.window.ms", "client.dns.lookup", "max.block.ms",
        "interceptor.classes", "security.providers", "auto.include.jmx.reporter", "partition.discovery.interval.ms", "client.id.prefix",
        "register.consumer.metrics", "partitioner.class", "enable.metrics.push", "allow.auto.create.topics.on.read", "commit.offsets.on.checkpoint",
        "ssl.keystore.type",
    ]

    private enum Translation {
        case same, named(String), kilobytes(String), login, nothing, refused(fix: String)
    }

    private static func translate(_ key: String) -> Translation {
        if javaOnly.contains(key) { return .nothing }
        switch key {
        case "receive.buffer.bytes": return .named("socket.receive.buffer.bytes")
        case "send.buffer.bytes": return .named("socket.send.buffer.bytes")
        case "fetch.max.wait.ms": return .named("fetch.wait.max.ms")
        case "max.request.size": return .named("message.max.bytes")
        case "buffer.memory": return .kilobytes("queue.buffering.max.kbytes")
        case "request.timeout.ms", "default.api.timeout.ms": return .named("socket.timeout.ms")
        case "ssl.key.password", "ssl.keystore.location", "ssl.keystore.password", "sasl.kerberos.service.name": return .same
        case "ssl.truststore.certificates": return .named("ssl.ca.pem")
        case "ssl.keystore.certificate.chain": return .named("ssl.certificate.pem")
        case "ssl.keystore.key": return .named("ssl.key.pem")
        case "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type":
            return .refused(fix: "export the certificates as a PEM file and name it in 'properties.ssl.ca.location'")
        case "sasl.jaas.config": return .login
        case "sasl.login.callback.handler.class", "sasl.client.callback.handler.class", "sasl.login.class":
            return .refused(fix: "use 'properties.sasl.mechanism' PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER with librdkafka's properties")
        case "reconnect.backoff.ms", "reconnect.backoff.max.ms", "retry.backoff.ms", "acks", "linger.ms", "batch.size": return .same
        default: return .same
        }
    }

    /// User and password of a login module line: `org...PlainLoginModule required username="u" password="p";`.
    private mutating func addLogin(_ line: String, writtenAs key: String) throws {
        func value(of name: String) -> String? {
            guard let range = line.firstRange(of: name + "=") else { return nil }
            let rest = line[range.upperBound...]
            guard let quote = rest.first, quote == "\"" || quote == "'" else { return rest.split(whereSeparator: { $0 == " " || $0 == ";" }).first.map(String.init) }
            var text = "", escaped = false
            for character in rest.dropFirst() {
                if escaped { text.append(character); escaped = false; continue }
                if character == "\\" { escaped = true; continue }
                if character == quote { return text }
                text.append(character)
            }
            return nil
        }
        guard line.contains("PlainLoginModule") || line.contains("ScramLoginModule"), let user = value(of: "username"), let password = value(of: "password") else {
            throw error(key, line, "has no user and password that could be read",
                        fix: "set 'properties.sasl.username' and 'properties.sasl.password' for PLAIN and SCRAM")
        }
        set("sasl.username", user, writtenAs: key)
        set("sasl.password", password, writtenAs: key)
    }
}
