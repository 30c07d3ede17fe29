import FileConnectors
import Foundation
import ReferenceSQL
import StreamCore
import StreamRuntime
import Testing
@testable import StreamSQL

/// Queries over the changes of a table give what they give over the rows that the changes come to.
@Suite("queries over change capture") struct ChangeCaptureQueryTests {
    static let products = "(pid INT, name STRING, cat STRING, price DECIMAL(10,2), qty INT, PRIMARY KEY (pid) NOT ENFORCED)"
    static let orders = "(oid INT, pid INT, amt DECIMAL(10,2), st STRING, PRIMARY KEY (oid) NOT ENFORCED)"

    static let finalOrders = """
        {"oid": 1, "pid": 1, "amt": 3.00, "st": "paid"}
        {"oid": 2, "pid": 1, "amt": 4.75, "st": "new"}
        {"oid": 3, "pid": 3, "amt": 1.00, "st": "paid"}
        {"oid": 5, "pid": 7, "amt": null, "st": "void"}
        {"oid": 6, "pid": 1, "amt": 8.00, "st": "new"}
        """

    static let queries = [
        "SELECT COUNT(*) FROM products", "SELECT COUNT(*), COUNT(amt) FROM corders", "SELECT DISTINCT cat FROM products",
        "SELECT name, pid FROM products WHERE cat IS NULL OR price > 10", "SELECT oid, st, oid FROM corders",
        "SELECT cat, MAX(name), MIN(qty), SUM(DISTINCT qty), AVG(price) FROM products GROUP BY cat",
        "SELECT st, MAX(amt), COUNT(DISTINCT pid) FROM corders GROUP BY st HAVING COUNT(*) > 1",
        "SELECT c, COUNT(*) FROM (SELECT pid, COUNT(*) AS c FROM corders GROUP BY pid) GROUP BY c",
        "SELECT pid FROM products UNION SELECT pid FROM corders", "SELECT pid FROM products EXCEPT SELECT pid FROM corders",
        "SELECT pid FROM products INTERSECT SELECT pid FROM corders", "SELECT pid, name FROM products UNION ALL SELECT oid, st FROM corders",
        "SELECT p.name, o.oid FROM products p JOIN corders o ON p.pid = o.pid AND o.amt < p.qty",
        "SELECT p.name, o.oid, o.st FROM products p FULL JOIN corders o ON p.pid = o.pid",
        "SELECT name FROM products WHERE pid IN (SELECT pid FROM corders WHERE st = 'new')",
        "SELECT name FROM products p WHERE NOT EXISTS (SELECT 1 FROM corders o WHERE o.pid = p.pid AND o.st = 'paid')",
        "SELECT name, price FROM products WHERE price > (SELECT AVG(amt) FROM corders)",
        "SELECT cat, pid FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY cat ORDER BY price DESC) AS n FROM products) WHERE n <= 1",
        "SELECT pid FROM (SELECT pid, ROW_NUMBER() OVER (ORDER BY price DESC, pid) AS n FROM products) WHERE n <= 2",
        "SELECT p.cat, SUM(o.amt), COUNT(*) FROM corders o LEFT JOIN products p ON o.pid = p.pid GROUP BY p.cat",
    ]

    @Test("as over the rows that are left", arguments: queries, [1, 7, Batch.targetRows])
    func finalRows(query: String, batchRows: Int) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("changes-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let flink = FlinkCaseTests.folder.path
        try FileManager.default.copyItem(atPath: flink + "/expected/cdc_debezium_rows.jsonl", toPath: folder.path + "/products.json")
        try Data(Self.finalOrders.utf8).write(to: folder.appendingPathComponent("orders.json"))
        func rows(_ products: String, _ orders: String, _ formats: (String, String), parallelism: Int) throws -> [String] {
            var settings = RunSettings()
            settings.batchRows = batchRows
            settings.parallelism = parallelism
            var run = ScriptRun(settings) { [FilesystemConnector()] }
            let results = try run.run("""
                CREATE TABLE products \(Self.products) WITH ('connector' = 'filesystem', 'path' = '\(products)', 'format' = '\(formats.0)');
                CREATE TABLE corders \(Self.orders) WITH ('connector' = 'filesystem', 'path' = '\(orders)', 'format' = '\(formats.1)');
                \(query);
                """)
            return results.flatMap { $0.rows.map { "\($0)" } }.sorted()
        }
        let expected = try rows(folder.path + "/products.json", folder.path + "/orders.json", ("json", "json"), parallelism: 1)
        #expect(!expected.isEmpty)
        for parallelism in [1, 2, 4] {
            let actual = try rows(flink + "/data/products_debezium.json", flink + "/data/orders_canal.json", ("debezium-json", "canal-json"), parallelism: parallelism)
            #expect(actual == expected, "parallelism \(parallelism)")
        }
    }

    @Test("changes of a query go into a file of messages, and out of it again", arguments: ["debezium-json", "canal-json", "maxwell-json"])
    func written(format: String) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("changes-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let tables = """
            CREATE TABLE corders \(Self.orders) WITH ('connector' = 'filesystem', 'path' = '\(FlinkCaseTests.folder.path)/data/orders_canal.json', 'format' = 'canal-json');
            CREATE TABLE counts (st STRING, c BIGINT, s DECIMAL(38,2)) WITH ('connector' = 'filesystem', 'path' = '\(folder)', 'format' = '\(format)');
            """
        let session = SQLSession(connectors: [FilesystemConnector()])
        for statement in try SQLParser(text: tables + "INSERT INTO counts SELECT st, COUNT(*), SUM(amt) FROM corders GROUP BY st;").parseScript() {
            if case .insert(let graph) = try session.execute(statement) { try JobExecution(graph).run() }
        }
        var read = ScriptRun(RunSettings()) { [FilesystemConnector()] }
        let rows = try read.run(tables + "SELECT st, c, s FROM counts;").flatMap { $0.rows.map { "\($0)" } }.sorted()
        var direct = ScriptRun(RunSettings()) { [FilesystemConnector()] }
        #expect(try rows == direct.run(tables + "SELECT st, COUNT(*), SUM(amt) FROM corders GROUP BY st;").flatMap { $0.rows.map { "\($0)" } }.sorted())
        #expect(rows.count == 3)
    }

    @Test("a table of inserts only does not take them") func refused() throws {
        var run = ScriptRun(RunSettings()) { [FilesystemConnector()] }
        let error = #expect(throws: StreamError.self) {
            try run.run("""
                CREATE TABLE corders \(Self.orders) WITH ('connector' = 'filesystem', 'path' = '\(FlinkCaseTests.folder.path)/data/orders_canal.json', 'format' = 'canal-json');
                CREATE TABLE copy (oid INT, st STRING) WITH ('connector' = 'filesystem', 'path' = 'none', 'format' = 'json');
                INSERT INTO copy SELECT oid, st FROM corders;
                """)
        }
        #expect(error?.code == .plan && error?.problem.contains("doesn't support consuming update changes") == true, "\(error?.description ?? "")")
    }
}
