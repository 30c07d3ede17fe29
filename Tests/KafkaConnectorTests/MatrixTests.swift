import Foundation
import StreamCore
import Synchronization
import Testing
@testable import KafkaConnector

/// Startup modes × bounded modes × partitions in full, each with a format and a compression such that all pairs of two choices occur.
@Suite("matrix") struct MatrixTests {
    enum Format: String, CaseIterable, Sendable {
        case json, csv, raw, avro, debezium = "debezium-json", canal = "canal-json", maxwell = "maxwell-json"

        func message(_ n: Int) -> String {
            switch self {
            case .json: #"{"id": \#(n), "name": "n\#(n)"}"#
            case .csv: "\(n),n\(n)"
            case .raw: "n\(n)"
            case .avro: Self.avro("n\(n)")
            case .debezium: #"{"before": null, "after": {"id": \#(n), "name": "n\#(n)"}, "op": "c"}"#
            case .canal: #"{"data": [{"id": "\#(n)", "name": "n\#(n)"}], "old": null, "type": "INSERT"}"#
            case .maxwell: #"{"data": {"id": \#(n), "name": "n\#(n)"}, "type": "insert"}"#
            }
        }
        /// A record with one text that may be NULL: which of the two it is, its length and its bytes; all of them ASCII.
        static func avro(_ text: String) -> String { "\u{02}" + String(UnicodeScalar(UInt8(text.utf8.count * 2))) + text }
        var hasOneColumn: Bool { self == .raw || self == .avro }
        var columns: String { hasOneColumn ? "name STRING" : "id BIGINT, name STRING" }
    }
    enum Startup: String, CaseIterable, Sendable { case earliest = "earliest-offset", latest = "latest-offset", group = "group-offsets", timestamp, specific = "specific-offsets" }
    enum Bounded: String, CaseIterable, Sendable { case unbounded, latest = "latest-offset", group = "group-offsets", timestamp, specific = "specific-offsets" }
    static let compressions = ["none", "lz4", "zstd", "snappy", "gzip"]

    struct Cell: Sendable, CustomTestStringConvertible {
        var startup: Startup, bounded: Bounded, partitions: Int, format: Format, compression: String
        var testDescription: String { "\(startup.rawValue) to \(bounded.rawValue), \(partitions) partitions, \(format.rawValue), \(compression)" }

        /// Two choices that occur together.
        var pairs: Set<String> {
            let choices = ["s \(startup)", "b \(bounded)", "p \(partitions)", "f \(format)", "c \(compression)"]
            var all = Set<String>()
            for i in choices.indices { for j in choices.indices where j > i { all.insert(choices[i] + ", " + choices[j]) } }
            return all
        }
    }

    /// Chosen greedily: each cell takes the format and compression that show the most pairs not seen yet.
    static let cells: [Cell] = {
        var seen = Set<String>(), uses: [String: Int] = [:], cells: [Cell] = []
        for startup in Startup.allCases {
            for bounded in Bounded.allCases {
                for partitions in [1, 6] {
                    let candidates = Format.allCases.flatMap { format in
                        compressions.map { Cell(startup: startup, bounded: bounded, partitions: partitions, format: format, compression: $0) }
                    }
                    let best = candidates.max { a, b in
                        let (x, y) = (a.pairs.subtracting(seen).count, b.pairs.subtracting(seen).count)
                        return x != y ? x < y : uses["\(a.format) \(a.compression)", default: 0] > uses["\(b.format) \(b.compression)", default: 0]
                    }!
                    seen.formUnion(best.pairs)
                    uses["\(best.format) \(best.compression)", default: 0] += 1
                    cells.append(best)
                }
            }
        }
        return cells
    }()

    @Test func allPairsOccur() {
        var all = Set<String>()
        for startup in Startup.allCases { for bounded in Bounded.allCases { for partitions in [1, 6] { for format in Format.allCases { for compression in Self.compressions {
            all.formUnion(Cell(startup: startup, bounded: bounded, partitions: partitions, format: format, compression: compression).pairs)
        } } } } }
        #expect(all.subtracting(Self.cells.reduce(into: []) { $0.formUnion($1.pairs) }).isEmpty)
    }

    // MARK: What the topics hold

    /// 30 records, dealt to the partitions in turn, a second apart.
    static let count = 30, time: Int64 = 1_700_000_000_000
    static func records(_ partition: Int, of partitions: Int, count: Int = count) -> [Int] { (0..<count).filter { $0 % partitions == partition } }
    /// Where groups, specific offsets and times stand.
    static func place(_ startup: Startup, _ partition: Int, of partitions: Int) -> Int {
        let all = records(partition, of: partitions)
        return switch startup {
        case .earliest: 0
        case .latest: all.count
        case .group: 1 + partition % 3
        case .timestamp: all.firstIndex { $0 >= 8 } ?? all.count
        case .specific: partition % 4
        }
    }
    static func end(_ bounded: Bounded, _ partition: Int, of partitions: Int) -> Int {
        let all = records(partition, of: partitions)
        return switch bounded {
        case .unbounded, .latest: all.count
        case .group: 1 + partition % 3
        case .timestamp: all.firstIndex { $0 >= 22 } ?? all.count
        case .specific: all.count - 1 - partition % 2
        }
    }

