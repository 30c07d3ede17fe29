import Foundation
import LakeTable
import StreamCore
import Testing

@testable import HudiTable

@Suite("Hudi push-down") struct PushDownTests {
    private static let schema = [
        Field("id", .bigint), Field("flag", .boolean), Field("small", .int), Field("ratio", .double), Field("single", .float),
        Field("price", .decimal(precision: 20, scale: 3)), Field("at", .timestamp(3)), Field("day", .date), Field("name", .string),
    ]

    private func row(_ id: Int, _ random: inout SeededGenerator) -> [Value] {
        func maybe(_ value: Value) -> Value { Int.random(in: 0..<10, using: &random) == 0 ? .null : value }
        let near = id / 100 * 10
        let doubles = [Double.nan, -0.0, 0.0, .infinity, Double(near), Double(near) + 0.5]
        return [
            .int(Int64(id)), maybe(.bool(near % 20 == 0)), maybe(.int(Int64(near))), maybe(.double(doubles.randomElement(using: &random)!)),
            maybe(.float(Float(doubles.randomElement(using: &random)!))), maybe(.decimal(Int128(near) * 1_000 - 30_000)),
            maybe(.int(Int64(near) * 86_400_000 - 500)), maybe(.int(Int64(near))),
            maybe(.string(String(repeating: "é", count: near % 3) + "name \(near)")),
        ]
    }

    private func holds(_ condition: ScanPredicate.Condition, _ value: Value) -> Bool {
        switch condition {
        case .isNull: return value == .null
        case .isNotNull: return value != .null
        case .isIn(let values): return values.contains { holds(.compares(.equal, $0), value) }
        case .compares(let comparison, let constant):
            guard value != .null, let order = ColumnBounds.order(value, constant) else { return false }
            switch comparison {
            case .equal: return order == 0
            case .less: return order < 0
            case .lessOrEqual: return order <= 0
            case .greater: return order > 0
            case .greaterOrEqual: return order >= 0
            }
        }
    }

    private func read(_ table: TestTable, _ scan: ScanRequest) throws -> (rows: [[Value]], gauges: [String: Int64]) {
        let source = try table.connector.source(for: table.descriptor, scan: scan), metrics = OperatorMetrics()
        var rows: [[Value]] = []
        for split in try source.splits() {
            // A restart after every batch must not change what is read.
            var reader = try source.reader(for: split, metrics: metrics)
            loop: while true {
                switch try reader.next(maxRows: 130) {
                case .batch(let batch):
                    rows += batch.rows()
                    reader = try source.reader(for: SourceSplit(id: split.id, position: reader.position), metrics: OperatorMetrics())
                case .waiting: continue
                case .endOfSplit: break loop
                }
            }
        }
        return (rows, metrics.gauges)
    }

