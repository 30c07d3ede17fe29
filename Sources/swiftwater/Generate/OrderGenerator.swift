import StreamCore

/// Orders, one item each, over three transaction dates; order 3801 item 23 of 2020-09-02 is always among them.
///
/// With `changes` it makes later versions of some of the same orders (the same keys and dates, other product and amount),
/// order 3801 item 23 first, and no new ones.
struct OrderGenerator: LoadGenerator {
    private static let products = ["Keyboard", "Monitor", "Lamp", "Desk", "Chair", "Cable", "Mouse", "Webcam", "Headset", "Speaker"]
    private static let dates = ["2020-09-02", "2020-09-03", "2020-09-04"]

    private let seed: UInt64
    private let orders: Int
    /// Numbers of the orders to emit.
    private var queue: [Int]
    private let changes: Bool
    private var at = 0

    init(seed: UInt64, count: Int, changes: Bool) {
        self.seed = seed
        self.changes = changes
        orders = count
        if changes {
            var random = GeneratorRandom(seed: seed ^ 0xC4A6)
            let others = (1..<max(count, 1)).shuffled(using: &random).prefix(min(9, max(count - 1, 0)))
            queue = count > 0 ? [0] + others : []
        } else {
            queue = Array(0..<count)
        }
    }

    mutating func next() -> GeneratedRecord? {
        guard at < queue.count else { return nil }
        defer { at += 1 }
        return order(queue[at])
    }

    private func order(_ n: Int) -> GeneratedRecord {
        // Each order draws from a generator of its own, so that a change finds the same key.
        var random = GeneratorRandom(seed: seed &* 1_000_003 &+ UInt64(n))
        let item = n == 0 ? 23 : Int.random(in: 1...99, using: &random)
        let customer = Int.random(in: 1...500, using: &random)
        let date = n == 0 ? Self.dates[0] : Self.dates.randomElement(using: &random)!
        var product = Int.random(in: 0..<Self.products.count, using: &random)
        var tenths = Int.random(in: 10...989, using: &random)
        let second = Int.random(in: 0..<86_400, using: &random)
        if changes {
            product = (product + 1 + Int.random(in: 0..<8, using: &random)) % Self.products.count
            tenths = tenths == 989 ? 10 : tenths + 1
        }
        let day = changes ? "2020-10-02" : date
        func two(_ x: Int) -> String { x < 10 ? "0\(x)" : "\(x)" }
        let stamp = "\(day) \(two(second / 3_600)):\(two(second / 60 % 60)):\(two(second % 60))"
        return GeneratedRecord(partitionKey: "\(3_801 + n)", fields: [
            ("order_id", "\"\(3_801 + n)\""), ("item_id", "\"\(item)\""), ("customer_id", "\"\(customer)\""),
            ("product", "\"\(Self.products[product])\""), ("amount", "\(tenths / 10).\(tenths % 10)"), ("currency", "\"USD\""),
            ("time_stamp", "\"\(stamp)\""), ("transaction_date", "\"\(date)\""),
        ])
    }
}
