/// Groups by the time at which they are due, the earliest first. A group whose time has changed is pushed again, and who pops it
/// checks that the time still holds.
struct DueHeap {
    private var entries: [(time: Int64, group: Int32)] = []

    var first: Int64? { entries.first?.time }

    mutating func push(_ time: Int64, _ group: Int32) {
        entries.append((time, group))
        var i = entries.count - 1
        while i > 0 {
            let parent = (i - 1) / 2
            guard entries[i].time < entries[parent].time else { return }
            entries.swapAt(i, parent)
            i = parent
        }
    }

    mutating func pop() -> (time: Int64, group: Int32) {
        let top = entries[0], last = entries.removeLast()
        guard !entries.isEmpty else { return top }
        entries[0] = last
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < entries.count && entries[child].time < entries[least].time { least = child }
            guard least != i else { return top }
            entries.swapAt(i, least)
            i = least
        }
    }

    mutating func removeAll() { entries.removeAll() }
}
