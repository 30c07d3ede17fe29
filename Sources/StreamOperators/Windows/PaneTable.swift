/// Panes by number: one for each window that a group has rows in. Panes of a group form a list, the newest first; the number of
/// a removed pane is given again.
final class PaneTable {
    /// Local milliseconds.
    let start = GroupArray<Int64>(fill: 0), end = GroupArray<Int64>(fill: 0)
    /// -1 = there is no such pane.
    let group = GroupArray<Int32>(fill: -1)
    /// The group's next pane; -1 = none.
    let next = GroupArray<Int32>(fill: -1)
    /// When the pane is to be looked at, as told to the timers.
    let timer = GroupArray<Int64>(fill: 0)
    /// Tells the panes apart that had the same number.
    private let generation = GroupArray<Int32>(fill: 0)
    /// The first pane by group.
    let heads = GroupArray<Int32>(fill: -1)
    private var free: [Int32] = []
    /// All numbers given so far are below.
    private(set) var capacity = 0
    private var timers = TimerHeap()

    var count: Int { capacity - free.count }

    /// Makes room for `n` more panes, so that pointers stay valid while they are added.
    func reserve(_ n: Int, groups: Int) {
        heads.reserve(groups)
        let wanted = capacity + n
        start.reserve(wanted)
        end.reserve(wanted)
        group.reserve(wanted)
        next.reserve(wanted)
        timer.reserve(wanted)
        generation.reserve(wanted)
    }

    /// A new pane of a group; ``reserve(_:groups:)`` has made room for it.
    func add(group g: Int32, start from: Int64, end to: Int64, timer time: Int64) -> Int32 {
        var pane: Int32
        if let reused = free.popLast() {
            pane = reused
        } else {
            pane = Int32(truncatingIfNeeded: capacity)
            capacity += 1
        }
        let p = Int(pane)
        (start.base[p], end.base[p], group.base[p]) = (from, to, g)
        next.base[p] = heads.base[Int(g)]
        heads.base[Int(g)] = pane
        setTimer(pane, time)
        return pane
    }

    /// The earliest pane of a group that a window touches; -1 = none.
    func earliest(of g: Int32, from low: Int64, to high: Int64) -> Int32 {
        var found: Int32 = -1
        var pane = heads.base[Int(g)]
        while pane >= 0 {
            let p = Int(pane)
            if start.base[p] <= high, end.base[p] >= low, found < 0 || start.base[p] < start.base[Int(found)] { found = pane }
            pane = next.base[p]
        }
        return found
    }

    func setTimer(_ pane: Int32, _ time: Int64) {
        timer.base[Int(pane)] = time
        timers.push(.init(time: time, pane: pane, generation: generation.base[Int(pane)]))
    }

    func remove(_ pane: Int32) {
        let p = Int(pane), g = Int(group.base[p])
        var at = heads.base[g]
        if at == pane {
            heads.base[g] = next.base[p]
        } else {
            while next.base[Int(at)] != pane { at = next.base[Int(at)] }
            next.base[Int(at)] = next.base[p]
        }
        group.base[p] = -1
        generation.base[p] &+= 1
        free.append(pane)
    }

    /// Time of the next timer; nil = there is none.
    var nextTimer: Int64? {
        while let first = timers.first {
            if isCurrent(first) { return first.time }
            timers.removeFirst()
        }
        return nil
    }

    /// The pane of the next timer up to `time`, whose timer is gone then.
    func takeDue(_ time: Int64) -> Int32? {
        while let first = timers.first, first.time <= time {
            timers.removeFirst()
            guard isCurrent(first) else { continue }
            timer.base[Int(first.pane)] = .max
            return first.pane
        }
        return nil
    }

    private func isCurrent(_ entry: TimerHeap.Entry) -> Bool {
        let p = Int(entry.pane)
        return entry.generation == generation.base[p] && group.base[p] >= 0 && timer.base[p] == entry.time
    }

    /// Gives groups new numbers: group kept[i] becomes group i. The others have no panes.
    func renumber(_ kept: [Int32], groups n: Int) {
        var numbers = [Int32](repeating: -1, count: n)
        for (new, old) in kept.enumerated() { numbers[Int(old)] = Int32(new) }
        for p in 0..<capacity where group.base[p] >= 0 { group.base[p] = numbers[Int(group.base[p])] }
        heads.remap(kept)
    }
}

/// Times with their panes, the earliest first. Entries that no longer hold are left in and skipped.
struct TimerHeap {
    struct Entry {
        var time: Int64
        var pane: Int32
        var generation: Int32
    }
    private var entries: [Entry] = []

    var first: Entry? { entries.first }

    mutating func push(_ entry: Entry) {
        entries.append(entry)
        entries.withUnsafeMutableBufferPointer { entries in
            var i = entries.count - 1
            while i > 0 {
                let parent = (i - 1) / 2
                guard entry.time < entries[parent].time else { break }
                entries[i] = entries[parent]
                i = parent
            }
            entries[i] = entry
        }
    }

    mutating func removeFirst() {
        let last = entries.removeLast()
        guard !entries.isEmpty else { return }
        entries.withUnsafeMutableBufferPointer { entries in
            let n = entries.count
            var i = 0
            while true {
                var child = 2 * i + 1
                guard child < n else { break }
                if child + 1 < n, entries[child + 1].time < entries[child].time { child += 1 }
                guard entries[child].time < last.time else { break }
                entries[i] = entries[child]
                i = child
            }
            entries[i] = last
        }
    }
}
