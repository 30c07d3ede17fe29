import CRdKafka
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Ends transactions that another process has prepared. librdkafka cannot: a new producer under their transactional id aborts them.
///
/// Speaks three requests of Kafka's protocol to the transactions' coordinators: FindCoordinator, EndTxn and InitProducerId.
final class KafkaWireClient {
    private let configuration: KafkaConfiguration
    private let table: String
    /// By `host:port`.
    private var connections: [String: WireConnection] = [:]
    /// By transactional id: `host:port`.
    private var coordinators: [String: (host: String, port: Int)] = [:]

    /// How long it asks again before it gives up.
    private static let patience: UInt64 = 60_000_000_000
    private static let requestSeconds = 10

    init(_ configuration: KafkaConfiguration, table: String) {
        self.configuration = configuration
        self.table = table
    }

    func close() { connections = [:] }

    /// - Throws: `.validate` for a way to log in that this client does not have.
    static func check(_ configuration: KafkaConfiguration, table: String) throws {
        func refused(_ name: String, _ value: String, fix: String) -> StreamError {
            StreamError(.validate, "table \(table): not supported yet: 'sink.delivery-guarantee' = 'exactly-once' with '\(configuration.option(name))' = '\(value)'", fix: fix)
        }
        if usesLogin(configuration), !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(mechanism(configuration)) {
            throw refused(configuration["sasl.mechanism"] == nil ? "sasl.mechanisms" : "sasl.mechanism", mechanism(configuration),
                          fix: "use 'at-least-once', or the mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
        }
        guard usesEncryption(configuration) else { return }
        for (name, value) in configuration.properties.sorted(by: { $0.key < $1.key }) where name.hasPrefix("ssl.") && !WireEncryption.properties.contains(name) {
            throw refused(name, name.contains("password") ? "..." : value, fix: "use 'at-least-once', or PEM files in 'properties.ssl.certificate.location' and 'properties.ssl.key.location'")
        }
    }

    private static func security(_ configuration: KafkaConfiguration) -> String { configuration["security.protocol"]?.lowercased() ?? "plaintext" }
    private static func usesEncryption(_ configuration: KafkaConfiguration) -> Bool { security(configuration).hasSuffix("ssl") }
    private static func usesLogin(_ configuration: KafkaConfiguration) -> Bool { security(configuration).hasPrefix("sasl") }
    private static func mechanism(_ configuration: KafkaConfiguration) -> String { configuration["sasl.mechanism"] ?? configuration["sasl.mechanisms"] ?? "GSSAPI" }

    // MARK: Requests

    /// Commits a prepared transaction. One that was committed before is left as it is.
    ///
    /// - Throws: `.corrupt` when the cluster has aborted it, so that its rows are lost.
    func commit(_ prepared: PreparedTransaction) throws {
        let what = "committing the transaction of \(prepared.id)"
        let (code, _) = try ask(prepared.id, what) { connection in
            var body = WireMessage()
            body.add(prepared.id)
            body.add(prepared.producerID)
            body.add(prepared.epoch)
            body.add(Int8(1))
            var answer = try connection.call(26, 1, body)
            _ = try answer.read(Int32.self)
            return (try answer.read(Int16.self), 0)
        }
        switch rd_kafka_resp_err_t(Int32(code)) {
        case RD_KAFKA_RESP_ERR_NO_ERROR: return
        case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
            let reason = KafkaFailure.text(rd_kafka_resp_err_t(Int32(code)))
            throw StreamError(
                .corrupt,
                "table \(table): the rows that checkpoint \(prepared.checkpoint) wrote in the transaction of \(prepared.id) are lost: the cluster ended it without a commit (\(reason)), most likely as it was open for longer than \(configuration.option("transaction.timeout.ms")) = \(configuration["transaction.timeout.ms"] ?? "")",
                fix: "set 'sink.lost-transactions' = 'ignore' to go on without them, or when they were committed before, as with a savepoint that is used a second time; set '\(configuration.option("transaction.timeout.ms"))' to more than the time that the job may be down, and the brokers' transaction.max.timeout.ms with it")
        default: throw KafkaFailure.error(rd_kafka_resp_err_t(Int32(code)), "table \(table): \(what)", configuration: configuration)
        }
    }

    /// Aborts what is open under a transactional id, and fences who opened it.
    ///
    /// - Returns: the epoch, 0 for an id that nobody has used.
    @discardableResult
    func fence(_ id: String) throws -> Int16 {
        let what = "fencing the transactional id \(id)"
        let timeout = configuration["transaction.timeout.ms"].flatMap { Int32($0) } ?? 60_000
        let (code, epoch) = try ask(id, what) { connection in
            var body = WireMessage()
            body.add(id)
            body.add(timeout)
            var answer = try connection.call(22, 1, body)
            _ = try answer.read(Int32.self)
            let code = try answer.read(Int16.self)
            _ = try answer.read(Int64.self)
            return (code, try answer.read(Int16.self))
        }
        guard code == 0 else { throw KafkaFailure.error(rd_kafka_resp_err_t(Int32(code)), "table \(table): \(what)", configuration: configuration) }
        return epoch
    }

    /// Asks the coordinator of a transactional id, again and again while it cannot answer yet.
    private func ask(_ id: String, _ what: String, _ request: (WireConnection) throws -> (Int16, Int16)) throws -> (Int16, Int16) {
        let deadline = Clock.monotonicNanoseconds() &+ Self.patience
        var pause: UInt32 = 20_000
        while true {
            var failure: StreamError
            do {
                let result = try request(try coordinator(of: id))
                let code = rd_kafka_resp_err_t(Int32(result.0))
                guard code != RD_KAFKA_RESP_ERR_NO_ERROR, KafkaFailure.isTransient(code) else { return result }
                failure = KafkaFailure.error(code, "table \(table): \(what)", configuration: configuration)
            } catch let error as StreamError {
                // A broker that went away.
                guard error.code == .io else { throw error }
                failure = StreamError(.io, "table \(table): \(what): \(error.problem)", fix: error.fix)
                if let place = coordinators[id] { connections["\(place.host):\(place.port)"] = nil }
            }
            coordinators[id] = nil
            guard Clock.monotonicNanoseconds() < deadline else { throw failure }
            usleep(pause)
            pause = min(pause * 2, 1_000_000)
        }
    }

    // MARK: Connections

    private func coordinator(of id: String) throws -> WireConnection {
        if let known = coordinators[id] { return try connection(known.host, known.port) }
        var failure = StreamError(.io, "no broker is named", fix: "set '\(configuration.option("bootstrap.servers"))'")
        for (host, port) in servers {
            do {
                var body = WireMessage()
                body.add(id)
                body.add(Int8(1))
                var answer = try connection(host, port).call(10, 1, body)
                _ = try answer.read(Int32.self)
                let code = rd_kafka_resp_err_t(Int32(try answer.read(Int16.self)))
                let text = try answer.text()
                guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    failure = KafkaFailure.error(code, "asking for the coordinator of \(id)", said: text, configuration: configuration)
                    if KafkaFailure.isTransient(code) { continue }
                    throw StreamError(.runtime, failure.problem, fix: failure.fix)
                }
                _ = try answer.read(Int32.self)
                let place = (host: try answer.text() ?? host, port: Int(try answer.read(Int32.self)))
                coordinators[id] = place
                return try connection(place.host, place.port)
            } catch let error as StreamError where error.code == .io {
                connections["\(host):\(port)"] = nil
                failure = error
            }
        }
        throw failure
    }

