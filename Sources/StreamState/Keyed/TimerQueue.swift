import StreamCore

/// Which clock a timer follows.
public enum TimeDomain: String, Sendable, Hashable {
    /// The watermark.
    case eventTime = "event time"
    /// The wall clock.
    case processingTime = "processing time"
}

/// A timer of a key. Ordered by time, then by the key's bytes.
package struct KeyTimer: Hashable, Comparable, Sendable {
    package var time: Int64
    package var key: StateKey

    package init(time: Int64, key: StateKey) {
        self.time = time
        self.key = key
    }

    package static func < (a: Self, b: Self) -> Bool {
        if a.time != b.time { return a.time < b.time }
        return a.key.bytes.lexicographicallyPrecedes(b.key.bytes)
    }
}

/// Timers of one domain: a set per key group says which there are, a heap over all which is next. A deleted timer stays in
/// the heap until it comes up, or until such ones are the larger part.
package struct TimerQueue {
    package let domain: TimeDomain
    private let keyGroups: Range<Int>
    private var live: [Set<KeyTimer>]
    private var versions: [UInt64]
    private var heap: [KeyTimer] = []
    private var count = 0

    package init(_ domain: TimeDomain, keyGroups: Range<Int>) {
        self.domain = domain
        self.keyGroups = keyGroups
        live = Array(repeating: [], count: keyGroups.count)
        versions = Array(repeating: 0, count: keyGroups.count)
    }

    /// Registering a timer that there is already changes nothing.
    package mutating func register(_ timer: KeyTimer) {
        let group = timer.key.group - keyGroups.lowerBound
        guard live[group].insert(timer).inserted else { return }
        versions[group] += 1
        count += 1
        heap.append(timer)
        var i = heap.count - 1
        while i > 0, heap[i] < heap[(i - 1) / 2] {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    /// Deleting a timer that there is not changes nothing.
    package mutating func delete(_ timer: KeyTimer) {
        let group = timer.key.group - keyGroups.lowerBound
        guard live[group].remove(timer) != nil else { return }
        versions[group] += 1
        count -= 1
        if heap.count > 2 * count + 64 {
            // A sorted array is a heap.
            heap = live.flatMap { $0 }.sorted()
        }
    }

    /// When the first timer is due; nil = there is none.
    package mutating func next() -> Int64? {
        while let first = heap.first {
            if live[first.key.group - keyGroups.lowerBound].contains(first) { return first.time }
            removeFirst()
        }
        return nil
    }

    /// Takes the first timer that is due by `time`.
    package mutating func take(by time: Int64) -> KeyTimer? {
        guard let next = next(), next <= time else { return nil }
        let timer = heap[0]
        removeFirst()
        let group = timer.key.group - keyGroups.lowerBound
        live[group].remove(timer)
        versions[group] += 1
        count -= 1
        return timer
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var i = 0
        while true {
            var least = i
            for child in [2 * i + 1, 2 * i + 2] where child < heap.count && heap[child] < heap[least] { least = child }
            if least == i { return }
            heap.swapAt(i, least)
            i = least
        }
    }

    // MARK: Snapshots

    /// Tables of key columns, domain and timestamp.
    package func units(_ codec: KeyCodec) -> [StateUnit] {
        live.enumerated().compactMap { place, timers in
            guard !timers.isEmpty else { return nil }
            let (domain, group) = (domain, place + keyGroups.lowerBound)
            return StateUnit(name: "\(KeyedScope.timersPiece)-\(domain.rawValue)-\(group)", version: versions[place]) {
                let ordered = timers.sorted()
                let times = ordered.map(\.time).withUnsafeBytes { Column(type: .bigint, count: ordered.count, values: Buffer(copying: $0)) }
                let columns = try codec.decode(ordered.lazy.map(\.key.bytes))
                    + [.constant(.string(domain.rawValue), type: .string, count: ordered.count), times]
                return [KeyGroupState(keyGroup: UInt16(group), name: KeyedScope.timersPiece, batch: Batch(columns: columns, physicalCount: ordered.count),
                                      columns: codec.fields.map(\.name) + ["domain", "timestamp"])]
            }
        }
    }

    /// Registers the timers of a piece that are of this domain.
    package mutating func restore(_ piece: KeyGroupState, _ codec: KeyCodec) throws {
        let batch = piece.batch.compacted()
        let columns = batch.columns.map { $0.flat() }
        let keys = codec.fields.count
        guard columns.map(\.type) == codec.fields.map(\.type) + [.string, .bigint] else {
            throw StreamError(.corrupt, "timers of key group \(piece.keyGroup) cannot be restored: their columns are \(columns.map { "\($0.type)" })",
                              fix: "partition the rows by the columns that the snapshot was taken with, or restore another checkpoint")
        }
        for row in 0..<batch.count where columns[keys].bytes(at: row).elementsEqual(domain.rawValue.utf8) {
            register(KeyTimer(time: columns[keys + 1].pointer(as: Int64.self)[row],
                              key: StateKey(group: Int(piece.keyGroup), bytes: codec.encode(Array(columns[..<keys]), row: row))))
        }
    }
}
