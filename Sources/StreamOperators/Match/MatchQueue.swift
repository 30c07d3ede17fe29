/// Matches of one key, the one with the earliest first row in front.
///
/// Flink keeps them in Java's priority queues, and which of several matches of the same first row is given depends on how these are laid
/// out. So this is the same binary heap, laid out the same whatever is put in and taken away.
struct MatchQueue {
    private(set) var items: [MatchOperator.Partial] = []

    init() {}

    /// Takes items in the order in which a queue had them.
    init(restored items: [MatchOperator.Partial]) { self.items = items }

    var first: MatchOperator.Partial? { items.first }
    var isEmpty: Bool { items.isEmpty }

    mutating func add(_ match: MatchOperator.Partial) {
        items.append(match)
        var i = items.count - 1
        while i > 0 {
            let parent = (i - 1) / 2
            if match.first >= items[parent].first { break }
            items[i] = items[parent]
            i = parent
        }
        items[i] = match
    }

    mutating func removeFirst() -> MatchOperator.Partial {
        let first = items[0]
        let last = items.removeLast()
        if !items.isEmpty { sink(last, from: 0) }
        return first
    }

    /// Leaves the order of the rest alone when nothing goes.
    mutating func removeAll(where isGone: (MatchOperator.Partial) -> Bool) {
        let before = items.count
        items.removeAll(where: isGone)
        guard items.count < before else { return }
        for i in (0..<items.count / 2).reversed() { sink(items[i], from: i) }
    }

    private mutating func sink(_ match: MatchOperator.Partial, from place: Int) {
        var i = place
        while i < items.count / 2 {
            var child = 2 * i + 1
            if child + 1 < items.count, items[child].first > items[child + 1].first { child += 1 }
            if match.first <= items[child].first { break }
            items[i] = items[child]
            i = child
        }
        items[i] = match
    }
}
