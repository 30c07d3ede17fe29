import Foundation
import Testing

@Suite("Looking at tables") struct TableCommandTests {
    /// A table with three commits; their instants, oldest first.
    private func table(_ workspace: Workspace) throws -> [String] {
        let definition = """
            CREATE TABLE t (id INT, city STRING, amount BIGINT, PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (city)
            WITH ('connector' = 'hudi', 'path' = '\(workspace.path("t"))', 'hoodie.datasource.write.hive_style_partitioning' = 'true');
            """
        for rows in ["(1, 'oslo', 10), (2, 'oslo', 20), (3, 'lima', 30)", "(2, 'oslo', 25), (4, 'lima', 40)", "(1, 'lima', 10), (4, 'lima', 40)"] {
            try workspace.ok("sql", "-e", definition + "SET 'table.dml-sync' = 'true'; INSERT INTO t VALUES \(rows)")
        }
        return try workspace.ok("table", "timeline", workspace.path("t"), "--output", "json").objects().filter { $0["action"] as? String == "commit" }
            .compactMap { $0["instant"] as? String }
    }

    @Test("query as of an instant and between instants") func query() throws {
        let workspace = try Workspace(), instants = try table(workspace), path = workspace.path("t")
        #expect(instants.count == 3)
        func ids(_ options: String...) throws -> [Int] {
            let command = try workspace.start(["table", "query", path, "SELECT id FROM t ORDER BY id", "--output", "json"] + options).end()
            try #require(command.status == 0, "\(command)")
            return try command.objects().compactMap { $0["id"] as? Int }
        }
        #expect(try ids() == [1, 2, 3, 4])
        #expect(try ids("--as-of", instants[0]) == [1, 2, 3])
        #expect(try ids("--from", instants[0]) == [1, 2, 4])
        #expect(try ids("--from", instants[0], "--to", instants[1]) == [2, 4])
        let refused = try workspace.run("table", "query", path, "--as-of", "soon")
        #expect(refused.status != 0 && refused.errors.contains("is no instant"), "\(refused)")
    }

    @Test("diff shows what became of rows, by key") func diff() throws {
        let workspace = try Workspace(), instants = try table(workspace), path = workspace.path("t")
        let changes = try workspace.ok("table", "diff", path, instants[0], "latest", "--output", "json").objects()
        #expect(changes.map { "\($0["op"]!) \($0["key"]!)" } == ["update 1", "update 2", "insert 4"])
        let moved = try #require(changes[0]["before"] as? [String: Any]), to = try #require(changes[0]["after"] as? [String: Any])
        #expect(moved["city"] as? String == "oslo" && to["city"] as? String == "lima")
        #expect(changes[2]["before"] is NSNull && (changes[2]["after"] as? [String: Any])?["amount"] as? Int == 40)
        // What was written again as it was is no difference.
        #expect(try workspace.ok("table", "diff", path, instants[1], instants[2], "--output", "csv").out
            == "op,id,city,amount\n-U,1,oslo,10\n+U,1,lima,10\n")
        #expect(try workspace.ok("table", "diff", path, "earliest", instants[0], "--output", "csv").out.split(separator: "\n").count == 4)
        let shown = try workspace.ok("table", "diff", path, instants[0], instants[1]).out
        #expect(shown.contains("20 -> 25") && shown.contains("1 insert, 1 update, 0 deletes"), "\(shown)")
        let refused = try workspace.run("table", "diff", path, "latest", instants[0])
        #expect(refused.status != 0 && refused.errors.contains("later than"), "\(refused)")
    }

    @Test("files shows groups, versions and keys, also as they were") func files() throws {
        let workspace = try Workspace(), instants = try table(workspace), path = workspace.path("t")
        let now = try workspace.ok("table", "files", path, "--output", "json").objects()
        #expect(now.compactMap { $0["partition"] as? String }.sorted() == ["city=lima", "city=oslo"])
        let lima = try #require(now.first { $0["partition"] as? String == "city=lima" })
        #expect(lima["rows"] as? Int == 3 && lima["min_key"] as? String == "1" && lima["max_key"] as? String == "4" && lima["instant"] as? String == instants[2])
        #expect((lima["versions"] as? Int ?? 0) >= 2)
        let then = try workspace.ok("table", "files", path, "--as-of", instants[0], "--partition", "city=oslo", "--output", "json").objects()
        #expect(then.count == 1 && then[0]["rows"] as? Int == 2 && then[0]["instant"] as? String == instants[0])
        #expect(try workspace.ok("table", "files", path).out.contains("2 files, 4 rows"))
    }
}
