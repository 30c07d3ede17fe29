import StreamCore
import StreamTesting

/// Two topics joined into a third, and counted into a Hudi table.
final class JoinSimulation: SQLTopology, SimulatedTopology {
    private static let sql = """
        SET 'parallelism.default' = '${PARALLELISM}';
        CREATE TABLE orders (id BIGINT, product STRING, amount BIGINT) WITH ('connector' = 'simulated', 'topic' = 'orders');
        CREATE TABLE shipments (order_id BIGINT, carrier STRING) WITH ('connector' = 'simulated', 'topic' = 'shipments');
        CREATE TABLE shipped (id BIGINT, product STRING, carrier STRING) WITH ('connector' = 'simulated', 'topic' = 'shipped');
        CREATE TABLE totals (product STRING NOT NULL, orders BIGINT, amount BIGINT, PRIMARY KEY (product) NOT ENFORCED)
          WITH ('connector' = 'hudi', 'path' = '${SWIFTWATER_DATA}/tables/totals', 'write.operation' = 'upsert');
        EXECUTE STATEMENT SET BEGIN
          INSERT INTO shipped SELECT o.id, o.product, s.carrier FROM orders AS o JOIN shipments AS s ON o.id = s.order_id;
          INSERT INTO totals SELECT product, COUNT(*) AS orders, SUM(amount) AS amount FROM orders GROUP BY product;
        END;
        """

    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0x3017)
        let orders = (0..<Int64.random(in: 5...60, using: &random)).map { id in
            (id: id, product: "p\(Int.random(in: 0..<6, using: &random))", amount: Int64.random(in: 0..<60, using: &random))
        }
        let shipments = (0..<Int.random(in: 5...60, using: &random)).map { i in
            (order: Int64.random(in: 0..<60, using: &random), carrier: "c\(i)")
        }
        let broker = SimulatedBroker(seed: seed)
        func spread(_ rows: [[Value]]) -> [[SimulatedBroker.Row]] {
            var partitions = [[SimulatedBroker.Row]](repeating: [], count: Int.random(in: 1...3, using: &random))
            for row in rows { partitions[Int.random(in: 0..<partitions.count, using: &random)].append(.init(row)) }
            return partitions
        }
        broker.add("orders", [Field("id", .bigint), Field("product", .string), Field("amount", .bigint)],
                   partitions: spread(orders.map { [.int($0.id), .string($0.product), .int($0.amount)] }))
        broker.add("shipments", [Field("order_id", .bigint), Field("carrier", .string)], partitions: spread(shipments.map { [.int($0.order), .string($0.carrier)] }))
        let joined = shipments.flatMap { shipment in orders.filter { $0.id == shipment.order }.map { "\($0.id)|\($0.product)|\(shipment.carrier)" } }
        let totals = Dictionary(grouping: orders, by: \.product).mapValues { (count: $0.count, amount: $0.reduce(0) { $0 + $1.amount }) }
        super.init(disk: disk, broker: broker, text: Self.sql, isYAML: false, expected: [
            "shipped": VisibleOutput(kind: .log, rows: joined),
            "totals": VisibleOutput(kind: .table, rows: totals.map { "\($0.value.amount)|\($0.value.count)|\($0.key)" }),
        ])
    }

    func visible() throws -> [String: VisibleOutput] { ["shipped": topic("shipped"), "totals": try table("totals")] }
}
