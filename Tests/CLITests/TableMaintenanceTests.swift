import Foundation
import Testing

@Suite("swiftwater table: maintenance") struct TableMaintenanceTests {
    /// Five commits of ten rows each, in two partitions.
    private func table(_ workspace: Workspace, operation: String = "upsert") throws -> String {
        let path = workspace.path("orders")
        for n in 0..<5 {
            try workspace.ok("sql", "-e", Self.declaration(path, operation) + """
                INSERT INTO orders SELECT CAST(id AS STRING), CASE WHEN MOD(id, 2) = 0 THEN 'oslo' ELSE 'lima' END, \(n)
                FROM (VALUES \((0..<10).map { "(\(n * 5 + $0))" }.joined(separator: ", "))) AS t(id);
                """)
        }
        return path
    }

    private static func declaration(_ path: String, _ operation: String) -> String {
        """
        CREATE TABLE orders (id STRING, city STRING, amount INT, PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (city)
        WITH ('connector' = 'hudi', 'path' = '\(path)', 'write.operation' = '\(operation)');
        """
    }

    private func instants(_ workspace: Workspace, _ path: String) throws -> [String] {
        try workspace.ok("table", "timeline", path, "--output", "json").objects().filter { $0["operation"] is String }.compactMap { $0["instant"] as? String }
    }

    private func rows(_ workspace: Workspace, _ path: String) throws -> Int {
        try #require(Int(try workspace.ok("table", "query", path, "SELECT COUNT(*) AS n FROM t", "--output", "csv").lines[1]))
    }

    @Test("clean, savepoint, restore and rollback")
    func goingBack() throws {
        let workspace = try Workspace(), path = try table(workspace), instants = try instants(workspace, path)
        #expect(instants.count == 5)
        #expect(try workspace.ok("table", "savepoint", "create", path, instants[1], "--comment", "second").out == instants[1] + "\n")
        let listed = try workspace.ok("table", "savepoint", "list", path, "--output", "json").objects()
        #expect(listed.count == 1 && listed[0]["comment"] as? String == "second" && listed[0]["files"] as? Int == 2)
        // A dry run does nothing.
        let dry = try workspace.ok("table", "clean", path, "--retain-versions", "1", "--dry-run", "--output", "json").objects()[0]
        #expect((dry["files"] as? [String])?.count == 6 && dry["dry_run"] as? Bool == true)
        let cleaned = try workspace.ok("table", "clean", path, "--retain-versions", "1")
        #expect(cleaned.lines.count == 7 && cleaned.lines[6].contains("6 files"))
        #expect(try workspace.ok("table", "clean", path, "--retain-versions", "1").out == "there is nothing to clean\n")
        try workspace.check(table: path, key: "id")
        // What is gone cannot be gone back to; the savepoint can.
        try workspace.run("table", "restore", path, "--to", instants[2]).expectOneError(containing: "was cleaned", "take \(instants[1])")
        try workspace.run("table", "restore", path, "--to", "20200101000000000").expectOneError(containing: "there is no commit 20200101000000000", instants[0])
        #expect(try workspace.ok("table", "restore", path, "--to", instants[1], "--dry-run").lines.count == 3)
        #expect(try rows(workspace, path) == 30)
        #expect(try workspace.ok("table", "restore", path, "--to", instants[1]).lines.count == 3)
        #expect(try rows(workspace, path) == 15)
        try workspace.check(table: path, key: "id")
        try workspace.run("table", "rollback", path).expectOneError(containing: "a savepoint keeps it", "savepoint")
        try workspace.run("table", "savepoint", "delete", path, instants[0]).expectOneError(containing: "there is no savepoint", instants[1])
        try workspace.ok("table", "savepoint", "delete", path, instants[1])
        try workspace.run("table", "rollback", path, instants[0]).expectOneError(containing: "is not the newest one")
        try workspace.run("table", "rollback", path).expectOneError(containing: "the snapshot of \(instants[0]) is not complete any more")
        try workspace.ok("sql", "-e", Self.declaration(path, "upsert") + "INSERT INTO orders VALUES ('1000', 'oslo', 1)")
        #expect(try rows(workspace, path) == 16)
        #expect(try workspace.ok("table", "rollback", path, "--output", "json").objects()[0]["operation"] as? String == "UPSERT")
        #expect(try rows(workspace, path) == 15)
        try workspace.check(table: path, key: "id")
        try workspace.run("table", "clean", workspace.path("nowhere")).expectOneError(containing: "there is no Hudi table at")
        try workspace.run("table", "clean", path, "--retain-versions", "1", "--retain-hours", "2").expectOneError(status: 64, containing: "give one of them")
    }

    @Test("cluster merges what inserts have scattered")
    func cluster() throws {
        let workspace = try Workspace(), path = try table(workspace, operation: "insert")
        let dry = try workspace.ok("table", "cluster", path, "--dry-run", "--output", "json").objects()[0]
        #expect((dry["replaced"] as? [String])?.count == 10 && dry["groups"] as? Int == 2)
        #expect(try workspace.ok("table", "cluster", path, "--sort-by", "amount, id").out.contains("10 files"))
        #expect(try workspace.ok("table", "cluster", path).out == "there are no small files to merge\n")
        #expect(try rows(workspace, path) == 50)
        #expect(try workspace.ok("table", "show", path, "--output", "json").objects()[0]["files"] as? Int == 2)
        try workspace.run("table", "cluster", path, "--sort-by", "amuont").expectOneError(containing: "no column amuont", "amount")
        try workspace.run("table", "cluster", path, "--target-size", "big").expectOneError(status: 64, containing: "big")
    }

    @Test("SQL replaces, changes and takes away rows")
    func statements() throws {
        let workspace = try Workspace(), path = try table(workspace)
        func sql(_ text: String) throws -> [String] { try workspace.ok("sql", "--output", "csv", "-e", Self.declaration(path, "upsert") + text).lines }
        #expect(try sql("UPDATE orders SET amount = amount * 10, city = 'pune' WHERE amount = 4; SELECT COUNT(*), SUM(amount), COUNT(DISTINCT city) FROM orders;")[1] == "30,430,3")
        #expect(try sql("DELETE FROM orders WHERE city = 'pune'; SELECT COUNT(*) FROM orders;")[1] == "20")
        #expect(try sql("INSERT OVERWRITE orders SELECT 'x', 'oslo', 1; SELECT city, COUNT(*) FROM orders GROUP BY city ORDER BY city;") == ["city,EXPR$1", "lima,10", "oslo,1"])
        #expect(try sql("INSERT OVERWRITE orders PARTITION (city = 'lima') SELECT id, amount FROM orders WHERE city = 'lima' AND amount > 100; SELECT COUNT(*) FROM orders;")[1] == "1")
        #expect(try sql("INSERT INTO orders VALUES ('y', 'rome', 2); ALTER TABLE orders DROP PARTITION (city = 'oslo'); SELECT id FROM orders;")[1] == "y")
        try workspace.run("sql", "-e", Self.declaration(path, "upsert") + "ALTER TABLE orders DROP PARTITION (city = 'oslo')").expectOneError(containing: "no such partition", "IF EXISTS")
        try workspace.run("sql", "-e", Self.declaration(path, "upsert") + "UPDATE orders SET id = 'z'").expectOneError(containing: "primary key")
        try workspace.run("sql", "-e", Self.declaration(path, "upsert") + "UPDATE orders SET amuont = 1").expectOneError(containing: "amuont", "amount")
        #expect(try sql("TRUNCATE TABLE orders; SELECT id FROM orders;").count <= 1)
        try workspace.check(table: path, key: "id")
    }
}
