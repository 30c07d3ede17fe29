import StreamCore
import Testing

@testable import StreamSQL

@Suite("CREATE TABLE LIKE and AS, ALTER TABLE") struct TableChangeTests {
    private static let base = """
        CREATE TABLE base (id INT, ts TIMESTAMP(3), twice AS id * 2, pos BIGINT METADATA FROM 'offset' VIRTUAL, k STRING,
          WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED)
        COMMENT 'the base' PARTITIONED BY (k) WITH ('connector' = 'memory', 'changes' = 'true');

        """

    private func create(_ harness: SQLHarness, _ table: String) throws -> TableDeclaration {
        guard case .table(let found)? = try harness.session.catalog.entry(ObjectPath(.standard, table)) else { return TableDeclaration() }
        return found.declaration
    }

    // MARK: LIKE

    @Test("LIKE takes everything over and overwrites options")
    func like() throws {
        let harness = try SQLHarness(Self.base + "CREATE TABLE t (more DOUBLE) WITH ('changes' = 'false') LIKE base;")
        let t = try create(harness, "t")
        #expect(t.columns.map(\.name) == ["id", "ts", "twice", "pos", "k", "more"])
        #expect(t.primaryKey == ["id"] && t.partitionKeys == ["k"] && t.watermark?.column == "ts" && t.comment == nil)
        #expect(t.options == ["connector": "memory", "changes": "false"])
    }

    @Test("LIKE leaves out and overwrites what it is told to")
    func likeOptions() throws {
        let harness = try SQLHarness(
            Self.base
                + """
                CREATE TABLE a (WATERMARK FOR ts AS ts) WITH ('connector' = 'memory') LIKE base (EXCLUDING ALL OVERWRITING WATERMARKS);
                CREATE TABLE b (twice AS id + id, WATERMARK FOR ts AS ts) LIKE base (OVERWRITING GENERATED OVERWRITING WATERMARKS EXCLUDING CONSTRAINTS);
                CREATE TABLE c (pos BIGINT METADATA FROM 'offset') LIKE base (EXCLUDING METADATA EXCLUDING PARTITIONS INCLUDING OPTIONS);
                """)
        let a = try create(harness, "a"), b = try create(harness, "b"), c = try create(harness, "c")
        #expect(a.columns.map(\.name) == ["id", "ts", "k"])
        #expect(a.watermark?.expression == "ts" && a.primaryKey.isEmpty && a.partitionKeys.isEmpty && a.options == ["connector": "memory"])
        #expect(b.columns[2].kind == .computed("id + id") && b.watermark?.expression == "ts" && b.primaryKey.isEmpty)
        #expect(c.columns.map(\.name) == ["id", "ts", "twice", "k", "pos"] && c.partitionKeys.isEmpty)
    }

    @Test(
        "what clashes is refused with the option that helps",
        arguments: [
            ("(id INT) LIKE base", "table base has a column id already"),
            ("(twice AS id) LIKE base", "table base has a column twice already"),
            ("(PRIMARY KEY (k) NOT ENFORCED) LIKE base", "table base has a primary key already"),
            ("(WATERMARK FOR ts AS ts) LIKE base", "table base has a watermark already, on column ts"),
            ("(x INT) PARTITIONED BY (x) LIKE base", "table base has partitions already"),
            ("(x INT) WITH ('changes' = 'false') LIKE base (INCLUDING OPTIONS)", "an option of table base is given again: 'true' and 'false'"),
            ("(x INT) LIKE base (OVERWRITING CONSTRAINTS)", "OVERWRITING CONSTRAINTS is no choice"),
            ("(x INT) LIKE base (INCLUDING OPTIONS EXCLUDING OPTIONS)", "LIKE says twice what to do with OPTIONS"),
            ("LIKE nowhere", "there is no table nowhere"),
        ])
    func likeClashes(text: String, problem: String) throws {
        let harness = try SQLHarness(Self.base)
        let error = try harness.error("CREATE TABLE t \(text)")
        #expect(error?.problem == problem)
        #expect(error?.location != nil)
    }

    // MARK: AS

    @Test("CREATE TABLE AS takes columns from the query, and more from the statement")
    func createAs() throws {
        let harness = try SQLHarness("CREATE TABLE s (a INT NOT NULL, b STRING) WITH ('connector' = 'memory');")
        harness.memory.fill("s", [[.int(1), .string("x")], [.int(2), .null]])
        try harness.run("CREATE TABLE t WITH ('connector' = 'memory') AS SELECT a, UPPER(b) AS u FROM s")
        #expect(try harness.shown("DESCRIBE t").map { Array($0[0...2]) } == [["a", "INT", "FALSE"], ["u", "STRING", "TRUE"]])
        #expect(SQLHarness.collapsed(harness.memory.sink("t")!.rows) == [[.int(1), .string("X")], [.int(2), .null]])
        try harness.run(
            """
            CREATE TABLE w (note STRING, double_a AS a * 2, a BIGINT, PRIMARY KEY (a) NOT ENFORCED) WITH ('connector' = 'memory') AS SELECT b, a FROM s
            """)
        #expect(try create(harness, "w").columns.map(\.name) == ["note", "double_a", "a", "b"])
        #expect(SQLHarness.collapsed(harness.memory.sink("w")!.rows) == [[.null, .int(1), .string("x")], [.null, .int(2), .null]])
        try harness.run("CREATE TABLE o (b, a) WITH ('connector' = 'memory') AS SELECT a, b FROM s")
        #expect(SQLHarness.collapsed(harness.memory.sink("o")!.rows) == [[.null, .int(2)], [.string("x"), .int(1)]])
    }

