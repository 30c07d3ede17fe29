import StreamCore
import StreamTesting

/// `Topologies/orders.yaml`: versions of order items into a Hudi table, of which the newest stays.
final class OrdersSimulation: SQLTopology, SimulatedTopology {
    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0x08DE)
        let orders = Self.orders(&random)
        super.init(disk: disk, broker: SimulatedBroker(seed: seed), text: try Self.shipped("orders.yaml"), isYAML: true, expected: Self.model(orders))
        try put("order-data-stream", shards: Int.random(in: 1...3, using: &random), orders.map { ("\($0.order ?? 0)", $0.json) })
    }

    override var variables: [String: String] { ["START": "TRIM_HORIZON", "BOUNDED": "latest-offset"] }

    func visible() throws -> [String: VisibleOutput] { ["order_hudi_cow": try table("order_hudi_cow")] }

    private struct Order {
        var order: Int?
        var item: Int
        /// Tenths.
        var amount: Int
        var product: String
        /// Orders versions of one item.
        var version: Int

        var date: String { "2024-01-0\(1 + (order ?? 0) % 3)" }
        var stamp: String { "2024-01-01 00:00:\(10 + version / 10).\(version % 10)" }

        var json: String {
            let id = order.map { "\"\($0)\"" } ?? "null"
            return "{\"order_id\":\(id),\"item_id\":\"\(item)\",\"customer_id\":\"c\(item % 3)\",\"product\":\"\(product)\",\"amount\":\(amount / 10).\(amount % 10),"
                + "\"currency\":\"EUR\",\"time_stamp\":\"\(stamp)\",\"transaction_date\":\"\(date)\"}"
        }

        /// Columns in the order of their names.
        var row: String { "\(amount)|EUR|c\(item % 3)|\(item)|\(order!)|\(product)|\(stamp)|\(date)" }
    }

    private static func orders(_ random: inout SeededRandom) -> [Order] {
        let stamps = Array(0..<500).shuffled(using: &random)
        let items = Int.random(in: 2...25, using: &random)
        var orders = (0..<Int.random(in: 10...100, using: &random)).map { i in
            let item = Int.random(in: 0..<items, using: &random)
            return Order(order: Int.random(in: 0..<20, using: &random) == 0 ? nil : item / 3, item: item, amount: Int.random(in: 0..<1_000, using: &random),
                         product: ["pen", "ink", "paper"].randomElement(using: &random)!, version: stamps[i])
        }
        // The same record twice, as from a producer that tried again.
        for _ in 0..<Int.random(in: 0...10, using: &random) { orders.insert(orders.randomElement(using: &random)!, at: Int.random(in: 0...orders.count, using: &random)) }
        return orders
    }

    private static func model(_ orders: [Order]) -> [String: VisibleOutput] {
        var newest: [Int: Order] = [:]
        for order in orders where order.order != nil {
            if let old = newest[order.item], old.version > order.version { continue }
            newest[order.item] = order
        }
        return ["order_hudi_cow": VisibleOutput(kind: .table, rows: newest.values.map(\.row))]
    }
}
