import Foundation
import HudiTable
import StreamCore
import Testing

/// A Hudi table as the other side of a join by processing time.
@Suite("Lookups in Hudi tables") struct HudiLookupTests {
    private static let columns = "id INT, name STRING, balance DECIMAL(8, 2), since DATE, area STRING, PRIMARY KEY (id) NOT ENFORCED"

    private func customers(_ harness: Harness, _ rows: String, options: String = "") throws {
        try harness.run("""
            CREATE TABLE IF NOT EXISTS customers (\(Self.columns)) PARTITIONED BY (area)
            WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/customers', 'write.operation' = 'upsert'\(options));
            INSERT INTO customers VALUES \(rows)
            """)
    }

    private func orders(_ harness: Harness, _ rows: [String]) throws {
        try (rows.joined(separator: "\n") + "\n").write(toFile: harness.directory + "/orders.csv", atomically: true, encoding: .utf8)
        try harness.run("""
            CREATE TABLE IF NOT EXISTS orders (n INT, customer INT, area STRING, p AS PROCTIME())
            WITH ('connector' = 'filesystem', 'path' = '\(harness.directory)/orders.csv', 'format' = 'csv', 'csv.null-literal' = '')
            """)
    }

    private func texts(_ harness: Harness, _ query: String) throws -> [String] {
        try harness.query(query).map { row in
            row.map { value in
                switch value {
                case .null: "-"
                case .int(let x): "\(x)"
                case .decimal(let x): "\(x)d"
                case .string(let x): x
                default: "\(value)"
                }
            }.joined(separator: " ")
        }.sorted()
    }

    @Test("rows are found in the newest snapshot, whatever partition and file they are in") func snapshot() throws {
        let harness = try Harness()
        try customers(harness, "(1, 'Ann', 10.50, DATE '2020-01-02', 'north'), (2, 'Bob', -3.25, DATE '2021-05-06', 'south'), (3, CAST(NULL AS STRING), CAST(NULL AS DECIMAL(8, 2)), CAST(NULL AS DATE), 'north')")
        try orders(harness, ["1,1,north", "2,2,south", "3,3,south", "4,9,north", "5,,north", "6,1,south"])
        let all = "SELECT n, name, balance, c.area FROM orders o LEFT JOIN customers FOR SYSTEM_TIME AS OF o.p AS c ON o.customer = c.id"
        #expect(try texts(harness, all) == ["1 Ann 1050d north", "2 Bob -325d south", "3 - - north", "4 - - -", "5 - - -", "6 Ann 1050d north"])
        let inner = "SELECT n, since FROM orders o JOIN customers FOR SYSTEM_TIME AS OF o.p AS c ON o.customer = c.id"
        #expect(try texts(harness, inner) == ["1 18263", "2 18753", "3 -", "6 18263"])
        // Two keys, one of them the partition, and conditions on what is found.
        #expect(try texts(harness, inner + " AND o.area = c.area") == ["1 18263", "2 18753"])
        #expect(try texts(harness, inner + " WHERE c.balance < 0 OR c.name IS NULL") == ["2 18753", "3 -"])
        #expect(try texts(harness, inner + " AND c.area = 'north'") == ["1 18263", "3 -", "6 18263"])

        // An update, and a key that is new: the next job reads the files that were written last.
        try customers(harness, "(2, 'Bert', 7.00, DATE '2021-05-06', 'south'), (9, 'Zoe', 1.00, DATE '2024-01-01', 'west')")
        #expect(try texts(harness, all) == ["1 Ann 1050d north", "2 Bert 700d south", "3 - - north", "4 Zoe 100d west", "5 - - -", "6 Ann 1050d north"])
        try harness.check(table: harness.directory + "/customers", key: "id")
    }