    @Test("REPLACE TABLE AS and CREATE OR REPLACE TABLE AS put another table in its place")
    func replaceAs() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT) WITH ('connector' = 'memory');")
        #expect(try harness.error("REPLACE TABLE u WITH ('connector' = 'memory') AS SELECT 1 AS x")?.fix == "write CREATE OR REPLACE TABLE")
        try harness.run("REPLACE TABLE t WITH ('connector' = 'memory') AS SELECT 1 AS x")
        #expect(try harness.names("DESCRIBE t") == ["x"])
        try harness.run("CREATE OR REPLACE TABLE t WITH ('connector' = 'memory') AS SELECT 1 AS y; CREATE OR REPLACE TABLE u WITH ('connector' = 'memory') AS SELECT 1 AS z")
        #expect(try harness.names("DESCRIBE t") == ["y"])
        #expect(try harness.names("DESCRIBE u") == ["z"])
    }

    @Test("a CREATE TABLE AS that cannot run leaves no table behind")
    func failedAs() throws {
        let harness = try SQLHarness("CREATE TABLE s (a INT, b STRING) WITH ('connector' = 'memory', 'unbounded' = 'true');")
        for text in [
            "WITH ('connector' = 'memory', 'changes' = 'false') AS SELECT a, COUNT(*) AS n FROM s GROUP BY a", "WITH ('connector' = 'nope') AS SELECT a FROM s",
            "(x, y) WITH ('connector' = 'memory') AS SELECT a, b FROM s",
            "(a AS 1) WITH ('connector' = 'memory') AS SELECT a FROM s", "(a, b)", "(a DATE) WITH ('connector' = 'memory') AS SELECT a FROM s",
        ] {
            #expect(try harness.error("CREATE TABLE t \(text)") != nil)
            #expect(try harness.names("SHOW TABLES") == ["s"], "\(text)")
        }
    }

    @Test("CREATE TABLE AS names repeated columns of its query apart")
    func repeatedNames() throws {
        let harness = try SQLHarness("CREATE TABLE s (a INT, b STRING) WITH ('connector' = 'memory');")
        try harness.run("CREATE TABLE t WITH ('connector' = 'memory') AS SELECT a, a, b AS a0 FROM s")
        #expect(try harness.names("SHOW COLUMNS FROM t") == ["a", "a0", "a00"])
    }

    // MARK: ALTER

    @Test("columns are added, moved, changed, renamed and dropped")
    func columns() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT, b STRING COMMENT 'b') WITH ('connector' = 'memory');")
        try harness.run("ALTER TABLE t ADD c DOUBLE; ALTER TABLE t ADD (x INT FIRST, y AS a + 1 AFTER a)")
        #expect(try harness.names("DESCRIBE t") == ["x", "a", "y", "b", "c"])
        try harness.run("ALTER TABLE t MODIFY b VARCHAR(9) AFTER c; ALTER TABLE t MODIFY (x BIGINT COMMENT 'wide', c DECIMAL(4, 1))")
        #expect(
            try harness.shown("DESCRIBE t").map { $0[0] + " " + $0[1] + " " + $0[6] } == [
                "x BIGINT wide", "a INT -", "y INT -", "c DECIMAL(4, 1) -", "b VARCHAR(9) b",
            ])
        #expect(try harness.error("ALTER TABLE t RENAME a TO z")?.problem == "column a is used by computed column y")
        #expect(try harness.error("ALTER TABLE t DROP a")?.problem == "column a is used by computed column y")
        try harness.run("ALTER TABLE t RENAME x TO z; ALTER TABLE t DROP (a, y)")
        #expect(try harness.names("DESCRIBE t") == ["z", "c", "b"])
        try harness.run("ALTER TABLE t DROP c; ALTER TABLE t RENAME TO u; ALTER TABLE IF EXISTS t DROP z")
        #expect(try harness.names("SHOW TABLES") == ["u"])
        for (change, problem) in [
            ("ADD z INT", "table u has a column z already"), ("MODIFY q INT", "table u has no column q"), ("DROP q", "table u has no column q"),
            ("RENAME b TO z", "table u has a column z already"), ("ADD q INT AFTER nope", "table u has no column nope"),
            ("ADD q AS nope + 1", "there is no column nope"), ("SET ('nope' = 'x')", "table u: connector 'memory' has no option 'nope'"),
            ("RESET ('connector')", "the connector of a table cannot be reset"), ("DROP WATERMARK", "table u has no watermark"),
            ("DROP PRIMARY KEY", "table u has no primary key"), ("RENAME TO default_catalog.other.u", "there is no database other"),
        ] {
            let error = try harness.error("ALTER TABLE u \(change)")
            #expect(error?.problem.hasPrefix(problem) == true, "\(change): \(error as Any)")
            #expect(error?.location?.line == 1 && error?.sourceLine?.hasPrefix("ALTER") == true)
        }
        #expect(try harness.names("DESCRIBE u") == ["z", "b"])
    }

    @Test("options, keys and watermarks are set and dropped")
    func features() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT NOT NULL, ts TIMESTAMP(3)) WITH ('connector' = 'memory');")
        try harness.run("ALTER TABLE t SET ('changes' = 'false', 'unbounded' = 'true'); ALTER TABLE t RESET ('unbounded')")
        #expect(try create(harness, "t").options == ["connector": "memory", "changes": "false"])
        try harness.run("ALTER TABLE t ADD (PRIMARY KEY (a) NOT ENFORCED, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)")
        #expect(try harness.shown("DESCRIBE t").map { $0[3...5].joined(separator: "|") } == ["PRI(a)|-|-", "-|-|`ts` - INTERVAL '1' SECOND"])
        #expect(try harness.error("ALTER TABLE t ADD WATERMARK FOR ts AS ts")?.problem == "table t has a watermark on column ts already")
        #expect(try harness.error("ALTER TABLE t ADD PRIMARY KEY (ts) NOT ENFORCED")?.problem == "table t has the primary key (a) already")
        #expect(try harness.error("ALTER TABLE t DROP ts")?.problem == "column ts is used by the watermark")
        #expect(try harness.error("ALTER TABLE t DROP a")?.problem == "column a is part of the primary key")
        try harness.run("ALTER TABLE t MODIFY WATERMARK FOR ts AS ts; ALTER TABLE t MODIFY CONSTRAINT k PRIMARY KEY (a, ts) NOT ENFORCED")
        #expect(try create(harness, "t").watermark?.expression == "ts")
        #expect(try create(harness, "t").primaryKey == ["a", "ts"])
        #expect(try harness.error("ALTER TABLE t DROP CONSTRAINT other")?.fix == "write \"k\"")
        try harness.run("ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t DROP WATERMARK")
        #expect(try create(harness, "t").primaryKey.isEmpty)
        #expect(try harness.shown("DESCRIBE t").map { $0[1] } == ["INT", "TIMESTAMP(3)"])
    }

    @Test("a temporary table is altered too")
    func temporary() throws {
        let harness = try SQLHarness("CREATE TEMPORARY TABLE t (a INT) WITH ('connector' = 'memory'); ALTER TABLE t ADD b INT; ALTER TABLE t RENAME TO u;")
        #expect(try harness.names("DESCRIBE u") == ["a", "b"])
        #expect(try harness.names("SHOW CREATE TABLE u")[0].hasPrefix("CREATE TEMPORARY TABLE `default_catalog`.`default_database`.`u` ("))
    }

    // MARK: INSERT

    @Test("INSERT fixes partition columns and takes hints")
    func insertPartition() throws {
        let harness = try SQLHarness(
            "CREATE TABLE t (a INT, k STRING, n INT) PARTITIONED BY (k, n) WITH ('connector' = 'memory', 'changes' = 'false');")
        try harness.run("INSERT INTO t PARTITION (k = 'x', n = 3) SELECT 1")
        #expect(SQLHarness.collapsed(harness.memory.sink("t")!.rows) == [[.int(1), .string("x"), .int(3)]])
        try harness.run("INSERT INTO t PARTITION (k, n = '4') (k, a) SELECT 'y', 2")
        #expect(SQLHarness.collapsed(harness.memory.sink("t")!.rows) == [[.int(2), .string("y"), .int(4)]])
        #expect(try harness.error("INSERT INTO t SELECT a, k, CAST(COUNT(*) AS INT) FROM t GROUP BY a, k")?.code == .plan)
        try harness.run("INSERT INTO t /*+ OPTIONS('changes' = 'true') */ SELECT a, k, CAST(COUNT(*) AS INT) FROM t GROUP BY a, k")
        #expect(try harness.error("INSERT INTO t /*+ OPTIONS('nope' = 'x') */ SELECT 1, 'a', 2")?.problem.contains("no option 'nope'") == true)
        #expect(try harness.error("INSERT INTO t PARTITION (a = 1) SELECT 'x', 2")?.problem == "table t is not partitioned by a")
        #expect(try harness.error("INSERT INTO t PARTITION (k = 'x') (k, a) SELECT 'y', 2")?.problem == "column k is fixed by PARTITION and listed too")
    }
}
