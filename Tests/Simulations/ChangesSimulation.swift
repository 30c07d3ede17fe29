import StreamCore
import StreamState
import StreamTesting

/// A changelog with updates and deletes, from a broker into a Hudi table.
final class ChangesSimulation: SQLTopology, SimulatedTopology {
    private static let sql = """
        SET 'parallelism.default' = '${PARALLELISM}';
        CREATE TABLE changes (id STRING NOT NULL, version BIGINT, region STRING, PRIMARY KEY (id) NOT ENFORCED)
          WITH ('connector' = 'simulated', 'topic' = 'changes');
        CREATE TABLE newest (id STRING NOT NULL, version BIGINT, region STRING, PRIMARY KEY (id) NOT ENFORCED)
          PARTITIONED BY (region)
          WITH ('connector' = 'hudi', 'path' = '${SWIFTWATER_DATA}/tables/newest', 'precombine.field' = 'version', 'write.operation' = 'upsert');
        INSERT INTO newest SELECT id, version, region FROM changes;
        """

    private let partitions: [[SimulatedBroker.Row]]

    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0xC4A6)
        var rows: [String: SimulatedBroker.Row] = [:]
        var partitions = [[SimulatedBroker.Row]](repeating: [], count: Int.random(in: 1...3, using: &random))
        for version in 0..<Int64.random(in: 10...120, using: &random) {
            let id = Int.random(in: 0..<15, using: &random)
            func row(_ kind: RowKind) -> SimulatedBroker.Row { .init([.string("k\(id)"), .int(version), .string("r\(id % 2)")], kind: kind) }
            let change: SimulatedBroker.Row
            if let old = rows["k\(id)"] {
                if Int.random(in: 0..<4, using: &random) == 0 {
                    change = .init(old.values, kind: .delete)
                    rows["k\(id)"] = nil
                } else {
                    partitions[id % partitions.count].append(.init(old.values, kind: .updateBefore))
                    change = row(.updateAfter)
                    rows["k\(id)"] = change
                }
            } else {
                change = row(.insert)
                rows["k\(id)"] = change
            }
            partitions[id % partitions.count].append(change)
        }
        self.partitions = partitions
        let broker = SimulatedBroker(seed: seed)
        broker.add("changes", [Field("id", .string, nullable: false), Field("version", .bigint), Field("region", .string)], partitions: partitions)
        super.init(disk: disk, broker: broker, text: Self.sql, isYAML: false, expected: Self.model(partitions.flatMap { $0 }))
    }

    /// Changes of one key are in one partition, in their order.
    private static func model(_ changes: [SimulatedBroker.Row]) -> [String: VisibleOutput] {
        var rows: [Value: [Value]] = [:]
        for change in changes where change.kind != .updateBefore { rows[change.values[0]] = change.kind == .delete ? nil : change.values }
        return ["newest": VisibleOutput(kind: .table, rows: rows.values.map { "\(text($0[0]))|\(text($0[2]))|\(text($0[1]))" })]
    }

    func visible() throws -> [String: VisibleOutput] { ["newest": try table("newest")] }

    func expected(at manifest: CheckpointManifest?) -> [String: VisibleOutput]? {
        let offsets = offsets("changes", partitions: partitions.count, at: manifest)
        // An update that is cut in two shows the old row: the table takes it for overwritten by what follows.
        let read = zip(partitions, offsets).map { $0.prefix($1) }
        if read.contains(where: { $0.last?.kind == .updateBefore }) { return nil }
        return Self.model(read.flatMap { $0 })
    }
}
