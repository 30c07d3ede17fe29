import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamTesting
import Synchronization
import Testing

@testable import StreamSQL

/// A partitioned filesystem table in a directory of its own, and the folders that were listed.
final class PartitionedFolder: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/partitions-\(UUID().uuidString.lowercased())"
    private let listed = Mutex<[String]>([])

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    var connector: FilesystemConnector {
        FilesystemConnector { [weak self] folder in self?.listed.withLock { $0.append(folder) } }
    }

    /// Folders listed since the last call, relative to the table's.
    func takeListed() -> [String] {
        listed.withLock { folders in
            defer { folders = [] }
            return folders.map { $0 == path ? "" : String($0.dropFirst(path.count + 1)) }
        }
    }

    func write(_ partition: String, _ lines: String, file: String = "data.json") throws {
        try FileManager.default.createDirectory(atPath: path + "/" + partition, withIntermediateDirectories: true)
        try lines.write(toFile: path + "/" + partition + "/" + file, atomically: true, encoding: .utf8)
    }

    func create(_ name: String = "t", temporary: Bool = false) -> String {
        """
        CREATE \(temporary ? "TEMPORARY " : "")TABLE \(name) (v INT, y INT, m STRING) PARTITIONED BY (y, m)
        WITH ('connector' = 'filesystem', 'path' = '\(path)', 'format' = 'json');
        """
    }

    /// 3 years of 12 months, a file in each.
    func fill() throws {
        for year in 2019...2021 {
            for month in 1...12 {
                let text = month < 10 ? "0\(month)" : "\(month)"
                try write("y=\(year)/m=\(text)", "{\"v\": \(year * 100 + month)}\n")
            }
        }
    }
}

/// Runs statements; gives the rows of the last query.
@discardableResult
func runAll(_ session: SQLSession, _ text: String) throws -> [[Value]] {
    var rows: [[Value]] = []
    for statement in try SQLParser(text: text).parseScript() {
        switch try session.execute(statement) {
        case .insert(let graph): try JobExecution(graph).run()
        case .query(let query):
            let sink = CollectingSink(maxParallelism: 1)
            try JobExecution(try query.jobGraph(into: sink)).run()
            rows = SQLHarness.collapsed(sink.rows)
        case .rows(_, let found): rows = found
        default: rows = []
        }
    }
    return rows
}

@Suite("Partitions of filesystem tables") struct PartitionTests {
    private func ints(_ rows: [[Value]]) -> [Int64] { rows.compactMap { if case .int(let n) = $0[0] { n } else { nil } }.sorted() }
    private func texts(_ rows: [[Value]]) -> [String] { rows.compactMap { if case .string(let text) = $0[0] { text } else { nil } } }

    @Test("only folders that conditions leave are listed, level by level")
    func descent() throws {
        let folder = try PartitionedFolder()
        try folder.fill()
        let session = SQLSession(connectors: [folder.connector])
        try runAll(session, folder.create())
        let cases: [(String, [Int64], Int)] = [
            ("y = 2020 AND m = '04'", [202_004], 3), ("y = 2020", (1...12).map { 202_000 + $0 }, 14), ("m IN ('04', '11')", [201_904, 201_911, 202_004, 202_011, 202_104, 202_111], 10),
            ("y >= 2021 AND m < '03'", [202_101, 202_102], 4), ("y BETWEEN 2020 AND 2021 AND m = '12'", [202_012, 202_112], 5),
            ("2020 > y AND m = '01'", [201_901], 3), ("y = 1999", [], 1), ("y > 2020 AND y < 2020", [], 1), ("m > '11' AND v > 202000", [202_012, 202_112], 7),
        ]
        for (condition, expected, listed) in cases {
            #expect(ints(try runAll(session, "SELECT v FROM t WHERE \(condition)")) == expected, "\(condition)")
            #expect(folder.takeListed().count == listed, "\(condition)")
        }
        #expect(try runAll(session, "SELECT m, y FROM t WHERE v = 202107") == [[.string("07"), .int(2021)]])
    }

    @Test("EXPLAIN shows what is left of the partitions")
    func explain() throws {
        let folder = try PartitionedFolder()
        try folder.fill()
        let session = SQLSession(connectors: [folder.connector])
        let rows = try runAll(session, folder.create() + "EXPLAIN SELECT v FROM t WHERE y > 2019 AND y <= 2021 AND m = '04'")
        #expect(texts(rows)[0].contains("partitions: m in ('04'), y > 2019, y <= 2021"))
    }

