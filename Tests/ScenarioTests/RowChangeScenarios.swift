import Foundation
import HudiTable
import StreamCore
import Testing

@Suite("Statements that change rows") struct RowChangeScenarios {
    private static let columns = "id STRING, city STRING, amount INT"

    private func declare(_ harness: Harness, files: Int, rows: Int) throws -> String {
        let input = harness.directory + "/input", path = harness.directory + "/orders"
        try FileManager.default.createDirectory(atPath: input, withIntermediateDirectories: true)
        for file in 0..<files {
            let lines = (0..<rows).map { "\(file * rows + $0),\(["oslo", "lima", "pune"][$0 % 3]),\($0)\n" }
            try lines.joined().write(toFile: "\(input)/\(file).csv", atomically: true, encoding: .utf8)
        }
        try harness.run("""
            CREATE TABLE input (\(Self.columns)) WITH ('connector' = 'filesystem', 'path' = '\(input)', 'format' = 'csv');
            CREATE TABLE orders (\(Self.columns), PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (city) WITH ('connector' = 'hudi', 'path' = '\(path)',
              'index.global.enabled' = 'true')
            """)
        return path
    }

    private func operations(_ path: String) throws -> [String] { try HudiTable.open(path).timeline.compactMap(\.operation) }

    @Test("each statement is one commit, whatever the parallelism", arguments: [1, 4])
    func oneCommit(parallelism: Int) throws {
        let harness = try Harness(), path = try declare(harness, files: 8, rows: 300)
        try harness.session.set("parallelism.default", to: "\(parallelism)")
        try harness.run("INSERT INTO orders SELECT * FROM input")
        #expect(try operations(path) == ["UPSERT"])
        try harness.run("UPDATE orders SET amount = amount + 1000, city = CASE WHEN amount < 30 THEN 'rome' ELSE city END WHERE amount < 60")
        #expect(try harness.query("SELECT COUNT(*), COUNT(DISTINCT id) FROM orders") == [[.int(2_400), .int(2_400)]])
        #expect(try harness.query("SELECT COUNT(*), MIN(amount), MAX(amount) FROM orders WHERE city = 'rome'") == [[.int(240), .int(1_000), .int(1_029)]])
        try harness.run("DELETE FROM orders WHERE city = 'rome'")
        try harness.run("DELETE FROM orders WHERE id IN (SELECT id FROM input WHERE amount = 299)")
        #expect(try harness.query("SELECT COUNT(*) FROM orders") == [[.int(2_400 - 240 - 8)]])
        try harness.run("INSERT OVERWRITE orders SELECT id, 'oslo', amount FROM orders WHERE city = 'oslo' AND amount < 100")
        // 60, 63, ... 99 of each file: those below have got 1,000 more.
        #expect(try harness.query("SELECT COUNT(*) FROM orders WHERE city = 'oslo'") == [[.int(8 * 14)]])
        #expect(try operations(path) == ["UPSERT", "UPSERT", "DELETE", "DELETE", "INSERT_OVERWRITE"])
        try harness.check(table: path, key: "id")
        #expect(try Harness.independent(path, "SELECT COUNT(*) FROM t WHERE city = 'oslo'") == "112")
        try harness.run("DELETE FROM orders")
        #expect(try harness.query("SELECT id FROM orders").isEmpty)
    }

    @Test("what would lose rows or values is refused")
    func refused() throws {
        let harness = try Harness(), path = try declare(harness, files: 1, rows: 10)
        try harness.run("INSERT INTO orders SELECT * FROM input")
        try harness.run("""
            CREATE TABLE narrow (id STRING, city STRING, PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (city) WITH ('connector' = 'hudi', 'path' = '\(path)',
              'hoodie.write.set.null.for.missing.columns' = 'true')
            """)
        func problem(_ statement: String) -> String? {
            do {
                try harness.run(statement)
                return nil
            } catch { return "\(error)" }
        }
        #expect(problem("UPDATE narrow SET city = 'rome'")?.contains("column amount is not declared") == true)
        #expect(problem("UPDATE orders SET id = '1'")?.contains("primary key") == true)
        #expect(problem("UPDATE input SET id = '1'")?.contains("not supported yet: UPDATE on connector 'filesystem'") == true)
        #expect(problem("INSERT OVERWRITE input SELECT * FROM orders")?.contains("not supported yet: INSERT OVERWRITE") == true)
        #expect(problem("ALTER TABLE orders DROP PARTITION (amount = 1)")?.contains("is not partitioned by amount") == true)
        try harness.check(table: path, key: "id")
        #expect(try harness.query("SELECT COUNT(*) FROM orders") == [[.int(10)]])
    }
}