    @Test("conditions skip row groups and never a row that they hold for", arguments: [1, 2] as [UInt64]) func random(seed: UInt64) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed)
        print("push-down: seed \(seed)")
        var table = TestTable(folder.path + "/t", schema: Self.schema, key: ["id"], options: ["write.operation": "insert"])
        table.descriptor.options["hoodie.parquet.small.file.limit"] = "1"
        var all: [[Value]] = []
        for commit in 0..<4 {
            let rows = (0..<500).map { row(commit * 500 + $0, &random) }
            all += rows
            try table.commit([table.batch(rows)])
        }
        // The same files in row groups of 90 rows, as another writer would have them.
        let regroup = """
            import glob, sys, pyarrow.parquet as pq
            for name in glob.glob(sys.argv[1] + "/*.parquet"):
                table, extra = pq.read_table(name), pq.read_metadata(name).metadata
                with pq.ParquetWriter(name, table.schema, store_schema=False) as writer:
                    writer.write_table(table, row_group_size=90)
                    writer.add_key_value_metadata({k: v for k, v in extra.items() if k != b"ARROW:schema"})
            """
        let regrouped = try Python.run(["-c", regroup, folder.path + "/t"])
        #expect(regrouped.status == 0, "\(regrouped.errors)")
        var skipped: Int64 = 0, groups: Int64 = 0
        for _ in 0..<60 {
            let column = Int.random(in: 0..<Self.schema.count, using: &random), model = all.randomElement(using: &random)!
            let comparisons: [ScanPredicate.Comparison] = [.equal, .less, .lessOrEqual, .greater, .greaterOrEqual]
            var condition = [ScanPredicate.Condition.isNull, .isNotNull].randomElement(using: &random)!
            if model[column] != .null, Int.random(in: 0..<8, using: &random) > 0 {
                condition = .compares(comparisons.randomElement(using: &random)!, model[column])
                if Bool.random(using: &random), let other = all.randomElement(using: &random)?[column], other != .null { condition = .isIn([model[column], other]) }
            }
            var scan = ScanRequest(projection: Array(Self.schema.indices))
            scan.filter = [ScanPredicate(column: column, condition)]
            let found = try read(table, scan)
            let wanted = all.filter { holds(condition, $0[column]) }.canonical
            #expect(found.rows.filter { holds(condition, $0[column]) }.canonical == wanted, "\(Self.schema[column].name) \(condition)")
            skipped += found.gauges["files.skipped"] ?? 0
            groups += found.gauges["row-groups.skipped"] ?? 0
        }
        #expect(skipped > 15 && groups > 6 * skipped, "\(skipped) files and \(groups) row groups skipped")
    }

    @Test("bounds that are cut or unknown skip nothing") func bounds() {
        let texts = ColumnBounds(lower: .string("b"), upper: .string("d"), nulls: 0, rows: 10)
        #expect(!texts.mayHold(.compares(.equal, .string("a"))) && texts.mayHold(.compares(.equal, .string("c"))))
        #expect(!texts.mayHold(.isNull) && texts.mayHold(.isNotNull) && texts.mayHold(.compares(.greaterOrEqual, .string("d"))))
        #expect(!texts.mayHold(.compares(.greater, .string("d"))))
        let zeros = ColumnBounds(lower: .double(0), upper: .double(0), nulls: nil, rows: 10)
        #expect(zeros.mayHold(.compares(.equal, .double(-0.0))) && zeros.mayHold(.compares(.greaterOrEqual, .double(.nan))) && zeros.mayHold(.isNull))
        #expect(!ColumnBounds(nulls: 10, rows: 10).mayHold(.compares(.less, .int(4))) && ColumnBounds(rows: 10).mayHold(.compares(.less, .int(4))))
    }

    @Test("point queries skip files by their bloom filters") func points() throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(11)
        for kind in 0..<2 {
            let schema = [Field("k", .string), Field("n", .int), Field("v", .bigint)]
            let keys = kind == 0 ? ["k"] : ["k", "n"]
            var table = TestTable(folder.path + "/t\(kind)", schema: schema, key: keys, options: ["write.operation": "insert"])
            table.descriptor.options["hoodie.parquet.small.file.limit"] = "1"
            var rows: [[Value]] = []
            for _ in 0..<10 {
                let part = (0..<300).map { _ in [Value.string("key-\(UInt64.random(in: 0...UInt64.max, using: &random))é"), .int(Int64.random(in: 0..<5, using: &random)), .int(Int64.random(in: 0..<9, using: &random))] }
                rows += part
                try table.commit([table.batch(part)])
            }
            var read = 0
            for _ in 0..<40 {
                let row = rows.randomElement(using: &random)!
                var scan = ScanRequest(projection: [0, 1, 2])
                scan.filter = [ScanPredicate(column: 0, .compares(.equal, row[0])), ScanPredicate(column: 1, .isIn([row[1], .int(77)]))]
                let found = try self.read(table, scan)
                #expect(found.rows.contains(row))
                read += 10 - Int(found.gauges["files.skipped"] ?? 0)
            }
            // One file each, but for false positives.
            #expect((40...44).contains(read), "\(read) files read")
        }
    }
}