    @Test("SHOW PARTITIONS lists the folders of those that are asked for")
    func show() throws {
        let folder = try PartitionedFolder()
        try folder.fill()
        let session = SQLSession(connectors: [folder.connector])
        try runAll(session, folder.create())
        #expect(texts(try runAll(session, "SHOW PARTITIONS t PARTITION (m = '02')")) == ["y=2019/m=02", "y=2020/m=02", "y=2021/m=02"])
        #expect(try runAll(session, "SHOW PARTITIONS t").count == 36)
        _ = folder.takeListed()
        #expect(texts(try runAll(session, "SHOW PARTITIONS t PARTITION (y = 2020, m = '02')")) == ["y=2020/m=02"])
        #expect(folder.takeListed() == ["", "y=2020"])
        #expect(throws: StreamError.self) { try runAll(session, "SHOW PARTITIONS t PARTITION (v = 1)") }
        try runAll(session, "CREATE TABLE plain (v INT) WITH ('connector' = 'filesystem', 'path' = '\(folder.path)', 'format' = 'json')")
        #expect(throws: StreamError.self) { try runAll(session, "SHOW PARTITIONS plain") }
    }

    @Test("once partitions are altered, the catalog knows them: what is dropped is not read, what is added is")
    func index() throws {
        let folder = try PartitionedFolder()
        try folder.fill()
        let session = SQLSession(connectors: [folder.connector])
        try runAll(session, folder.create() + "ALTER TABLE t DROP PARTITION (y = 2020, m = '04'), PARTITION (y = 2019)")
        #expect(try runAll(session, "SHOW PARTITIONS t").count == 23)
        #expect(ints(try runAll(session, "SELECT v FROM t WHERE y <= 2020 AND m < '06'")) == [202_001, 202_002, 202_003, 202_005])
        // A folder that appears is read once the catalog knows it.
        try folder.write("y=2022/m=01", "{\"v\": 1}\n")
        _ = folder.takeListed()
        #expect(try runAll(session, "SELECT v FROM t WHERE y = 2022").isEmpty)
        #expect(folder.takeListed().isEmpty)
        try runAll(session, "ALTER TABLE t ADD PARTITION (y = 2022, m = '01') PARTITION (y = 2022, m = '02'); ALTER TABLE t ADD IF NOT EXISTS PARTITION (y = 2022, m = '01')")
        #expect(ints(try runAll(session, "SELECT v FROM t WHERE y = 2022")) == [1])
        #expect(folder.takeListed() == ["y=2022/m=01"])
        #expect(texts(try runAll(session, "SHOW PARTITIONS t PARTITION (y = 2022)")) == ["y=2022/m=01", "y=2022/m=02"])
        #expect(throws: StreamError.self) { try runAll(session, "ALTER TABLE t ADD PARTITION (y = 2022, m = '01')") }
        #expect(throws: StreamError.self) { try runAll(session, "ALTER TABLE t ADD PARTITION (y = 2022)") }
        #expect(throws: StreamError.self) { try runAll(session, "ALTER TABLE t DROP PARTITION (y = 1999)") }
        try runAll(session, "ALTER TABLE t DROP IF EXISTS PARTITION (y = 1999)")
        // Those on the disk again, and no others.
        try runAll(session, "ALTER TABLE t RECOVER PARTITIONS")
        #expect(try runAll(session, "SHOW PARTITIONS t").count == 37)
        #expect(throws: StreamError.self) { try runAll(session, folder.create("tmp", temporary: true) + "ALTER TABLE tmp RECOVER PARTITIONS") }
    }

    @Test("partitions that an INSERT makes are known once it has committed")
    func insert() throws {
        let folder = try PartitionedFolder()
        let session = SQLSession(connectors: [folder.connector])
        try runAll(session, folder.create() + "ALTER TABLE t RECOVER PARTITIONS; INSERT INTO t VALUES (1, 2020, '01'), (2, 2020, CAST(NULL AS STRING)), (3, 2021, 'a/b')")
        #expect(texts(try runAll(session, "SHOW PARTITIONS t")) == ["y=2020/m=01", "y=2020/m=__DEFAULT_PARTITION__", "y=2021/m=a%2Fb"])
        #expect(ints(try runAll(session, "SELECT v FROM t")) == [1, 2, 3])
        #expect(ints(try runAll(session, "SELECT v FROM t WHERE m = 'a/b'")) == [3])
        #expect(ints(try runAll(session, "SELECT v FROM t WHERE m IS NULL")) == [2])
        try runAll(session, "INSERT INTO t PARTITION (y = 2020) SELECT 9, '02'")
        _ = folder.takeListed()
        #expect(ints(try runAll(session, "SELECT v FROM t WHERE m = '02'")) == [9])
        #expect(folder.takeListed() == ["y=2020/m=02"])
    }

    @Test("a path that a hint names is read as it lies, whatever the catalog knows")
    func hint() throws {
        let folder = try PartitionedFolder(), other = try PartitionedFolder()
        try folder.fill()
        try other.write("y=2020/m=04", "{\"v\": 5}\n")
        let session = SQLSession(connectors: [folder.connector])
        try runAll(session, folder.create() + "ALTER TABLE t DROP PARTITION (y = 2020)")
        #expect(ints(try runAll(session, "SELECT v FROM t /*+ OPTIONS('path' = '\(other.path)') */ WHERE y = 2020")) == [5])
    }
}
