import StreamCore
import StreamState
import StreamTesting

/// Two topics joined into files and a third topic, and counted into a Hudi table, from which products vanish that are
/// ordered too much.
final class JoinSimulation: SQLTopology, SimulatedTopology {
    private static let sql = """
        SET 'parallelism.default' = '${PARALLELISM}';
        CREATE TABLE orders (id BIGINT, product STRING, amount BIGINT) WITH ('connector' = 'simulated', 'topic' = 'orders');
        CREATE TABLE shipments (order_id BIGINT, carrier STRING) WITH ('connector' = 'simulated', 'topic' = 'shipments');
        CREATE TABLE shipped (id BIGINT, product STRING, carrier STRING) WITH ('connector' = 'simulated', 'topic' = 'shipped');
        CREATE TABLE files (id BIGINT, carrier STRING)
          WITH ('connector' = 'filesystem', 'path' = '${SWIFTWATER_DATA}/files', 'format' = 'json', 'sink.rolling-policy.file-size' = '200');
        CREATE TABLE totals (product STRING NOT NULL, orders BIGINT, amount BIGINT, PRIMARY KEY (product) NOT ENFORCED)
          WITH ('connector' = 'hudi', 'path' = '${SWIFTWATER_DATA}/tables/totals', 'write.operation' = 'upsert');
        CREATE VIEW joined AS SELECT o.id, o.product, s.carrier FROM orders AS o JOIN shipments AS s ON o.id = s.order_id;
        EXECUTE STATEMENT SET BEGIN
          INSERT INTO shipped SELECT id, product, carrier FROM joined;
          INSERT INTO files SELECT id, carrier FROM joined;
          INSERT INTO totals SELECT product, COUNT(*) AS orders, SUM(amount) AS amount FROM orders GROUP BY product HAVING SUM(amount) < 200;
        END;
        """

    private typealias Rows = [[SimulatedBroker.Row]]
    private let orders: Rows, shipments: Rows

    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0x3017)
        func spread(_ rows: [[Value]]) -> Rows {
            var partitions = Rows(repeating: [], count: Int.random(in: 1...3, using: &random))
            for row in rows { partitions[Int.random(in: 0..<partitions.count, using: &random)].append(.init(row)) }
            return partitions
        }
        orders = spread((0..<Int64.random(in: 5...60, using: &random)).map { id in
            [.int(id), .string("p\(Int.random(in: 0..<6, using: &random))"), .int(Int64.random(in: 0..<60, using: &random))]
        })
        shipments = spread((0..<Int.random(in: 5...60, using: &random)).map { i in [.int(Int64.random(in: 0..<60, using: &random)), .string("c\(i)")] })
        let broker = SimulatedBroker(seed: seed)
        broker.add("orders", [Field("id", .bigint), Field("product", .string), Field("amount", .bigint)], partitions: orders)
        broker.add("shipments", [Field("order_id", .bigint), Field("carrier", .string)], partitions: shipments)
        super.init(disk: disk, broker: broker, text: Self.sql, isYAML: false, expected: Self.model(orders, shipments))
    }

    private static func model(_ orders: Rows, _ shipments: Rows) -> [String: VisibleOutput] {
        var topic: [String] = [], files: [String] = []
        var totals: [Value: (count: Int, amount: Int64)] = [:]
        for order in orders.joined() {
            for shipment in shipments.joined() where shipment.values[0] == order.values[0] {
                topic.append("\(text(order.values[0]))|\(text(order.values[1]))|\(text(shipment.values[1]))")
                files.append("{\"id\":\(text(order.values[0])),\"carrier\":\"\(text(shipment.values[1]))\"}")
            }
            guard case .int(let amount) = order.values[2] else { continue }
            let old = totals[order.values[1]] ?? (0, 0)
            totals[order.values[1]] = (old.count + 1, old.amount + amount)
        }
        return [
            "shipped": VisibleOutput(kind: .log, rows: topic), "files": VisibleOutput(kind: .log, rows: files),
            "totals": VisibleOutput(kind: .table, rows: totals.filter { $0.value.amount < 200 }.map { "\($0.value.amount)|\($0.value.count)|\(text($0.key))" }),
        ]
    }

    func visible() throws -> [String: VisibleOutput] { ["shipped": topic("shipped"), "files": try lines("files"), "totals": try table("totals")] }

    func expected(at manifest: CheckpointManifest?) -> [String: VisibleOutput]? {
        func read(_ source: String, _ partitions: Rows) -> Rows {
            zip(partitions, offsets(source, partitions: partitions.count, at: manifest)).map { Array($0.prefix($1)) }
        }
        return Self.model(read("orders", orders), read("shipments", shipments))
    }
}
