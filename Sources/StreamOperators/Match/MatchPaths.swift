/// Rows that partial matches took, as lists that share their beginnings: each node is a row and the variable that took it, and points
/// to the one before.
final class MatchPaths {
    private let rows = GroupArray<Int32>(fill: -1)
    private let variables = GroupArray<Int32>(fill: 0)
    private let parents = GroupArray<Int32>(fill: -1)
    private let uses = GroupArray<Int32>(fill: 0)
    private var free: [Int32] = []
    private var end = 0
    /// How many nodes, and what else, hold a row.
    private let rowUses = GroupArray<Int32>(fill: 0)
    /// Rows that nothing holds any more.
    private(set) var released: [Int32] = []

    func row(_ node: Int32) -> Int32 { rows.base[Int(node)] }
    func variable(_ node: Int32) -> Int32 { variables.base[Int(node)] }
    func parent(_ node: Int32) -> Int32 { parents.base[Int(node)] }

    /// A new node, which the caller holds.
    func add(_ row: Int32, _ variable: Int, after parent: Int32) -> Int32 {
        let node: Int32
        if let reused = free.popLast() {
            node = reused
        } else {
            node = Int32(truncatingIfNeeded: end)
            end += 1
            rows.reserve(end)
            variables.reserve(end)
            parents.reserve(end)
            uses.reserve(end)
        }
        rows.base[Int(node)] = row
        variables.base[Int(node)] = Int32(truncatingIfNeeded: variable)
        parents.base[Int(node)] = parent
        uses.base[Int(node)] = 1
        hold(parent)
        holdRow(row)
        return node
    }

    func hold(_ node: Int32) { if node >= 0 { uses.base[Int(node)] += 1 } }

    func release(_ node: Int32) {
        var node = node
        while node >= 0 {
            uses.base[Int(node)] -= 1
            guard uses.base[Int(node)] == 0 else { return }
            releaseRow(rows.base[Int(node)])
            free.append(node)
            node = parents.base[Int(node)]
        }
    }

    func holdRow(_ row: Int32) {
        rowUses.reserve(Int(row) + 1)
        rowUses.base[Int(row)] += 1
    }

    func releaseRow(_ row: Int32) {
        rowUses.base[Int(row)] -= 1
        if rowUses.base[Int(row)] == 0 { released.append(row) }
    }

    func takeReleased() -> [Int32] {
        defer { released = [] }
        return released
    }

    /// Nodes from the first row to this one.
    func path(_ node: Int32) -> [Int32] {
        var nodes: [Int32] = [], at = node
        while at >= 0 {
            nodes.append(at)
            at = parents.base[Int(at)]
        }
        nodes.reverse()
        return nodes
    }
}

/// Numbers by time, the least first.
struct TimeHeap {
    private var items: [(time: Int64, number: Int32)] = []

    var first: (time: Int64, number: Int32)? { items.first }

    mutating func push(_ time: Int64, _ number: Int32) {
        items.append((time, number))
        var i = items.count - 1
        while i > 0, items[i].time < items[(i - 1) / 2].time {
            items.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    mutating func pop() {
        items.swapAt(0, items.count - 1)
        items.removeLast()
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < items.count && items[child].time < items[least].time { least = child }
            if least == i { return }
            items.swapAt(i, least)
            i = least
        }
    }
}