    /// `host:port` of the option, `[::1]:9092` too.
    private var servers: [(String, Int)] {
        configuration.servers.split(separator: ",").map { String($0).trimmed }.map { text in
            let text = text.firstRange(of: "://").map { String(text[$0.upperBound...]) } ?? text
            guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else { return (text, 9_092) }
            return (String(text[..<colon].filter { $0 != "[" && $0 != "]" }), port)
        }
    }

    private func connection(_ host: String, _ port: Int) throws -> WireConnection {
        if let known = connections["\(host):\(port)"] { return known }
        let connection = try WireConnection(host: host, port: port, seconds: Self.requestSeconds)
        if Self.usesEncryption(configuration) { try connection.encrypt(configuration) }
        if Self.usesLogin(configuration) { try logIn(connection) }
        connections["\(host):\(port)"] = connection
        return connection
    }

    private func logIn(_ connection: WireConnection) throws {
        let user = configuration["sasl.username"] ?? "", password = configuration["sasl.password"] ?? "", mechanism = Self.mechanism(configuration)
        var handshake = WireMessage()
        handshake.add(mechanism)
        var answer = try connection.call(17, 1, handshake)
        let code = try answer.read(Int16.self)
        guard code == 0 else { throw refused(code, nil) }
        guard mechanism != "PLAIN" else {
            _ = try logIn(connection, [0] + Array(user.utf8) + [0] + Array(password.utf8))
            return
        }
        let nonce = String(Host.system.randomBits(), radix: 36) + String(Host.system.randomBits(), radix: 36)
        var login = ScramLogin(mechanism == "SCRAM-SHA-256" ? .sha256 : .sha512, user: user, password: password, nonce: nonce)
        guard let proof = login.answer(try logIn(connection, login.first)), login.accepts(try logIn(connection, proof)) else {
            throw refused(Int16(RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED.rawValue), "the broker does not prove that it knows the password")
        }
    }

    /// One step of a login.
    private func logIn(_ connection: WireConnection, _ bytes: [UInt8]) throws -> [UInt8] {
        var body = WireMessage()
        body.add(bytes)
        var answer = try connection.call(36, 0, body)
        let code = try answer.read(Int16.self), text = try answer.text()
        guard code == 0 else { throw refused(code, text) }
        return try answer.data()
    }

    /// Not worth another try.
    private func refused(_ code: Int16, _ text: String?) -> StreamError {
        let error = KafkaFailure.error(rd_kafka_resp_err_t(Int32(code)), "table \(table): logging in", said: text, configuration: configuration)
        return StreamError(.validate, error.problem, fix: error.fix)
    }
}
