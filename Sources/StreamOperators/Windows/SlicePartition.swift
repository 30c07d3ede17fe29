import StreamCore

/// Sorts the rows of a batch by the slice their time is in, keeping their order within each.
///
/// Most batches lie within one slice, which two comparisons per row find out; nothing is moved then.
final class SlicePartition {
    /// Rows of one slice, in memory of the partition or the batch.
    struct Part {
        var slice: Int64
        var groups: UnsafePointer<Int32>
        var rows: UnsafePointer<Int32>?
        var count: Int
    }

    private let slots = Scratch<Int32>()
    private let sortedGroups = Scratch<Int32>()
    private let sortedRows = Scratch<Int32>()
    private var slotOfSlice: [Int64: Int32] = [:]

    /// - Parameter times: local milliseconds by position.
    func split(_ times: UnsafePointer<Int64>, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count n: Int,
               _ windowing: Windowing) -> [Part] {
        guard n > 0 else { return [] }
        var low = Int64.max, high = Int64.min
        for i in 0..<n {
            low = min(low, times[i])
            high = max(high, times[i])
        }
        let first = windowing.slice(of: low)
        if high < windowing.time(ofSlice: first + 1) { return [Part(slice: first, groups: groups, rows: rows, count: n)] }

        let slots = slots.reserve(n)
        slotOfSlice.removeAll(keepingCapacity: true)
        var slices: [Int64] = [], counts: [Int] = []
        var from: Int64 = 1, until: Int64 = 0, slot: Int32 = 0
        var run = 0
        for i in 0..<n {
            let time = times[i]
            if time < from || time >= until {
                if run > 0 { counts[Int(slot)] += run }
                run = 0
                let slice = windowing.slice(of: time)
                from = windowing.time(ofSlice: slice)
                until = from + windowing.width
                if let known = slotOfSlice[slice] {
                    slot = known
                } else {
                    slot = Int32(slices.count)
                    slotOfSlice[slice] = slot
                    slices.append(slice)
                    counts.append(0)
                }
            }
            slots[i] = slot
            run += 1
        }
        counts[Int(slot)] += run

        let toGroups = sortedGroups.reserve(n), toRows = sortedRows.reserve(n)
        var starts: [Int] = [], at = 0
        for count in counts {
            starts.append(at)
            at += count
        }
        var next = starts
        next.withUnsafeMutableBufferPointer { next in
            let next = next.baseAddress!
            forEachRow(rows, n) { i, row in
                let slot = Int(slots[i])
                let to = next[slot]
                next[slot] = to &+ 1
                toGroups[to] = groups[i]
                toRows[to] = Int32(truncatingIfNeeded: row)
            }
        }
        return slices.indices.map {
            Part(slice: slices[$0], groups: UnsafePointer(toGroups + starts[$0]), rows: UnsafePointer(toRows + starts[$0]), count: counts[$0])
        }
    }
}