    /// Topics are written once for all cells that read the same.
    final class Topics: Sendable {
        private let made = Mutex<[String: Result<(topic: String, group: String), BrokerError>]>([:])
        func topic(_ broker: Broker, _ partitions: Int, _ format: Format, _ compression: String, fresh: Bool) throws -> (topic: String, group: String) {
            func make() throws -> (topic: String, group: String) {
                let topic = try broker.topic("matrix", partitions: partitions), group = broker.group("matrix"), judge = try broker.judge
                try judge.produce(topic, MatrixTests.messages(0..<MatrixTests.count, partitions, format), compression: compression)
                try judge.commit(topic, group: group, Dictionary(uniqueKeysWithValues: (0..<partitions).map { ($0, Int64(MatrixTests.place(.group, $0, of: partitions))) }))
                return (topic, group)
            }
            // What cells add to a topic must not be seen by others.
            if fresh { return try make() }
            return try made.withLock { made in
                let key = "\(ObjectIdentifier(broker)) \(partitions) \(format) \(compression)"
                if let known = made[key] { return try known.get() }
                let result = Result { try make() }.mapError { $0 as? BrokerError ?? BrokerError("\($0)") }
                made[key] = result
                return try result.get()
            }
        }
    }
    static let topics = Topics()

    static func messages(_ range: Range<Int>, _ partitions: Int, _ format: Format) -> [Message] {
        range.map { Message(format.message($0), key: "k\($0)", partition: $0 % partitions, timestamp: time + Int64($0) * 1_000) }
    }

    private static func table(_ cell: Cell, _ broker: Broker, _ topic: String, _ group: String) throws -> String {
        func offsets(_ place: (Int) -> Int) -> String { (0..<cell.partitions).map { "partition:\($0),offset:\(place($0))" }.joined(separator: ";") }
        var options = ["connector": "kafka", "topic": topic, "properties.bootstrap.servers": try broker.bootstrap, "properties.group.id": group,
                       "format": cell.format.rawValue, "scan.startup.mode": cell.startup.rawValue, "scan.bounded.mode": cell.bounded.rawValue]
        if cell.startup == .timestamp { options["scan.startup.timestamp-millis"] = "\(time + 8_000)" }
        if cell.startup == .specific { options["scan.startup.specific-offsets"] = offsets { place(.specific, $0, of: cell.partitions) } }
        if cell.bounded == .timestamp { options["scan.bounded.timestamp-millis"] = "\(time + 22_000)" }
        if cell.bounded == .specific { options["scan.bounded.specific-offsets"] = offsets { end(.specific, $0, of: cell.partitions) } }
        return """
            CREATE TABLE t (\(cell.format.columns), p INT METADATA FROM 'partition' VIRTUAL, o BIGINT METADATA FROM 'offset' VIRTUAL,
              at_ms TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL)
            WITH (\(options.sorted { $0.key < $1.key }.map { "'\($0)' = '\($1)'" }.joined(separator: ", ")));
            """
    }

    private static func expected(_ cell: Cell, count: Int = count) -> [String] {
        (0..<cell.partitions).flatMap { partition -> [String] in
            let all = records(partition, of: cell.partitions, count: count), from = place(cell.startup, partition, of: cell.partitions)
            let to = cell.bounded == .unbounded ? all.count : end(cell.bounded, partition, of: cell.partitions)
            return from >= to ? [] : (from..<to).map { "\(partition)|\($0)|n\(all[$0])|\(time + Int64(all[$0]) * 1_000)" }
        }.sorted()
    }

    private static let query = "SELECT p, o, name, CAST(UNIX_TIMESTAMP(CAST(at_ms AS STRING)) AS BIGINT) * 1000 FROM t"

