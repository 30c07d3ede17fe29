import StreamCore
import Testing

@testable import StreamSQL

/// The rows of a SHOW or DESCRIBE as text; NULL is "-".
func shownRows(_ result: StatementResult) -> [[String]] {
    guard case .rows(_, let rows) = result else { return [] }
    return rows.map { row in
        row.map { value in
            switch value {
            case .string(let text): text
            case .bool(let b): b ? "TRUE" : "FALSE"
            case .null: "-"
            default: "\(value)"
            }
        }
    }
}

extension SQLHarness {
    func shown(_ statement: String) throws -> [[String]] { shownRows(try run(statement)) }
    func names(_ statement: String) throws -> [String] { try shown(statement).map { $0[0] } }
}

@Suite("Catalogs and databases") struct CatalogStatementTests {
    private static let memory = "WITH ('connector' = 'memory')"

    @Test("databases are made, used, described and dropped")
    func databases() throws {
        let harness = try SQLHarness("CREATE DATABASE shop COMMENT 'orders' WITH ('owner' = 'me'); CREATE DATABASE IF NOT EXISTS shop;")
        #expect(try harness.names("SHOW DATABASES") == ["default_database", "shop"])
        #expect(try harness.names("SHOW CURRENT DATABASE") == ["default_database"])
        try harness.run("USE shop; CREATE TABLE t (a INT) \(Self.memory)")
        #expect(try harness.names("SHOW CURRENT DATABASE") == ["shop"])
        #expect(try harness.names("SHOW TABLES") == ["t"])
        #expect(try harness.names("SHOW TABLES FROM default_catalog.default_database").isEmpty)
        try harness.run("USE default_catalog.default_database")
        #expect(try harness.error("SELECT a FROM t")?.problem == "there is no table or view t")
        try harness.run("SELECT a FROM shop.t; SELECT a FROM default_catalog.shop.t; SELECT t.a FROM shop.t")
        try harness.run("ALTER DATABASE shop SET ('owner' = 'you', 'region' = 'eu')")
        #expect(
            try harness.shown("DESCRIBE DATABASE EXTENDED shop") == [
                ["catalog name", "default_catalog"], ["database name", "shop"], ["comment", "orders"], ["option:owner", "you"],
                ["option:region", "eu"],
            ])
        #expect(
            try harness.names("SHOW CREATE DATABASE shop") == [
                "CREATE DATABASE `default_catalog`.`shop` COMMENT 'orders'\nWITH (\n  'owner' = 'you',\n  'region' = 'eu'\n)"
            ])
        #expect(try harness.error("DROP DATABASE shop")?.problem == "database shop is not empty: it has t")
        #expect(try harness.error("DROP DATABASE default_database")?.problem == "default_database cannot be dropped")
        #expect(try harness.error("CREATE DATABASE shop")?.problem == "database shop exists already")
        #expect(try harness.error("USE shpo")?.fix == "write \"shop\"")
        try harness.run("DROP DATABASE shop CASCADE; DROP DATABASE IF EXISTS shop")
        #expect(try harness.names("SHOW DATABASES") == ["default_database"])
        #expect(try harness.error("DROP DATABASE shop")?.problem == "there is no database shop")
    }

    @Test("catalogs are made, used, described and dropped")
    func catalogs() throws {
        let harness = try SQLHarness(
            "CREATE CATALOG lake COMMENT 'all' WITH ('type' = 'generic_in_memory', 'default-database' = 'raw'); USE CATALOG lake;")
        #expect(try harness.names("SHOW CATALOGS") == ["default_catalog", "lake"])
        #expect(try harness.names("SHOW CURRENT CATALOG") == ["lake"])
        #expect(try harness.names("SHOW CURRENT DATABASE") == ["raw"])
        try harness.run("CREATE TABLE t (a INT) \(Self.memory); CREATE DATABASE other; CREATE TABLE other.t (b INT) \(Self.memory)")
        harness.memory.fill("t", [[.int(7)]])
        #expect(try harness.rows("SELECT x.a, y.b FROM t AS x JOIN lake.other.t AS y ON x.a = y.b") == [[.int(7), .int(7)]])
        #expect(try harness.names("SHOW DATABASES IN lake LIKE 'o%'") == ["other"])
        #expect(
            try harness.shown("DESCRIBE CATALOG EXTENDED lake") == [
                ["name", "lake"], ["type", "generic_in_memory"], ["comment", "all"], ["option:default-database", "raw"],
            ])
        #expect(
            try harness.names("SHOW CREATE CATALOG lake") == [
                "CREATE CATALOG `lake` COMMENT 'all'\nWITH (\n  'default-database' = 'raw',\n  'type' = 'generic_in_memory'\n)"
            ])
        #expect(try harness.error("DROP CATALOG lake")?.problem == "catalog lake is the current one")
        #expect(try harness.error("CREATE CATALOG lake WITH ('type' = 'hive')")?.problem == "catalog lake exists already")
        #expect(try harness.error("CREATE CATALOG c WITH ('type' = 'hvie')")?.problem == "catalog c: there is no catalog type 'hvie'")
        #expect(try harness.error("CREATE CATALOG c WITH ('typ' = 'x')")?.problem == "catalog c has no option 'type'")
        #expect(try harness.error("USE CATALOG lkae")?.fix == "write \"lake\"")
        #expect(try harness.error("SELECT 1 FROM nowhere.db.t")?.problem == "there is no catalog nowhere")
        try harness.run("ALTER CATALOG lake COMMENT 'new'; USE CATALOG default_catalog; DROP CATALOG lake; DROP CATALOG IF EXISTS lake")
        #expect(try harness.names("SHOW CATALOGS") == ["default_catalog"])
    }

    @Test("a temporary object hides a lasting one of its name, and must be dropped as such")
    func temporary() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT) \(Self.memory); CREATE TEMPORARY TABLE t (b STRING) \(Self.memory);")
        #expect(try harness.names("SHOW TABLES") == ["t"])
        #expect(try harness.names("DESCRIBE t") == ["b"])
        #expect(try harness.error("DROP TABLE t")?.fix == "write DROP TEMPORARY TABLE t")
        try harness.run("DROP TEMPORARY TABLE t")
        #expect(try harness.names("DESCRIBE t") == ["a"])
        #expect(try harness.error("DROP TEMPORARY TABLE t")?.problem == "there is no temporary table t")
        try harness.run("CREATE TEMPORARY VIEW v AS SELECT a FROM t; CREATE VIEW v AS SELECT a + 1 AS c FROM t")
        #expect(try harness.names("DESCRIBE v") == ["a"])
        try harness.run("DROP TEMPORARY VIEW v")
        #expect(try harness.names("DESCRIBE v") == ["c"])
    }

    @Test("the names in a view are looked for where it was made")
    func viewNames() throws {
        let harness = try SQLHarness(
            """
            CREATE DATABASE a; CREATE DATABASE b; USE a; CREATE TABLE t (x INT) \(Self.memory); CREATE VIEW v AS SELECT x FROM t;
            USE b; CREATE VIEW v AS SELECT x FROM a.v;
            """)
        harness.memory.fill("t", [[.int(1)]])
        #expect(try harness.rows("SELECT x FROM v") == [[.int(1)]])
        try harness.run("CREATE OR REPLACE VIEW v (y) COMMENT 'twice' AS SELECT x * 2 FROM a.t")
        #expect(try harness.rows("SELECT y FROM v") == [[.int(2)]])
        #expect(
            try harness.names("SHOW CREATE VIEW v") == [
                "CREATE VIEW `default_catalog`.`b`.`v` (\n  `y`\n) COMMENT 'twice'\nAS SELECT x * 2 FROM a.t"
            ])
        try harness.run("ALTER VIEW v AS SELECT x * 3 AS z FROM a.t; ALTER VIEW v RENAME TO w")
        #expect(try harness.rows("SELECT z FROM w") == [[.int(3)]])
        #expect(try harness.error("CREATE OR REPLACE VIEW w AS SELECT * FROM w")?.problem == "view w reads itself")
        #expect(try harness.error("SHOW CREATE TABLE w")?.fix == "write SHOW CREATE VIEW w")
        #expect(try harness.error("ALTER VIEW a.t RENAME TO u")?.fix == "write ALTER TABLE t")
        #expect(try harness.error("DROP TABLE w")?.problem == "w is a view")
    }

    @Test("equal tables of two databases are two tables in a job")
    func equalNames() throws {
        let harness = try SQLHarness(
            """
            CREATE DATABASE a; CREATE DATABASE b;
            CREATE TABLE a.t (x INT, k STRING) WITH ('connector' = 'memory'); CREATE TABLE b.t (k STRING, x INT) WITH ('connector' = 'memory');
            """)
        let text = try harness.explain("SELECT x FROM a.t UNION ALL SELECT x FROM b.t")
        #expect(text.contains("Scan(default_catalog.a.t: x)") && text.contains("Scan(default_catalog.b.t: x)"))
        #expect(text.components(separatedBy: "Source: default_catalog.").count == 3)
    }

    @Test("SHOW filters names")
    func filters() throws {
        let harness = try SQLHarness(
            """
            CREATE TABLE person (a INT, b_c STRING, bxc INT) \(Self.memory); CREATE TABLE dim (a INT) \(Self.memory); CREATE VIEW Persons AS SELECT a FROM dim;
            """)
        #expect(try harness.names("SHOW TABLES LIKE 'p%'") == ["person"])
        #expect(try harness.names("SHOW TABLES NOT LIKE 'p%'") == ["Persons", "dim"])
        #expect(try harness.names("SHOW TABLES ILIKE 'P_rson%'") == ["Persons", "person"])
        #expect(try harness.names("SHOW VIEWS ILIKE 'p%'") == ["Persons"])
        #expect(try harness.names("SHOW COLUMNS FROM person LIKE 'b%'") == ["b_c", "bxc"])
        #expect(try harness.shown("SHOW COLUMNS IN person LIKE 'b\\_%'") == [["b_c", "STRING", "TRUE", "-", "-", "-"]])
        #expect(try harness.names("SHOW FUNCTIONS LIKE 'UPPE_'") == ["UPPER"])
        #expect(try harness.names("SHOW MODULES") == ["core"])
        #expect(try harness.shown("SHOW FULL MODULES") == [["core", "TRUE"]])
        #expect(try harness.names("SHOW JARS").isEmpty)
        #expect(try harness.names("SHOW JOBS").isEmpty)
        harness.session.jobs = { [JobListing(id: "1", name: "j", status: "RUNNING", start: 0)] }
        #expect(try harness.names("SHOW JOBS") == ["1"])
    }

    @Test("functions are kept, shown, altered and dropped; those in Java cannot be called")
    func functions() throws {
        let harness = try SQLHarness(
            """
            CREATE FUNCTION twice AS 'm.twice' LANGUAGE PYTHON USING FILE '/x/m.py'; CREATE TEMPORARY FUNCTION thrice AS 'Thrice' LANGUAGE SWIFT;
            CREATE TEMPORARY SYSTEM FUNCTION IF NOT EXISTS four AS 'Four' LANGUAGE SWIFT; CREATE FUNCTION IF NOT EXISTS TWICE AS 'n' LANGUAGE PYTHON;
            """)
        #expect(try harness.names("SHOW USER FUNCTIONS") == ["four", "thrice", "twice"])
        #expect(try harness.names("SHOW FUNCTIONS").contains("twice") && harness.names("SHOW FUNCTIONS").contains("UPPER"))
        #expect(
            try harness.shown("DESCRIBE FUNCTION EXTENDED twice") == [
                ["is system function", "false"], ["is temporary", "false"], ["class name", "m.twice"], ["function language", "PYTHON"],
                ["resource uris", "/x/m.py"],
            ])
        #expect(try harness.shown("DESCRIBE FUNCTION UPPER")[0] == ["is system function", "true"])
        let catalog = harness.session.catalog
        #expect(try catalog.function("Twice")?.resources == [.init(kind: "FILE", path: "/x/m.py")])
        try harness.run("ALTER FUNCTION twice AS 'm.other' LANGUAGE PYTHON; ALTER FUNCTION IF EXISTS nope AS 'x' LANGUAGE PYTHON")
        #expect(try catalog.function("twice")?.identifier == "m.other")
        #expect(try harness.error("CREATE FUNCTION f AS 'f' LANGUAGE PYTHON USING JAR '/a.jar'")?.problem == "not supported yet: USING JAR")
        #expect(try harness.error("DROP FUNCTION thrice")?.fix == "write DROP TEMPORARY FUNCTION thrice")
        #expect(try harness.error("CREATE FUNCTION twice AS 'x' LANGUAGE PYTHON")?.problem == "function twice exists already")
        try harness.run("DROP FUNCTION twice; DROP TEMPORARY FUNCTION thrice; DROP TEMPORARY SYSTEM FUNCTION four; DROP FUNCTION IF EXISTS twice")
        #expect(try harness.names("SHOW USER FUNCTIONS").isEmpty)
        #expect(try harness.error("DROP FUNCTION twice")?.problem == "there is no function twice")
    }

    @Test("functions of the catalog are offered to the resolver, and calls find what it registers")
    func resolver() throws {
        let harness = try SQLHarness()
        harness.session.catalog.functionResolver = { function, registry in
            guard function.identifier == "builtin.upper" else { throw StreamError(.validate, "there is no \(function.identifier)") }
            var registry = registry
            let known = registry
            registry.register(function.name.uppercased()) { arguments, options in try known.bind("UPPER", arguments, options: options) }
            return registry
        }
        try harness.run("CREATE FUNCTION shout AS 'builtin.upper' LANGUAGE SWIFT")
        #expect(try harness.rows("SELECT shout('a')") == [[.string("A")]])
        #expect(try harness.error("CREATE FUNCTION f AS 'nope' LANGUAGE SWIFT")?.problem == "there is no nope")
    }

    @Test(
        "what cannot run is refused by name, with the nearest form",
        arguments: [
            "DELETE FROM t WHERE a = 1", "TRUNCATE TABLE t", "UPDATE t SET a = 1", "MERGE INTO t USING u ON x = y", "CALL p()", "COMPILE PLAN 'p' FOR INSERT INTO t SELECT 1",
            "EXECUTE PLAN 'p'", "CREATE MODEL m", "CREATE MATERIALIZED TABLE m AS SELECT 1", "DROP MODEL m", "ALTER MATERIALIZED TABLE m SUSPEND",
            "SHOW PROCEDURES", "SHOW MODELS", "DESCRIBE JOB 'x'", "STOP JOB 'x'", "CREATE OR REPLACE TABLE t (a INT)", "EXPLAIN PLAN_ADVICE SELECT 1",
            "CREATE TABLE u (a INT) DISTRIBUTED BY (a)", "SHOW PARTITIONS p", "ALTER TABLE p ADD PARTITION (a = 1)",
            "SELECT * FROM t TABLESAMPLE BERNOULLI (10)", "SELECT * FROM p PIVOT (SUM(b) FOR a IN (1, 2))",
            "SELECT * FROM p UNPIVOT (v FOR k IN (a, b))", "SELECT JSON_ARRAYAGG(a ORDER BY b) FROM p",
        ])
    func refused(statement: String) throws {
        let harness = try SQLHarness(
            "CREATE TABLE t (a INT) \(Self.memory); CREATE TABLE p (a INT, b INT) PARTITIONED BY (a) \(Self.memory);")
        let error = try harness.error(statement)
        #expect(error?.problem.hasPrefix("not supported yet: ") == true && error?.fix != nil && error?.location != nil, "\(error as Any)")
    }

    @Test("what means nothing here is done, told once, and written as it was")
    func idle() throws {
        let harness = try SQLHarness()
        for statement in ["ADD JAR '/a.jar'", "ADD JAR /opt/x-1.0.jar", "REMOVE JAR '/a.jar'", "LOAD MODULE hive WITH ('hive-version' = '3')", "UNLOAD MODULE core", "USE MODULES hive, core"] {
            try harness.run("\(statement); \(statement)")
            let notices = harness.session.notices.take()
            #expect(notices.count == 1 && notices[0].hasPrefix("\(statement) means nothing here: "), "\(notices)")
            guard case .catalog(let parsed) = try SQLParser(text: statement).parseStatement().node else {
            Issue.record("\(statement)")
            return
        }
            #expect(SQLWriter().text(parsed) == statement)
        }
        #expect(try harness.error("ADD JARS '/a.jar'")?.code == .parse && harness.error("LOAD MODUL x")?.fix == "write \"MODULE\"")
    }

    @Test("a statement behind a JAR or a module is never taken as part of it", arguments: [
        ("ADD JAR /opt/x.jar\nINSERT INTO o VALUES (1);", 2), ("REMOVE JAR '/opt/x.jar'\nINSERT INTO o VALUES (1);", 2), ("ADD JAR /opt/x.jar INSERT INTO o VALUES (1);", 1),
        ("ADD JAR\nINSERT INTO o VALUES (1);", 2), ("ADD JAR -- none\nINSERT INTO o VALUES (1);", 2), ("LOAD MODULE hive\nINSERT INTO o VALUES (1);", 2),
        ("LOAD MODULE hive WITH ('hive-version' = '3')\nINSERT INTO o VALUES (1);", 2), ("UNLOAD MODULE core\nINSERT INTO o VALUES (1);", 2), ("USE MODULES hive, core\nINSERT INTO o VALUES (1);", 2),
        ("UNLOAD MODULE core WITH ('a' = 'b')", 1), ("LOAD MODULE 'hive'", 1), ("ADD JAR;", 1),
    ])
    func missingSemicolon(script: String, line: Int) throws {
        let error = #expect(throws: StreamError.self) { try SQLParser(text: script).parseScript() }
        #expect(error?.code == .parse && error?.location?.line == line, "\(error as Any)")
    }

    @Test("the path of a JAR ends with its line, a semicolon or a comment")
    func jarPaths() throws {
        let script = "ADD JAR /opt/a-1.0.jar; ADD JAR hdfs://h:1/b.jar -- of the team\n; REMOVE JAR '/opt/my c.jar'; add jar /opt/d.jar\n"
        let texts = try SQLParser(text: script).parseScript().map(\.text)
        #expect(texts == ["ADD JAR /opt/a-1.0.jar", "ADD JAR hdfs://h:1/b.jar", "REMOVE JAR '/opt/my c.jar'", "add jar /opt/d.jar"])
    }

    @Test("STOP JOB asks the program that runs the jobs")
    func stopJob() throws {
        let harness = try SQLHarness()
        #expect(try harness.error("STOP JOB 'a1' WITH SAVEPOINT")?.fix == "stop the job from the command line: swiftwater stop JOB")
        harness.session.stopJob = { "\($0) \($1) \($2)" }
        for (statement, told) in [("STOP JOB 'a1'", "a1 false false"), ("STOP JOB 'a1' WITH SAVEPOINT", "a1 true false"), ("STOP JOB 'a1' WITH SAVEPOINT WITH DRAIN", "a1 true true")] {
            guard case .message(let text) = try harness.run(statement) else {
            Issue.record("\(statement)")
            return
        }
            #expect(text == told)
            guard case .catalog(let parsed) = try SQLParser(text: statement).parseStatement().node else {
            Issue.record("\(statement)")
            return
        }
            #expect(SQLWriter().text(parsed) == statement)
        }
        harness.session.stopJob = { id, _, _ in throw StreamError(.validate, "there is no job \(id)") }
        #expect(try harness.error("STOP JOB 'a2'")?.location?.column == 1)
    }

    @Test("ANALYZE has nothing to do")
    func analyze() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT) \(Self.memory);")
        for form in ["TABLE t COMPUTE STATISTICS", "TABLE t COMPUTE STATISTICS FOR COLUMNS a", "TABLES COMPUTE STATISTICS FOR ALL COLUMNS"] {
            guard case .message(let text) = try harness.run("ANALYZE \(form)") else { continue }
            #expect(text.hasPrefix("no statistics are needed"))
        }
        #expect(try harness.error("ANALYZE TABLE u COMPUTE STATISTICS")?.problem == "there is no table u")
    }

    @Test("EXPLAIN reads its details")
    func explainDetails() throws {
        let statement = try SQLParser(text: "EXPLAIN CHANGELOG_MODE, ESTIMATED_COST SELECT 1").parseStatement()
        guard case .explain(let inner, let details) = statement.node else {
            Issue.record("explain")
            return
        }
        #expect(details == [.changelogMode, .estimatedCost] && inner.text == "SELECT 1")
    }
}
