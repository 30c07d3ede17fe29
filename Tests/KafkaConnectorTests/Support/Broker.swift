import Foundation
import Synchronization
import Testing

/// A broker that the tests start themselves, once per test process, on a free loopback port and a fresh folder; it ends with the process, however that ends.
///
/// Nothing but Foundation and the scripts in `Tests/Support/kafka` stands behind it, so that other test targets may use this file too.
final class Broker: Sendable {
    /// For all that reads back what it wrote: noida, or Apache Kafka when `KAFKA_HOME` names a distribution.
    static let shared = Broker(hasKafka ? "kafka" : "noida")
    /// The second opinion on plain writing, reading and offsets: no transactions that abort, no offsets by time.
    static let tansu = Broker("tansu")
    /// A second cluster, to mirror to.
    static let other = Broker(hasKafka ? "kafka" : "noida")
    /// One that a test kills for good.
    static let doomed = Broker(hasKafka ? "kafka" : "noida")
    /// Apache Kafka alone, one node, for tests that kill it: tests that use it are enabled by ``kafkaOnly``.
    static let restartable = Broker("kafka")
    /// Apache Kafka with three nodes, replication factor 3.
    static let cluster = Broker("kafka", nodes: 3)
    /// Apache Kafka that also listens with SSL (port + 200), SASL_PLAINTEXT (+ 300) and SASL_SSL (+ 400): user `alice`, password `alice-secret`.
    static let secure = Broker("kafka-secure")

    static let hasKafka = !(ProcessInfo.processInfo.environment["KAFKA_HOME"] ?? "").isEmpty

    /// What the wrapper told when the broker answered, or why there is none.
    private struct Start { var bootstrap: String, port: Int, folder: String }
    private let wrapper: Result<(LineProcess, Start), BrokerError>
    private let judges: Pool

    private init(_ name: String, nodes: Int = 1) {
        judges = Pool()
        wrapper = Result {
            let process = try LineProcess([Script.path("hold-broker.py"), name, String(nodes)])
            let answer = try process.readLine(seconds: 120)
            guard let bootstrap = answer["bootstrap"] as? String, let port = answer["port"] as? Int, let folder = answer["folder"] as? String else {
                throw BrokerError("no broker \(name): \(answer["error"] ?? answer)")
            }
            return (process, Start(bootstrap: bootstrap, port: port, folder: folder))
        }.mapError { $0 as? BrokerError ?? BrokerError("no broker \(name): \($0)") }
    }

    private var start: Start { get throws { try wrapper.get().1 } }

    /// `host:port`, several with commas.
    var bootstrap: String { get throws { try start.bootstrap } }
    /// The port of the first node.
    var port: Int { get throws { try start.port } }
    /// Folder with the certificates of ``secure``: `ca.pem`, `client.crt`, `client.key`.
    var certificates: String { get throws { try start.folder + "/tls" } }

    /// Commands of `start-broker`: "kill 1", "stop 1", and "start" for what is not running.
    func command(_ line: String) throws {
        let answer = try wrapper.get().0.ask(line, seconds: 120)
        if let error = answer["error"] { throw BrokerError("\(line): \(error)") }
    }

    /// The other client, connected to this broker.
    var judge: Judge { get throws { Judge(bootstrap: try bootstrap, pool: judges) } }

    /// A new topic with a name of its own. It keeps records of any time, unless `settings` say otherwise.
    func topic(_ name: String = "topic", partitions: Int = 1, settings: [String: String] = [:]) throws -> String {
        let name = Self.fresh(name)
        try judge.create(name, partitions: partitions, settings: ["retention.ms": "-1"].merging(settings) { $1 })
        return name
    }

    /// The name of a group (a topic, a transactional id) that nobody else uses.
    func group(_ name: String = "group") -> String { Self.fresh(name) }

    static func fresh(_ name: String) -> String { "\(name)-\(UUID().uuidString.prefix(8).lowercased())" }
}

extension Trait where Self == ConditionTrait {
    /// Only Apache Kafka itself can judge this.
    static var kafkaOnly: Self { .enabled(if: Broker.hasKafka, "skipped: set KAFKA_HOME") }
}

struct BrokerError: Error, CustomStringConvertible {
    var description: String
    init(_ text: String) { description = text }
}

/// A message as another client saw it, or should write it.
struct Message: Sendable, Equatable {
    struct Header: Sendable, Equatable {
        var key: String, value: [UInt8]?
        init(_ key: String, _ value: String?) { (self.key, self.value) = (key, value.map { Array($0.utf8) }) }
        init(key: String, bytes: [UInt8]?) { (self.key, value) = (key, bytes) }
    }
    var topic = ""
    /// nil = the client chooses.
    var partition: Int?
    var offset: Int64?
    var key: [UInt8]?, value: [UInt8]?
    var headers: [Header] = []
    /// Milliseconds; nil = now.
    var timestamp: Int64?

