import Foundation
import HudiTable
import StreamCore
import Testing

@Suite("Table scenarios") struct TableScenarios {
    private static let orderColumns = """
        order_id STRING, item_id STRING, customer_id STRING, product STRING, amount DECIMAL(3, 1), currency STRING, time_stamp STRING, transaction_date STRING
        """

    private func order(_ n: Int, item: Int, product: String, amount: String, stamp: String, date: String) -> (key: String, text: String) {
        ("\(n)", #"{"order_id": "\#(n)", "item_id": "\#(item)", "customer_id": "\#(n % 97)", "product": "\#(product)", "amount": \#(amount), "#
            + #""currency": "USD", "time_stamp": "\#(stamp)", "transaction_date": "\#(date)"}"#)
    }

    @Test("7 and 8: 1,000 orders, then the change file; count 1,000 twice, order 3801 item 23 changed, one folder a date")
    func orders() throws {
        let harness = try Harness()
        let path = harness.directory + "/order_hudi_cow"
        try harness.log.createStream("order-data-stream", shards: 2)
        let dates = ["2020-09-02", "2020-09-03"]
        try harness.put("order-data-stream", (0..<1_000).map { i in
            order(3_801 + i, item: i == 0 ? 23 : i % 50, product: "Keyboard", amount: "\(i % 99).5", stamp: "2020-09-02 10:00:00", date: dates[i % 2])
        })
        try harness.run("""
            CREATE TABLE orders (\(Self.orderColumns)) WITH ('connector' = 'kinesis', 'stream' = 'order-data-stream', 'scan.stream.initpos' = 'TRIM_HORIZON',
              'scan.bounded.mode' = 'latest-offset', 'format' = 'json', 'log.directory' = '\(harness.log.directory)');
            CREATE TABLE order_hudi_cow (\(Self.orderColumns), PRIMARY KEY (order_id, item_id) NOT ENFORCED) PARTITIONED BY (transaction_date)
            WITH ('connector' = 'hudi', 'path' = '\(path)', 'precombine.field' = 'time_stamp', 'write.operation' = 'upsert',
              'hoodie.datasource.write.hive_style_partitioning' = 'true');
            INSERT INTO order_hudi_cow SELECT * FROM orders
            """)
        let wanted = "SELECT product, amount FROM order_hudi_cow WHERE order_id = '3801' AND item_id = '23' AND transaction_date = '2020-09-02'"
        #expect(try harness.query("SELECT COUNT(*) FROM order_hudi_cow") == [[.int(1_000)]])
        #expect(try harness.query(wanted) == [[.string("Keyboard"), .decimal(5)]])
        try harness.check(table: path, key: "order_id,item_id")
        #expect(try Harness.independent(path, "SELECT COUNT(*) FROM t") == "1000")

        // The stream is read again from its start, with the change behind the rows that it changes.
        try harness.put("order-data-stream", [
            order(3_801, item: 23, product: "Monitor", amount: "42.5", stamp: "2020-10-02 09:00:00", date: "2020-09-02"),
        ])
        try harness.run("INSERT INTO order_hudi_cow SELECT * FROM orders")
        #expect(try harness.query("SELECT COUNT(*) FROM order_hudi_cow") == [[.int(1_000)]])
        #expect(try harness.query(wanted) == [[.string("Monitor"), .decimal(425)]])
        try harness.check(table: path, key: "order_id,item_id")
        #expect(try Harness.independent(path, "SELECT COUNT(*) FROM t") == "1000")
        #expect(try Harness.independent(path, "SELECT product FROM t WHERE order_id = '3801' AND item_id = '23'") == "Monitor")

        let folders = try FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") }.sorted()
        #expect(folders == ["transaction_date=2020-09-02", "transaction_date=2020-09-03"])
        let filled = ["_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"]
            .map { "COUNT(NULLIF(\($0), '')) = 1000" }.joined(separator: " AND ")
        #expect(try Harness.independent(path, "SELECT \(filled) FROM t") == "True")
        #expect(try HudiTable.open(path).timeline.map(\.state) == ["completed", "completed"])
    }

    @Test("16: 25 policies, then five changes: 3 rows then 5, 25 then 27, 131372604 then 118077604")
    func insurance() throws {
        let harness = try Harness()
        let path = harness.directory + "/policies"
        let columns = """
            policy_id INT, expiry_date DATE, location_name STRING, state_code STRING, region_name STRING, insured_value INT, business_type STRING,
            earthquake_coverage STRING, flood_coverage STRING
            """
        let seeds = Harness.support + "/seeds"
        try harness.run("""
            CREATE TABLE full_load (\(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-full-load.csv', 'format' = 'csv', 'csv.header' = 'true');
            CREATE TABLE cdc_load (op STRING, \(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-cdc-load.csv', 'format' = 'csv');
            CREATE TABLE policies (\(columns), PRIMARY KEY (policy_id) NOT ENFORCED)
            WITH ('connector' = 'hudi', 'path' = '\(path)', 'write.operation' = 'upsert');
            INSERT INTO policies SELECT * FROM full_load
            """)
        let check = "SELECT * FROM policies WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id"
        #expect(try harness.query(check).count == 3)
        #expect(try harness.query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(25), .int(131_372_604)]])
        #expect(try harness.query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(11)]])
        try harness.check(table: path, key: "policy_id")

        try harness.run("""
            INSERT INTO policies SELECT policy_id, expiry_date, location_name, state_code, region_name, insured_value, business_type,
              earthquake_coverage, flood_coverage FROM cdc_load WHERE op IN ('I', 'U')
            """)
        let rows = try harness.query(check)
        #expect(rows.count == 5)
        #expect(rows[0][1] == .int(20_088))  // 2024-12-31
        #expect(rows[1][5] == .int(1_000_000))
        #expect(rows[2][8] == .string("Y"))
        #expect(rows[3][4] == .string("WEST"))
        #expect(try harness.query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(27), .int(118_077_604)]])
        #expect(try harness.query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(13)]])
        let states = try harness.query("SELECT state_code, COUNT(*) FROM policies GROUP BY state_code")
        #expect(Set(states) == Set([("NY", 15), ("WI", 3), ("NJ", 3), ("IL", 1), ("VT", 1), ("NH", 1), ("MI", 1), ("CA", 1), ("FL", 1)]
            .map { [.string($0.0), .int(Int64($0.1))] }))
        try harness.check(table: path, key: "policy_id")
        #expect(try Harness.independent(path, "SELECT SUM(insured_value) FROM t") == "118077604")
    }
}
