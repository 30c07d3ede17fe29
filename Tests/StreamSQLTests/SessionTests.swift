import StreamCore
import Testing
@testable import StreamSQL

@Suite("A session") struct SessionTests {
    static let orders = """
        CREATE TABLE orders (id INT, `user` STRING COMMENT 'who', price DECIMAL(10, 2) NOT NULL, ts TIMESTAMP(3), day_of AS CAST(ts AS DATE),
          pos BIGINT METADATA FROM 'offset' VIRTUAL, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND, PRIMARY KEY (id) NOT ENFORCED)
        COMMENT 'all orders' PARTITIONED BY (`user`) WITH ('connector' = 'memory', 'properties.x' = 'it''s');

        """

    private func texts(_ result: StatementResult) -> [[String]] {
        guard case .rows(_, let rows) = result else { return [] }
        return rows.map { row in
            row.map { value in
                switch value {
                case .string(let text): text
                case .bool(let b): b ? "TRUE" : "FALSE"
                default: "-"
                }
            }
        }
    }

    @Test("DESCRIBE tells types, keys, expressions and the watermark")
    func describe() throws {
        let harness = try SQLHarness(Self.orders)
        #expect(
            texts(try harness.run("DESCRIBE orders")) == [
                ["id", "INT", "FALSE", "PRI(id)", "-", "-", "-"],
                ["user", "STRING", "TRUE", "-", "-", "-", "who"],
                ["price", "DECIMAL(10, 2)", "FALSE", "-", "-", "-", "-"],
                ["ts", "TIMESTAMP(3) *ROWTIME*", "TRUE", "-", "-", "`ts` - INTERVAL '5' SECOND", "-"],
                ["day_of", "DATE", "TRUE", "-", "AS CAST(`ts` AS DATE)", "-", "-"],
                ["pos", "BIGINT", "TRUE", "-", "METADATA FROM 'offset' VIRTUAL", "-", "-"],
            ])
        try harness.run("CREATE VIEW v (u, n) AS SELECT `user`, COUNT(*) FROM orders GROUP BY `user`")
        #expect(
            texts(try harness.run("DESCRIBE v")) == [["u", "STRING", "TRUE", "-", "-", "-"], ["n", "BIGINT", "FALSE", "-", "-", "-"]])
    }

    @Test("SHOW CREATE TABLE gives a statement that makes the table again")
    func showCreate() throws {
        let harness = try SQLHarness(Self.orders)
        let text = texts(try harness.run("SHOW CREATE TABLE orders"))[0][0]
        #expect(
            text == """
                CREATE TABLE `default_catalog`.`default_database`.`orders` (
                  `id` INT NOT NULL,
                  `user` VARCHAR(2147483647) COMMENT 'who',
                  `price` DECIMAL(10, 2) NOT NULL,
                  `ts` TIMESTAMP(3),
                  `day_of` AS CAST(`ts` AS DATE),
                  `pos` BIGINT METADATA FROM 'offset' VIRTUAL,
                  WATERMARK FOR `ts` AS `ts` - INTERVAL '5' SECOND,
                  CONSTRAINT `PK_id` PRIMARY KEY (`id`) NOT ENFORCED
                )
                COMMENT 'all orders'
                PARTITIONED BY (`user`)
                WITH (
                  'connector' = 'memory',
                  'properties.x' = 'it''s'
                )
                """)
        try harness.run("DROP TABLE orders")
        try harness.run(text)
        #expect(texts(try harness.run("SHOW CREATE TABLE orders"))[0][0] == text)
    }

    @Test("definitions come and go, and names are case-sensitive")
    func definitions() throws {
        let harness = try SQLHarness("CREATE TABLE t (a INT) WITH ('connector' = 'memory'); CREATE VIEW v AS SELECT a FROM t;")
        #expect(texts(try harness.run("SHOW TABLES")) == [["t"], ["v"]])
        #expect(texts(try harness.run("SHOW VIEWS")) == [["v"]])
        #expect(try harness.error("CREATE TABLE t (a INT) WITH ('connector' = 'memory')")?.problem == "t exists already")
        try harness.run("CREATE TABLE IF NOT EXISTS t (b INT) WITH ('connector' = 'memory')")
        #expect(try harness.error("SELECT a FROM T")?.fix == "write \"t\"")
        try harness.run("SELECT a FROM default_catalog.default_database.t")
        #expect(try harness.error("SELECT a FROM other.t")?.problem == "there is no database other")
        try harness.run("DROP VIEW v; DROP TABLE t; DROP TABLE IF EXISTS t")
        #expect(try harness.error("DROP TABLE t")?.problem == "there is no table t")
        #expect(texts(try harness.run("SHOW TABLES")).isEmpty)
    }

    @Test("settings are checked, shown and reset")
    func settings() throws {
        let harness = try SQLHarness()
        try harness.run(
            "SET 'table.local-time-zone' = 'Europe/Berlin'; SET 'parallelism.default' = '3'; SET 'table.exec.source.idle-timeout' = '10 s'")
        #expect(harness.session.settings.timeZone == "Europe/Berlin")
        #expect(harness.session.settings.parallelism == 3)
        #expect(harness.session.settings.idleTimeout == .seconds(10))
        #expect(texts(try harness.run("SET")).count == 3)
        try harness.run("SET 'table.exec.simplify-operator-name-enabled' = 'true'")
        #expect(harness.session.notices.take() == ["setting 'table.exec.simplify-operator-name-enabled' means nothing here: plans are improved by rules of this engine's own"])
        #expect(
            try harness.error("SET 'parallelism.default' = '0'")?.problem == "'parallelism.default' = '0' is not a number from 1 to 4096")
        #expect(try harness.error("SET 'table.local-time-zone' = 'Mars/Olympus'") != nil)
        try harness.run("RESET 'parallelism.default'")
        #expect(harness.session.settings.parallelism == 1)
        #expect(harness.session.settings.timeZone == "Europe/Berlin")
        try harness.run("RESET")
        #expect(harness.session.settings.timeZone == "UTC")
    }

    @Test("older names of settings are taken as the newer ones, and the one that was set last counts")
    func olderNames() throws {
        let harness = try SQLHarness()
        try harness.run("SET execution.parallelism = 3; SET execution.type = streaming; SET 'state.backend' = 'filesystem'; SET restart-strategy = off")
        #expect(harness.session.settings.parallelism == 3 && harness.session.settings.stateBackend == .memory && harness.session.settings.restart == .none)
        try harness.run("SET 'parallelism.default' = '5'")
        #expect(harness.session.settings.parallelism == 5 && harness.session.settings.values["execution.parallelism"] == nil)
        try harness.run("SET 'execution.parallelism' = '4'; RESET 'parallelism.default'")
        #expect(harness.session.settings.parallelism == 1)
        #expect(try harness.error("SET 'execution.parallelism' = '0'")?.problem == "'parallelism.default' = '0' is not a number from 1 to 4096")
        #expect(harness.session.notices.all.isEmpty)
    }

    @Test("every setting of Flink is read, told or refused with what to do", arguments: [
        ("taskmanager.memory.process.size", "there is no JVM"), ("taskmanager.numberOfTaskSlots", "there is no cluster"), ("akka.ask.timeout", "there is no cluster"),
        ("high-availability", "there is no cluster"), ("security.ssl.enabled", "there is no cluster"), ("env.java.opts.all", "there is no JVM"),
        ("table.optimizer.source.predicate-pushdown-enabled", "rules of this engine's own"), ("state.backend.rocksdb.thread.num", "the embedded store"),
        ("metrics.scope.jm", "Flink's names"), ("python.fn-execution.arrow.batch.size", "worker processes"), ("sql-client.verbose", "SQL client"),
        ("table.exec.window-agg.buffer-size-limit", "memory that they need"),
    ])
    func foreign(key: String, reason: String) throws {
        let harness = try SQLHarness()
        try harness.run("SET '\(key)' = '1'; SET \(key) = 2")
        let notices = harness.session.notices.take()
        #expect(notices.count == 1 && notices[0].hasPrefix("setting '\(key)' means nothing here: ") && notices[0].contains(reason), "\(notices)")
        #expect(harness.session.settings.values[key] == "2")
    }

    @Test("a setting that Flink does not have is refused, with the name that is near", arguments: [
        ("table.state.ttl", "write \"table.exec.state.ttl\""), ("state.ttl", "write \"table.exec.state.ttl\""), ("restart-strategy.attempts", "write \"restart-strategy.fixed-delay.attempts\""),
        ("table.new-in-flink-3", "see Flink's configuration for its name"), ("execution.checkpoints.every-so-often", "see Flink's configuration for its name"),
        ("nothing.of.this", "see Flink's configuration for its name"),
    ])
    func unknown(key: String, fix: String) throws {
        let harness = try SQLHarness()
        let error = try harness.error("SET '\(key)' = '3'")
        #expect(error?.problem == "there is no setting '\(key)'" && error?.fix == fix, "\(error as Any)")
        #expect(harness.session.settings.values.isEmpty && harness.session.notices.all.isEmpty)
    }

    @Test("values of settings that take few words are checked")
    func fewWords() throws {
        let harness = try SQLHarness()
        try harness.run("SET 'sql-client.execution.result-mode' = 'TABLEAU'; SET 'table.dynamic-table-options.enabled' = 'true'")
        #expect(harness.session.notices.take().isEmpty)
        #expect(try harness.error("SET 'sql-client.execution.result-mode' = 'tabelau'")?.fix == "write \"tableau\"")
        #expect(try harness.error("SET 'table.dynamic-table-options.enabled' = 'yes'")?.fix == "write 'true' or 'false'")
        try harness.run("SET 'sql-client.execution.result-mode' = 'changelog'; SET 'table.dynamic-table-options.enabled' = 'false'")
        #expect(harness.session.notices.take().count == 2)
    }

    @Test("a directory that is not reached takes the place of one that is")
    func remoteDirectory() throws {
        let harness = try SQLHarness()
        try harness.run("SET 'parallelism.default' = '3'; SET 'state.checkpoints.dir' = '/c'; SET 'execution.checkpointing.savepoint-dir' = '/s'")
        #expect(harness.session.settings.recovery.directory == "/c")
        try harness.run("SET 'execution.checkpointing.dir' = 's3://bucket/c'")
        let settings = harness.session.settings
        #expect(settings.recovery.directory == nil && settings.recovery.savepointDirectory == "/s" && settings.parallelism == 3)
        #expect(settings.values["state.checkpoints.dir"] == nil && harness.session.notices.take().count == 1)
        try harness.run("SET 'execution.checkpointing.dir' = '/d'")
        #expect(harness.session.settings.recovery.directory == "/d")
    }

    @Test(
        "lengths of time are read as Flink reads them",
        arguments: [
            ("10 s", Duration.seconds(10)), ("500ms", .milliseconds(500)), ("2 min", .seconds(120)), ("1 h", .seconds(3_600)),
            ("250", .milliseconds(250)),
            ("3 days", .seconds(259_200)), ("7 us", .microseconds(7)),
        ])
    func durations(text: String, value: Duration) {
        #expect(Durations.parse(text) == value)
    }

    @Test(
        "what is no length of time is refused",
        arguments: ["", "s", "10 parsecs", "-1 s", "99999999999999999999 s", "9223372036854775807 d"])
    func badDurations(text: String) { #expect(Durations.parse(text) == nil) }
}