    init(_ value: String?, key: String? = nil, partition: Int? = nil, headers: [Header] = [], timestamp: Int64? = nil) {
        self.init(bytes: value.map { Array($0.utf8) }, key: key.map { Array($0.utf8) }, partition: partition, headers: headers, timestamp: timestamp)
    }
    init(bytes: [UInt8]?, key: [UInt8]? = nil, partition: Int? = nil, headers: [Header] = [], timestamp: Int64? = nil) {
        (self.value, self.key, self.partition, self.headers, self.timestamp) = (bytes, key, partition, headers, timestamp)
    }

    var text: String? { value.map { String(decoding: $0, as: UTF8.self) } }
    var keyText: String? { key.map { String(decoding: $0, as: UTF8.self) } }

    fileprivate init(_ json: [String: Any]) {
        func bytes(_ value: Any?) -> [UInt8]? { (value as? String).flatMap { Data(base64Encoded: $0) }.map(Array.init) }
        self.init(bytes: bytes(json["value"]), key: bytes(json["key"]), partition: json["partition"] as? Int,
                  headers: (json["headers"] as? [[String: Any]] ?? []).map { Header(key: $0["key"] as? String ?? "", bytes: bytes($0["value"])) },
                  timestamp: (json["timestamp"] as? NSNumber)?.int64Value)
        topic = json["topic"] as? String ?? ""
        offset = (json["offset"] as? NSNumber)?.int64Value
    }

    fileprivate var json: [String: Any] {
        func text(_ bytes: [UInt8]?) -> Any { bytes.map { Data($0).base64EncodedString() as Any } ?? NSNull() }
        return ["key": text(key), "value": text(value), "partition": partition.map { $0 as Any } ?? NSNull(), "timestamp": timestamp.map { $0 as Any } ?? NSNull(),
                "headers": headers.map { ["key": $0.key, "value": text($0.value)] }]
    }
}

/// Writes and reads with clients that are not the one under test (`Tests/Support/kafka/judge.py`). Calls wait; each has a time limit and throws what went wrong.
struct Judge: Sendable {
    enum Isolation: String, Sendable { case readCommitted = "read_committed", readUncommitted = "read_uncommitted" }
    enum Library: String, Sendable { case confluent = "confluent-kafka", pure = "kafka-python" }
    /// What becomes of the transaction that messages are written in. `open` leaves it so until the test process ends.
    enum Transaction: String, Sendable { case commit, abort, open }

    let bootstrap: String
    fileprivate let pool: Pool
    /// More properties of librdkafka for every client, such as those of SASL.
    var properties: [String: String] = [:]

    fileprivate init(bootstrap: String, pool: Pool) { (self.bootstrap, self.pool) = (bootstrap, pool) }
    /// For a cluster that the tests did not start.
    init(bootstrap: String) { self.init(bootstrap: bootstrap, pool: Pool()) }

    func create(_ topic: String, partitions: Int = 1, replication: Int = -1, settings: [String: String] = [:]) throws {
        _ = try ask("create", ["topic": topic, "partitions": partitions, "replication": replication, "settings": settings])
    }
    func grow(_ topic: String, to partitions: Int) throws { _ = try ask("grow", ["topic": topic, "partitions": partitions]) }
    func delete(_ topic: String) throws { _ = try ask("delete", ["topic": topic]) }
    /// All topics with their numbers of partitions.
    func topics() throws -> [String: Int] { try ask("topics", [:]) as? [String: Int] ?? [:] }
    func settings(_ topic: String) throws -> [String: String] { try ask("settings", ["topic": topic]) as? [String: String] ?? [:] }
    func alter(_ topic: String, _ settings: [String: String]) throws { _ = try ask("alter", ["topic": topic, "settings": settings]) }
    /// Deletes the records before an offset, as retention would.
    func deleteRecords(_ topic: String, partition: Int = 0, before offset: Int64) throws {
        _ = try ask("delete_records", ["topic": topic, "partition": partition, "before": offset])
    }

    /// Writes messages; partition and offset of each.
    @discardableResult
    func produce(_ topic: String, _ messages: [Message], compression: String = "none", transaction: Transaction? = nil, transactionalID: String? = nil,
                 properties more: [String: String] = [:]) throws -> [(partition: Int, offset: Int64)] {
        var request: [String: Any] = ["topic": topic, "messages": messages.map(\.json), "compression": compression]
        if let transaction { request["transaction"] = transaction.rawValue }
        if let transactionalID { request["transactional_id"] = transactionalID }
        let placed = try ask("produce", request, more) as? [[NSNumber]] ?? []
        return placed.map { ($0[0].intValue, $0[1].int64Value) }
    }
    @discardableResult
    func produce(_ topic: String, _ values: [String], compression: String = "none") throws -> [(partition: Int, offset: Int64)] {
        try produce(topic, values.map { Message($0) }, compression: compression)
    }

