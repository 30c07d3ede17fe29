import Foundation
import Testing

@Suite("Topologies on the command line") struct TopologyCommandTests {
    @Test("the shipped topologies are valid and have plans", arguments: ["sensors", "orders", "mirror"])
    func shipped(name: String) throws {
        let workspace = try Workspace(), file = "\(Workspace.topologies)/\(name).yaml"
        #expect(try workspace.ok("validate", file).out.contains(": ok, "))
        let plan = try workspace.ok("plan", file, "--parallelism", "2").out
        #expect(plan.contains("0: Source: ") && plan.contains("Sink: "), "\(plan)")
        let dot = try workspace.ok("plan", file, "--dot").out
        #expect(dot.hasPrefix("digraph \"\(name)\" {") && dot.contains(" -> ") && dot.hasSuffix("}\n\n") || dot.hasSuffix("}\n"), "\(dot)")
    }

    @Test("an unknown key is one error with line, column and the nearest key")
    func unknownKey() throws {
        let workspace = try Workspace()
        try workspace.write("""
            name: x
            tables:
              t:
                colums:
                  a: INT
                with: {connector: datagen}
            pipeline:
              - sql: SELECT a FROM t
                into: t
            """, to: "x.yaml")
        for command in ["validate", "plan", "run"] {
            try workspace.run(command, "x.yaml").expectOneError(containing: "x.yaml:4:5", "\"colums\"", "\"columns\"")
        }
    }