    @Test("with a partial cache rows are looked for by record key, files without them left out") func byKey() throws {
        let harness = try Harness()
        for part in 0..<4 {
            let rows = (0..<20).map { "(\(part * 20 + $0), 'name \(part * 20 + $0)', \($0).25, DATE '2020-01-02', '\(["north", "south"][$0 % 2])')" }
            try customers(harness, rows.joined(separator: ", "), options: ", 'hoodie.parquet.small.file.limit' = '1'")
        }
        try customers(harness, "(7, CAST(NULL AS STRING), 0.00, DATE '2020-01-02', 'south')")
        try orders(harness, (0..<60).map { "\($0),\($0 * 7 % 90),\(["north", "south"][$0 % 2])" } + ["99,,north"])
        for condition in ["o.customer = c.id", "o.customer = c.id AND o.area = c.area"] {
            let query = "SELECT n, name, balance, c.area, c.id FROM orders o LEFT JOIN customers %@ FOR SYSTEM_TIME AS OF o.p AS c ON \(condition)"
            let whole = try texts(harness, query.replacing("%@", with: ""))
            #expect(whole.count == 61 && whole.contains { $0.hasSuffix("- - - -") })
            for cache in ["PARTIAL", "NONE"] {
                #expect(try texts(harness, query.replacing("%@", with: "/*+ OPTIONS('lookup.cache' = '\(cache)') */")) == whole, "\(cache), \(condition)")
            }
        }
        let error = #expect(throws: StreamError.self) {
            try harness.query("SELECT n FROM orders o JOIN customers /*+ OPTIONS('lookup.cache' = 'PARTIAL') */ FOR SYSTEM_TIME AS OF o.p AS c ON o.area = c.area")
        }
        #expect(error.map { "\($0)".contains("does not fix column id") } == true, "\(error.map { "\($0)" } ?? "")")
    }

    @Test("a job that runs sees commits of other jobs after the reload interval") func reloads() throws {
        let harness = try Harness()
        try customers(harness, "(1, 'Ann', 1.00, DATE '2020-01-02', 'north')", options: ", 'lookup.full-cache.periodic-reload.interval' = '1 ms'")
        try harness.log.createStream("orders", shards: 1)
        try harness.log.createStream("named", shards: 1)
        func stream(_ name: String, _ columns: String) -> String {
            """
            CREATE TABLE \(name) (\(columns)) WITH ('connector' = 'kinesis', 'stream' = '\(name)', 'scan.stream.initpos' = 'TRIM_HORIZON',
              'format' = 'json', 'log.directory' = '\(harness.log.directory)');
            """
        }
        try harness.run(stream("orders", "n INT, customer INT, p AS PROCTIME()") + stream("named", "n INT, name STRING"))
        let job = try harness.start(
            "INSERT INTO named SELECT n, name FROM orders o JOIN customers FOR SYSTEM_TIME AS OF o.p AS c ON o.customer = c.id")
        var n = 0
        /// Orders until one has been given a name.
        func ask(_ customer: Int, until name: String) throws {
            try eventually("\(name), for customer \(customer), of \(try harness.records("named"))") {
                n += 1
                try harness.put("orders", [(key: "\(n)", text: #"{"n": \#(n), "customer": \#(customer)}"#)])
                usleep(20_000)
                return try harness.records("named").contains { $0.contains("\"\(name)\"") }
            }
        }
        try ask(1, until: "Ann")
        #expect(try !harness.records("named").contains { $0.contains("Zoe") })
        try customers(harness, "(1, 'Anna', 1.00, DATE '2020-01-02', 'north'), (2, 'Zoe', 2.00, DATE '2020-01-02', 'south')")
        try ask(2, until: "Zoe")
        try ask(1, until: "Anna")
        try job.stop()
        // Once the new name is there the old one is not given again.
        let names = try harness.records("named").filter { $0.contains("Ann") }
        #expect(names.drop { !$0.contains("\"Anna\"") }.allSatisfy { $0.contains("\"Anna\"") })
    }

    @Test("what cannot be looked up says so") func errors() throws {
        let harness = try Harness()
        try orders(harness, ["1,1,north"])
        try harness.run("""
            CREATE TABLE missing (\(Self.columns)) WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/nothing');
            CREATE TABLE cached (\(Self.columns)) WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/nothing', 'lookup.cache' = 'PARTIAL')
            """)
        try customers(harness, "(1, 'Ann', 1.00, DATE '2020-01-02', 'north')")
        for (table, part) in [
            ("missing", "there is no Hudi table at \(harness.directory)/nothing"), ("cached", "there is no Hudi table at \(harness.directory)/nothing"),
            ("customers /*+ OPTIONS('lookup.cache' = 'LRU') */", "lookup.cache"),
        ] {
            let error = #expect(throws: StreamError.self) {
                try harness.query("SELECT n FROM orders o JOIN \(table) FOR SYSTEM_TIME AS OF o.p AS c ON o.customer = c.id")
            }
            #expect(error.map { "\($0)".contains(part) } == true, "\(error.map { "\($0)" } ?? "")")
        }
    }
}