    private func read(_ cell: Cell, from broker: Broker) throws {
        let (topic, group) = try Self.topics.topic(broker, cell.partitions, cell.format, cell.compression, fresh: cell.bounded == .unbounded)
        let jobs = try SQLJobs("SET 'table.local-time-zone' = 'UTC';" + Self.table(cell, broker, topic, group))
        guard cell.bounded == .unbounded else {
            let found = try jobs.rows(Self.query), wanted = Self.expected(cell)
            #expect(found == wanted, "too many: \(Set(found).subtracting(wanted).sorted()), missing: \(Set(wanted).subtracting(found).sorted())")
            return
        }
        let job = try jobs.start(Self.query)
        let judge = try broker.judge
        if cell.startup == .latest {
            // When reading has begun shows by the first record that comes: from there on none may be missing.
            var written = Self.count
            try job.wait(seconds: 60) { rows in
                if rows.isEmpty { _ = try? judge.produce(topic, Self.messages(written..<written + 1, cell.partitions, cell.format), compression: cell.compression); written += 1 }
                return !rows.isEmpty
            }
            try judge.produce(topic, Self.messages(written..<written + 12, cell.partitions, cell.format), compression: cell.compression)
            let last = Set((written..<written + 12).map { "n\($0)" })
            try job.wait { last.isSubset(of: $0.map { String($0.split(separator: "|")[2]) }) }
            let rows = try job.stop()
            #expect(Set(rows).isSubset(of: Self.expected(cell, count: written + 12)) && Set(rows).count == rows.count, "\(rows)")
            return
        }
        let before = Self.expected(cell).count
        try job.wait(rows: before)
        try judge.produce(topic, Self.messages(Self.count..<Self.count + 12, cell.partitions, cell.format), compression: cell.compression)
        try job.wait(rows: before + 12)
        #expect(try job.stop() == Self.expected(cell, count: Self.count + 12))
    }

    @Test("reading", arguments: cells)
    func reading(cell: Cell) throws { try read(cell, from: .shared) }

    /// Offsets by time are not among what it can do, and it takes the first record of the last batch for the last record.
    @Test("reading from another broker", arguments: cells.filter { ![.timestamp, .latest].contains($0.startup) && ![.timestamp, .latest].contains($0.bounded) })
    func readingTansu(cell: Cell) throws { try read(cell, from: .tansu) }

    // MARK: Writing

    struct Written: Sendable, CustomTestStringConvertible {
        var format: Format, compression: String, partitions: Int
        var testDescription: String { "\(format.rawValue), \(compression), \(partitions) partitions" }
    }
    static let written = Format.allCases.flatMap { format in compressions.flatMap { c in [1, 6].map { Written(format: format, compression: c, partitions: $0) } } }

    private func write(_ cell: Written, to broker: Broker) throws {
        let topic = try broker.topic("written", partitions: cell.partitions)
        let jobs = try SQLJobs("""
            CREATE TABLE t (\(cell.format.columns), h MAP<STRING, BYTES> METADATA FROM 'headers', at_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp')
            WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'properties.bootstrap.servers' = '\(try broker.bootstrap)',
                  'properties.compression.type' = '\(cell.compression)', \(cell.format.hasOneColumn ? "" : "'key.format' = 'csv', 'key.fields' = 'name', ")'value.format' = '\(cell.format.rawValue)');
            """)
        let rows = (0..<20).map { "(\(cell.format.hasOneColumn ? "" : "CAST(\($0) AS BIGINT), ")'n\($0)')" }
        try jobs.run("""
            INSERT INTO t SELECT v.*, MAP['source', CAST('test' AS BYTES)], TO_TIMESTAMP_LTZ(\(Self.time), 3)
            FROM (VALUES \(rows.joined(separator: ", "))) AS v (\(cell.format.hasOneColumn ? "name" : "id, name"));
            """)
        let found = try broker.judge.consume(topic, count: 20)
        let wanted = (0..<20).map { n in
            switch cell.format {
            case .json: #"{"id":\#(n),"name":"n\#(n)"}"#
            case .csv: "\(n),n\(n)"
            case .raw: "n\(n)"
            case .avro: Format.avro("n\(n)")
            case .debezium: #"{"before":null,"after":{"id":\#(n),"name":"n\#(n)"},"op":"c"}"#
            case .canal: #"{"data":[{"id":\#(n),"name":"n\#(n)"}],"type":"INSERT"}"#
            case .maxwell: #"{"data":{"id":\#(n),"name":"n\#(n)"},"type":"insert"}"#
            }
        }
        #expect(found.map(\.text!).sorted() == wanted.sorted())
        #expect(found.allSatisfy { $0.timestamp == Self.time && $0.headers == [.init("source", "test")] })
        if !cell.format.hasOneColumn {
            #expect(Set(found.map(\.keyText)) == Set((0..<20).map { "n\($0)" }))
            if cell.partitions == 6 { #expect(Set(found.map(\.partition)).count > 2) }
        }
    }

    @Test("writing", arguments: written)
    func writing(cell: Written) throws { try write(cell, to: .shared) }

    @Test("writing to another broker", arguments: written.filter { $0.partitions == 6 })
    func writingTansu(cell: Written) throws { try write(cell, to: .tansu) }
}