    @Test("the schema is a JSON Schema that names the parts of a topology")
    func schema() throws {
        let out = try Workspace().ok("topology", "schema").out
        let schema = try #require(try JSONSerialization.jsonObject(with: Data(out.utf8)) as? [String: Any])
        let properties = try #require(schema["properties"] as? [String: Any])
        for key in ["name", "description", "settings", "tables", "pipeline"] { #expect(properties[key] != nil, "\(key)") }
        #expect(schema["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
    }

    @Test("orders.yaml: 1,000 orders, then the change file; the count stays, order 3801 item 23 changes")
    func orders() throws {
        let workspace = try Workspace()
        let table = workspace.path("data/tables/order_hudi_cow"), file = Workspace.topologies + "/orders.yaml"
        func load(_ changes: [String]) throws -> (count: Int?, order: [String: Any]) {
            let made = try workspace.start(["generate", "orders", "--count", "1000", "--stream", "order-data-stream"] + changes).end()
            #expect(made.status == 0, "\(made)")
            let ended = try workspace.ok("run", file, "--output", "json", environment: ["BOUNDED": "latest-offset"])
            #expect(try ended.objects().last?["event"] as? String == "finished", "\(ended)")
            try workspace.check(table: table, key: "order_id,item_id")
            let count = try workspace.ok("table", "query", table, "SELECT COUNT(*) AS n FROM t", "--output", "json").objects()
            let order = try workspace.ok("table", "query", table, "SELECT * FROM t WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02'",
                                         "--output", "json").objects()
            #expect(order.count == 1)
            return (count.first?["n"] as? Int, order.first ?? [:])
        }
        let before = try load([]), after = try load(["--changes"])
        #expect(before.count == 1_000 && after.count == 1_000)
        for column in ["product", "amount"] {
            let old = try #require(before.order[column] as? String), new = try #require(after.order[column] as? String)
            #expect(old != new, "\(column) is still \(old)")
        }
        #expect(before.order["customer_id"] as? String == after.order["customer_id"] as? String)

        let shown = try #require(try workspace.ok("table", "show", table, "--output", "json").objects().first)
        #expect(shown["rows"] as? Int == 1_000 && shown["record_key"] as? [String] == ["order_id", "item_id"])
        #expect(shown["partition_fields"] as? [String] == ["transaction_date"] && shown["ordering_field"] as? String == "time_stamp")
        let partitions = try #require(shown["partitions"] as? [[String: Any]])
        #expect(partitions.count == 3 && partitions.compactMap { $0["rows"] as? Int }.reduce(0, +) == 1_000)
        let timeline = try workspace.ok("table", "timeline", table, "--output", "json").objects()
        #expect(timeline.map { $0["state"] as? String } == ["completed", "completed"])
        #expect(timeline[0]["inserted"] as? Int == 1_000 && timeline[1]["inserted"] as? Int == 0)
        #expect(try workspace.ok("table", "show", table).out.contains("1,000 rows, 3 files"))
        #expect(try workspace.ok("table", "query", table, "--output", "csv").lines.count == 21)
        try workspace.run("table", "query", table, "SELECT nothing FROM t").expectOneError(containing: "nothing")
        try workspace.run("table", "show", workspace.path("data")).expectOneError(containing: "no Hudi table")
    }

    @Test("scenario 3: a script with the INSERT runs with parallelism 1, shows its operators, and the same 18 rows flow")
    func deployedNote() throws {
        let workspace = try Workspace()
        try workspace.ok("stream", "create", "my-input-stream")
        try workspace.ok("stream", "create", "my-output-stream")
        try workspace.ok("stream", "put", "my-input-stream", input: """
            {"sensor_id": 77, "current_temperature": 93.11, "status": "OK", "event_time": "2021-05-19T11:20:00.978328"}
            {"sensor_id": 47, "current_temperature": 168.32, "status": "ERROR", "event_time": "2021-05-19T11:20:01.110236"}
            {"sensor_id": 9, "current_temperature": 140.93, "status": "WARNING", "event_time": "2021-05-19T11:20:01.243881"}
            {"sensor_id": 27, "current_temperature": 130.41, "status": "OK", "event_time": "2021-05-19T11:20:01.371191"}
            {"sensor_id": 1, "current_temperature": 20.0, "status": "OK", "event_time": "2021-05-19T11:22:01.000000"}
            """)
        try workspace.write("""
            CREATE TABLE sensor_data (sensor_id INTEGER, current_temperature DOUBLE, status VARCHAR(6), event_time TIMESTAMP(3),
              WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND) PARTITIONED BY (sensor_id)
            WITH ('connector' = 'kinesis', 'stream' = 'my-input-stream', 'aws.region' = 'us-east-1', 'scan.stream.initpos' = 'TRIM_HORIZON',
              'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
            CREATE TABLE sensor_state (status VARCHAR(6), num INTEGER, avg_current_temperature DOUBLE, hop_time TIMESTAMP(3)) PARTITIONED BY (status)
            WITH ('connector' = 'kinesis', 'stream' = 'my-output-stream', 'aws.region' = 'us-east-1', 'format' = 'json',
              'json.timestamp-format.standard' = 'ISO-8601');
            INSERT INTO sensor_state
            SELECT sensor_data.status, COUNT(*) AS num, AVG(sensor_data.current_temperature) AS avg_current_temperature,
              HOP_ROWTIME(event_time, INTERVAL '10' second, INTERVAL '1' minute) AS hop_time
            FROM sensor_data GROUP BY HOP(event_time, INTERVAL '10' second, INTERVAL '1' minute), sensor_data.status;
            """, to: "note.sql")
        let job = try workspace.start(["run", "note.sql", "--parallelism", "1", "--output", "json"])
        try eventually("18 rows in the output stream") { try workspace.run("stream", "get", "my-output-stream").lines.count >= 18 }
        try eventually("a progress line") { job.out.contains(#""event":"progress""#) }
        job.signal(SIGTERM)
        let outcome = try job.end(within: 30)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try outcome.events().last?["event"] as? String == "resumable", "\(outcome)")
        let operators = try #require(try outcome.objects().last?["operators"] as? [[String: Any]])
        let names = operators.compactMap { $0["name"] as? String }
        #expect(names.contains { $0.hasPrefix("Source: sensor_data") } && names.contains { $0.hasPrefix("HOP(10 s, 1 min)") }, "\(names)")
        #expect(names.last == "Sink: sensor_state" && operators.allSatisfy { $0["parallelism"] as? Int == 1 }, "\(operators)")
        #expect(operators.last?["rows_in"] as? Int == 18 && operators.first?["rows_out"] as? Int == 5)

        let rows = try workspace.ok("stream", "get", "my-output-stream").objects()
        #expect(rows.count == 18)
        for (status, count, average) in [("OK", 2, 111.76), ("WARNING", 1, 140.93), ("ERROR", 1, 168.32)] {
            let own = rows.filter { $0["status"] as? String == status }
            #expect(own.count == 6 && own.allSatisfy { $0["num"] as? Int == count && abs(($0["avg_current_temperature"] as? Double ?? 0) - average) < 1e-9 }, "\(own)")
            #expect(own.compactMap { $0["hop_time"] as? String }.sorted() == (0...5).map { "2021-05-19T11:20:\($0)9.999" }, "\(own)")
        }
    }
}
