import Foundation
import HudiTable
import StreamCore
import Testing

/// Scenario 17 and what belongs to it: columns that come, go and widen while a table is being written.
@Suite("Schema evolution") struct EvolutionScenarios {
    private func table(_ path: String, _ columns: String = "object_id INT", name: String = "object") -> String {
        """
        CREATE TABLE \(name) (\(columns), `row` VARIANT METADATA, PRIMARY KEY (object_id) NOT ENFORCED)
        WITH ('connector' = 'hudi', 'path' = '\(path)', 'write.operation' = 'upsert');
        """
    }

    private func insert(_ harness: Harness, _ id: Int, _ row: String, into name: String = "object") throws {
        try harness.run("INSERT INTO \(name) SELECT * FROM (VALUES (\(id), PARSE_JSON('\(row)'))) AS v(object_id, r)")
    }

    @Test("17: three ALTER steps and four inserts: seven columns, old ones stay and read NULL, old files are not rewritten")
    func object() throws {
        let harness = try Harness()
        let path = harness.directory + "/object"
        try harness.run(table(path))
        try insert(harness, 1, #"{"object_name": "obj1", "object_description": "Object-1", "new_column_add": "", "new_field_1": "", "object_id": 1}"#)
        let first = try HudiTable.open(path).baseFiles.map(\.path)
        try insert(harness, 2, #"{"object_name": "obj2", "test_column": 22, "object_description": "test-2", "new_column_add": "", "new_field_1": "", "object_id": 2}"#)
        try insert(harness, 3, #"{"object_name": "obj3", "test_column": 33, "object_description": "test-3", "new_column_add": "", "new_field_2": "new-3", "object_id": 3}"#)
        try insert(harness, 4, #"{"object_name": "obj4", "test_column": 44, "object_description": "test-4", "new_column_add": "", "object_id": 4}"#)
        try harness.check(table: path, key: "object_id")
        let columns = try HudiTable.open(path).schema.map(\.name)
        #expect(Set(columns) == ["object_id", "object_name", "object_description", "new_column_add", "new_field_1", "test_column", "new_field_2"])
        #expect(columns.count == 7)
        #expect(first.count == 1)
        func row(_ id: Int) throws -> String {
            try Harness.independent(path, """
                SELECT CONCAT_WS('|', object_name, object_description, new_column_add, COALESCE(new_field_1, 'NULL'), COALESCE(CAST(test_column AS VARCHAR), 'NULL'),
                  COALESCE(new_field_2, 'NULL')) FROM t WHERE object_id = \(id)
                """)
        }
        #expect(try row(1) == "obj1|Object-1|||NULL|NULL")
        #expect(try row(2) == "obj2|test-2|||22|NULL")
        #expect(try row(3) == "obj3|test-3||NULL|33|new-3")
        #expect(try row(4) == "obj4|test-4||NULL|44|NULL")
    }

    @Test("integers widen to doubles; what a column cannot hold is refused with its name, and leaves the table as it was")
    func widening() throws {
        let harness = try Harness()
        let path = harness.directory + "/object"
        try harness.run(table(path))
        try insert(harness, 1, #"{"amount": 5, "tags": ["a", 1], "flag": true}"#)
        try insert(harness, 2, #"{"amount": 5.5, "big": 12345678901234567.123, "deep": {"x": {"y": 1}}}"#)
        #expect(try HudiTable.open(path).schema.map { "\($0.name) \($0.type)" } == [
            "object_id INT", "amount DOUBLE", "flag BOOLEAN", "tags STRING", "big DECIMAL(38, 18)", "deep STRING",
        ])
        #expect(try Harness.independent(path, "SELECT SUM(amount) FROM t") == "10.5")
        #expect(try Harness.independent(path, "SELECT tags FROM t WHERE object_id = 1") == #"["a",1]"#)
        #expect(try Harness.independent(path, "SELECT deep FROM t WHERE object_id = 2") == #"{"x":{"y":1}}"#)
        #expect(try Harness.independent(path, "SELECT CAST(big AS VARCHAR) FROM t WHERE object_id = 2").hasPrefix("12345678901234567.123"))
        for (row, name) in [(#"{"amount": "five"}"#, "amount"), (#"{"flag": 1}"#, "flag"), (#"{"Flag": true}"#, "Flag"), (#"{"big": 1e60}"#, "big")] {
            do {
                try insert(harness, 9, row)
                Issue.record("\(row) was taken")
            } catch {
                #expect("\(error)".contains("'\(name)'"), "\(error)")
            }
        }
        #expect(try Harness.independent(path, "SELECT COUNT(*) FROM t") == "2")
        try harness.check(table: path, key: "object_id")
    }

    @Test("several images in one batch, also when columns come in the middle of it; deletes need none; declared columns win")
    func batches() throws {
        let harness = try Harness()
        let path = harness.directory + "/object"
        try harness.run(table(path, "object_id INT, name STRING"))
        try harness.run("""
            INSERT INTO object SELECT id, n, PARSE_JSON(j) FROM (VALUES (1, 'a', '{"a": 1, "name": 7}'), (2, 'b', '{"b": "x"}'), (3, 'c', '{"a": 2, "c": 1.25}'), (1, 'd', '{"a": null, "b": "y"}')) AS v(id, n, j)
            """)
        #expect(try HudiTable.open(path).schema.map { "\($0.name) \($0.type)" } == ["object_id INT", "name STRING", "a BIGINT", "b STRING", "c DOUBLE"])
        #expect(try Harness.independent(path, "SELECT STRING_AGG(CONCAT_WS('|', name, a, b, c), ';' ORDER BY object_id) FROM t") == "d|y;b|x;c|2|1.25")
        try harness.check(table: path, key: "object_id")
    }

    @Test("a declaration may put columns in another order, add new ones anywhere, and leave columns out when it says so")
    func declarations() throws {
        let harness = try Harness()
        let path = harness.directory + "/t"
        func declare(_ name: String, _ columns: String, _ more: String = "") throws {
            try harness.run("CREATE TABLE \(name) (\(columns), PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(path)'\(more))")
        }
        try declare("first_t", "id INT, a INT, b STRING")
        try harness.run("INSERT INTO first_t VALUES (1, 10, 'x')")
        try declare("second_t", "b STRING, fresh DATE, a BIGINT, id INT")
        try harness.run("INSERT INTO second_t VALUES ('y', DATE '2024-01-02', 5000000000, 2)")
        #expect(try HudiTable.open(path).schema.map { "\($0.name) \($0.type)" } == ["id INT", "a BIGINT", "b STRING", "fresh DATE"])
        try declare("third_t", "id INT, b STRING")
        #expect(throws: StreamError.self) { try harness.run("INSERT INTO third_t VALUES (3, 'z')") }
        try declare("fourth_t", "id INT, b STRING", ", 'hoodie.write.set.null.for.missing.columns' = 'true'")
        try harness.run("INSERT INTO fourth_t VALUES (4, 'z')")
        #expect(try harness.query("SELECT id, a, b, fresh FROM second_t ORDER BY id").map { "\($0)" } == [
            [.int(1), .int(10), .string("x"), .null], [.int(2), .int(5_000_000_000), .string("y"), .int(19_724)], [.int(4), .null, .string("z"), .null],
        ].map { (row: [Value]) in "\(row)" })
        try harness.check(table: path, key: "id")
    }
}
