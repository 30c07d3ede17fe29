import Foundation
import Testing

@Suite("A catalog file") struct CatalogFileTests {
    private static let table = "CREATE TABLE t (v INT, d STRING) PARTITIONED BY (d) WITH ('connector' = 'filesystem', 'path' = 'data', 'format' = 'json');"

    @Test("what one command makes is there in the next, for sql and for run")
    func lasts() throws {
        let workspace = try Workspace()
        let made = try workspace.run("sql", "--catalog", "lake.catalog", "-e", Self.table + "CREATE VIEW big AS SELECT v FROM t WHERE v > 1; ALTER TABLE t RECOVER PARTITIONS")
        #expect(made.status == 0, "\(made)")
        try workspace.write("INSERT INTO t VALUES (1, 'x'), (2, 'y');", to: "fill.sql")
        let filled = try workspace.run("run", "fill.sql", "--catalog", "lake.catalog", "--quiet")
        #expect(filled.status == 0, "\(filled)")
        let read = try workspace.run("sql", "--catalog", "lake.catalog", "--output", "csv", "-e", "SHOW PARTITIONS t; SELECT v FROM big")
        #expect(read.status == 0 && read.lines.contains("d=x") && read.lines.contains("d=y") && read.lines.contains("2"), "\(read)")
        try workspace.run("sql", "-e", "SELECT v FROM big").expectOneError(containing: "there is no table or view big")
    }

    @Test("validate and plan leave the file as it is")
    func scratch() throws {
        let workspace = try Workspace()
        _ = try workspace.run("sql", "--catalog", "lake.catalog", "-e", Self.table)
        try workspace.write("DROP TABLE t; CREATE TABLE u (a INT) WITH ('connector' = 'print'); INSERT INTO u SELECT 1;", to: "change.sql")
        for command in ["validate", "plan"] {
            let outcome = try workspace.run(command, "change.sql", "--catalog", "lake.catalog")
            #expect(outcome.status == 0, "\(outcome)")
        }
        let shown = try workspace.run("sql", "--catalog", "lake.catalog", "--output", "csv", "-e", "SHOW TABLES")
        #expect(shown.lines.contains("t") && !shown.lines.contains("u"), "\(shown)")
    }

    @Test("a file that is no catalog is refused")
    func damaged() throws {
        let workspace = try Workspace()
        try workspace.write(String(repeating: "text ", count: 1_000), to: "bad")
        try workspace.run("sql", "--catalog", "bad", "-e", "SHOW TABLES").expectOneError(containing: "bad is damaged, or no catalog")
    }
}
