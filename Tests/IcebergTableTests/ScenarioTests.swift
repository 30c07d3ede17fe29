import FileConnectors
import Foundation
import IcebergTable
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import TestScripts
import Testing

@Suite("Iceberg scenarios") struct ScenarioTests {
    /// An SQL session with files and Iceberg tables.
    struct Session {
        let session = SQLSession(connectors: [FilesystemConnector(), IcebergConnector()])

        func run(_ script: String) throws {
            for statement in try SQLParser(text: script, file: nil).parseScript() {
                guard case .insert(let graph) = try session.execute(statement) else { continue }
                try JobExecution(graph).run()
            }
        }

        func query(_ text: String) throws -> [[Value]] {
            guard case .query(let query) = try session.execute(try SQLParser(text: text, file: nil).parseScript()[0]) else { return [] }
            let sink = CollectingSink(maxParallelism: 1)
            try JobExecution(try query.jobGraph(into: sink)).run()
            var rows: [[Value]] = []
            for row in sink.rows {
                if row.kind.isAdd { rows.append(row.values) } else if let at = rows.firstIndex(of: row.values) { rows.remove(at: at) }
            }
            return rows
        }
    }

    @Test("16: 25 policies, then five changes: 3 rows then 5, 25 then 27, 131372604 then 118077604")
    func insurance() throws {
        let folder = try TemporaryFolder(), session = Session()
        let columns = """
            policy_id INT, expiry_date DATE, location_name STRING, state_code STRING, region_name STRING, insured_value INT, business_type STRING,
            earthquake_coverage STRING, flood_coverage STRING
            """
        let seeds = PythonScript.root.appending(path: "Tests/Support/seeds").path
        try session.run("""
            CREATE TABLE full_load (\(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-full-load.csv', 'format' = 'csv', 'csv.header' = 'true');
            CREATE TABLE cdc_load (op STRING, \(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-cdc-load.csv', 'format' = 'csv');
            CREATE TABLE policies (\(columns), PRIMARY KEY (policy_id) NOT ENFORCED)
            WITH ('connector' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = '\(folder.path)', 'catalog-database' = 'insurance');
            INSERT INTO policies SELECT * FROM full_load
            """)
        let path = folder.path + "/insurance/policies"
        let check = "SELECT * FROM policies WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id"
        #expect(try session.query(check).count == 3)
        #expect(try session.query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(25), .int(131_372_604)]])
        #expect(try session.query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(11)]])
        let before = Judge.sums(try Judge.history(path).current)
        #expect(before == (25, 131_372_604))

        try session.run("""
            INSERT INTO policies SELECT policy_id, expiry_date, location_name, state_code, region_name, insured_value, business_type,
              earthquake_coverage, flood_coverage FROM cdc_load WHERE op IN ('I', 'U')
            """)
        let rows = try session.query(check)
        #expect(rows.count == 5)
        #expect(rows[0][1] == .int(20_088))  // 2024-12-31
        #expect(rows[1][5] == .int(1_000_000))
        #expect(rows[2][8] == .string("Y"))
        #expect(rows[3][4] == .string("WEST"))
        #expect(try session.query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(27), .int(118_077_604)]])
        #expect(try session.query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(13)]])
        let states = try session.query("SELECT state_code, COUNT(*) FROM policies GROUP BY state_code")
        #expect(Set(states) == Set([("NY", 15), ("WI", 3), ("NJ", 3), ("IL", 1), ("VT", 1), ("NH", 1), ("MI", 1), ("CA", 1), ("FL", 1)]
            .map { [.string($0.0), .int(Int64($0.1))] }))
        let judged = try Judge.history(path)
        #expect(Judge.sums(judged.current) == (27, 118_077_604) && judged.snapshots.count == 2 && judged.strays == [])
    }
}

extension Judge {
    /// The number of policies and the sum of their insured values.
    static func sums(_ rows: [String]) -> (Int, Int) {
        (rows.count, rows.reduce(0) { $0 + ((try? JSONSerialization.jsonObject(with: Data($1.utf8)) as? [Any])?[5] as? Int ?? 0) })
    }
}