    /// All records up to the end that there is now, partition by partition; waits for at least `count`, at most `seconds`.
    func consume(_ topic: String, isolation: Isolation = .readCommitted, count: Int = 0, seconds: Double = 30, library: Library = .confluent) throws -> [Message] {
        let found = try ask("consume", ["topic": topic, "isolation": isolation.rawValue, "count": count, "seconds": seconds, "library": library.rawValue])
        return (found as? [[String: Any]] ?? []).map(Message.init).sorted { ($0.partition ?? 0, $0.offset ?? 0) < ($1.partition ?? 0, $1.offset ?? 0) }
    }

    /// Up to `count` records as a member of a group that subscribes to the topic.
    func consume(_ topic: String, group: String, count: Int, commit: Bool = true, seconds: Double = 30) throws -> [Message] {
        let found = try ask("group_consume", ["topic": topic, "group": group, "count": count, "commit": commit, "seconds": seconds])
        return (found as? [[String: Any]] ?? []).map(Message.init)
    }

    /// What a group has committed, by partition; nil = nothing.
    func committed(_ topic: String, group: String) throws -> [Int64?] {
        (try ask("committed", ["topic": topic, "group": group]) as? [Any] ?? []).map { ($0 as? NSNumber)?.int64Value }
    }
    func commit(_ topic: String, group: String, _ offsets: [Int: Int64]) throws {
        _ = try ask("commit", ["topic": topic, "group": group, "offsets": Dictionary(uniqueKeysWithValues: offsets.map { (String($0.key), $0.value) })])
    }
    /// Offset of the first record there is and the one behind the last, by partition.
    func bounds(_ topic: String, isolation: Isolation = .readUncommitted) throws -> [(low: Int64, high: Int64)] {
        (try ask("bounds", ["topic": topic, "isolation": isolation.rawValue]) as? [[NSNumber]] ?? []).map { ($0[0].int64Value, $0[1].int64Value) }
    }

    private func ask(_ what: String, _ request: [String: Any], _ more: [String: String] = [:]) throws -> Any? {
        var request = request
        request["do"] = what
        request["bootstrap"] = bootstrap
        request["properties"] = properties.merging(more) { $1 }
        let line = String(decoding: try JSONSerialization.data(withJSONObject: request), as: UTF8.self)
        let process = try pool.take()
        let answer = try process.ask(line, seconds: 100)
        pool.put(process)
        if let error = answer["error"] { throw BrokerError("\(what): \(error)") }
        return answer["result"]
    }
}

/// Judges that wait for questions: one process for each question under way at a time.
private final class Pool: Sendable {
    private let idle = Mutex<[LineProcess]>([])
    func take() throws -> LineProcess { try idle.withLock { $0.popLast() } ?? LineProcess([Script.path("judge.py")]) }
    func put(_ process: LineProcess) { idle.withLock { $0.append(process) } }
}

enum Script {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    static let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? root.appending(path: ".venv/bin/python").path
    static func path(_ name: String) -> String { root.appending(path: "Tests/Support/kafka/\(name)").path }
}

/// A Python program that answers each line with one line of JSON, and ends when its input ends, which it does with this process.
private final class LineProcess: @unchecked Sendable {
    // SAFETY: used by one thread at a time: taken from a pool, or under `lock`.
    private let lock = Mutex(())
    private let process = Process()
    private let input = Pipe(), output = Pipe()
    private var pending: [UInt8] = []

    init(_ arguments: [String]) throws {
        guard FileManager.default.isExecutableFile(atPath: Script.python) else { throw BrokerError("no Python at \(Script.python): run make setup, or set SWIFTWATER_PYTHON") }
        process.executableURL = URL(filePath: Script.python)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFTWATER_PYTHON": Script.python]) { $1 }
        process.standardInput = input
        process.standardOutput = output
        // A child that another thread starts must not hold the input open.
        for pipe in [input, output] { for file in [pipe.fileHandleForReading, pipe.fileHandleForWriting] { _ = fcntl(file.fileDescriptor, F_SETFD, FD_CLOEXEC) } }
        try process.run()
    }

    func ask(_ line: String, seconds: Double) throws -> [String: Any] {
        try lock.withLock { _ in
            try input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
            return try readLine(seconds: seconds)
        }
    }

    func readLine(seconds: Double) throws -> [String: Any] {
        let deadline = Date().addingTimeInterval(seconds)
        let file = output.fileHandleForReading.fileDescriptor
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            if let end = pending.firstIndex(of: 10) {
                let line = Data(pending[..<end])
                pending.removeFirst(end + 1)
                guard let object = try JSONSerialization.jsonObject(with: line) as? [String: Any] else { throw BrokerError("no JSON object: \(String(decoding: line, as: UTF8.self))") }
                return object
            }
            let left = deadline.timeIntervalSinceNow
            var waiting = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
            guard left > 0, poll(&waiting, 1, Int32(left * 1_000) + 1) > 0 else { throw BrokerError("no answer in \(seconds) s") }
            let count = read(file, &chunk, chunk.count)
            guard count > 0 else { throw BrokerError("the helper process ended: \(Script.python)") }
            pending += chunk[..<count]
        }
    }
}
