import StreamCore

/// An operator whose state is rows that belong to keys, so that ``Operators/keyed(_:)`` can keep it in memory or, a part at a
/// time, in a store.
///
/// - `snapshot` gives, beside pieces for every key group, pieces of the kinds of ``keyedState``, in whose rows the key's columns
///   come first, and with a time to live the time of the last write last. Several rows of a key keep their order.
/// - `restore` may be called again at any time between batches, with the state of keys that the operator does not hold.
/// - `process` touches only keys of the batch's rows, `advance` only keys that are due, and `advance` may be called several times
///   with one watermark.
protocol KeyedStateOperator: StreamOperator {
    var keyedState: KeyedStateForm { get }
    /// The columns of a batch of an input by which its rows belong to keys.
    func keyColumns(of batch: Batch, input: Int) -> [Column]
}

/// How the state of a ``KeyedStateOperator`` looks in its pieces.
struct KeyedStateForm {
    /// One kind of piece.
    struct Kind {
        var name: String
        /// All columns, those of the key first, without the time of the last write.
        var columns: StateColumns
        /// Milliseconds after its last write at which a row is forgotten; its piece then has ``StateColumns/lastWrite`` behind.
        var timeToLive: Int64?

        init(_ name: String, _ columns: StateColumns, timeToLive: Int64? = nil) {
            (self.name, self.columns, self.timeToLive) = (name, columns, timeToLive)
        }
    }
    var keyCount: Int
    var kinds: [Kind]
    /// The kind whose rows are the key and, behind it, a TIMESTAMP(3): the watermark at which `advance` has to see the key. At most
    /// one row for each key. nil = `advance` touches no key.
    var due: String?
    /// Those times are of the wall clock: `onTime` has to see the key once it is later.
    var isDueByClock = false
    /// Bytes that a key takes in memory beside what its columns' widths tell.
    var memoryPerKey = 0

    init(keyCount: Int, kinds: [Kind], due: String? = nil) { (self.keyCount, self.kinds, self.due) = (keyCount, kinds, due) }
}

extension Operators {
    /// An operator that keeps its state where the job's state backend says.
    static func keyed(_ make: @escaping @Sendable () throws -> any KeyedStateOperator) -> Factory {
        { BackendOperator(memory: try make()) { try KeyedStoredOperator(make) } }
    }
}

/// A ``KeyedStateOperator`` over a store: an entry for each key and kind, with all of the key's rows.
///
///     key group, 2 bytes | number of the kind | key          rows
///     key group, 2 bytes | 0xFE | time, 8 bytes | key        nothing: the key may be due then
final class KeyedStoredOperator: StoredOperator {
    private let form: KeyedStateForm
    private let keyOf: (Batch, Int) -> [Column]
    private let keyCodec: RowCodec
    private var watermark = EventTime.min
    private static let dueMark: UInt8 = 0xFE
    /// Keys that are made due at a time, so that they fit into memory.
    private static let dueAtOnce = 8_192

    init(_ make: @escaping () throws -> any KeyedStateOperator) throws {
        let sample = try make()
        form = sample.keyedState
        keyOf = { sample.keyColumns(of: $0, input: $1) }
        keyCodec = RowCodec(Array(form.kinds[0].columns.types[..<form.keyCount]))
        let width = form.kinds.reduce(0) { $0 + StoredLayout.width($1.columns.types) }
        try super.init(entryBytes: 128 + width + form.memoryPerKey, rowBytes: 64 + width, make)
    }

    override func layouts() -> [StoredLayout] {
        form.kinds.enumerated().map { i, kind in
            StoredLayout(name: kind.name, part: .kind(UInt8(i)), columns: kind.columns, identityCount: form.keyCount,
                         keys: Array(0..<form.keyCount), isTimed: kind.timeToLive != nil, hasNulls: true,
                         maxParallelism: context.maxParallelism)
        }
    }

    override var timesToLive: [Int64?] { form.kinds.map(\.timeToLive) }

    override func prepare(_ batch: Batch, input: Int) throws {
        try hold(keyOf(batch, input), rows: batch.selection?.rows, count: batch.count)
    }

    /// Makes the in-memory operator hold keys, which are about to change.
    private func hold(_ keys: [Column], rows: UnsafePointer<Int32>?, count: Int) throws {
        guard count > 0 else { return }
        var pieces: [KeyGroupState] = []
        for state in states {
            let new = state.touch(keys, rows: rows, count: count)
            if !isComplete, let piece = try state.read(new) { pieces.append(piece) }
        }
        if !pieces.isEmpty { try inner.restore(RestoredState(oneOfEach(progressPieces()) + pieces)) }
    }

    // MARK: Keys that are due

    private var isEmitting = false

    override func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = watermark
        changedAll = changedAll || form.due != nil
        guard try super.advance(to: watermark, output: output) == .done else {
            isEmitting = !form.isDueByClock
            return .more
        }
        return form.isDueByClock ? .done : try advanceStored(output)
    }

    // MARK: Keys that are due by the clock

    /// No key in the store is due earlier.
    private var storedDue = Int64.max

    override var wakeAt: Int64? {
        guard form.isDueByClock, storedDue < .max else { return inner.wakeAt }
        return min(inner.wakeAt ?? .max, storedDue + 1)
    }

    override func onTime(_ now: Int64, output: any Output) throws -> Progress {
        changedAll = changedAll || form.due != nil
        guard form.isDueByClock else { return try super.onTime(now, output: output) }
        watermark = EventTime(milliseconds: now - 1)
        guard try super.onTime(now, output: output) == .done else {
            isEmitting = true
            return .more
        }
        guard storedDue < now else { return .done }
        return try advanceStored(output)
    }

    private func findStoredDue() throws {
        storedDue = .max
        for group in context.keyGroups {
            let low = StoredLayout.prefix(keyGroup: group) + [Self.dueMark]
            try store.scan(from: low, to: StoredLayout.prefix(keyGroup: group + 1)) { key, _ in
                let bits = key.loadUnaligned(fromByteOffset: low.count, as: UInt64.self).bigEndian
                storedDue = min(storedDue, Int64(bitPattern: bits ^ 1 << 63))
                return false
            }
        }
    }

    override func resume(_ output: any Output) throws -> Progress {
        guard try super.resume(output) == .done else { return .more }
        guard isEmitting else { return .done }
        return try advanceStored(output)
    }

    /// Gives the keys that are due and only in the store to the in-memory operator.
    private func advanceStored(_ output: any Output) throws -> Progress {
        isEmitting = false
        guard form.due != nil else { return .done }
        while !isComplete {
            let keys = try takeDue()
            guard keys.count > 0 else { break }
            try withExtendedLifetime(keys) { try hold(keyCodec.decode(keys), rows: nil, count: keys.count) }
            changedAll = true
            let step =
                form.isDueByClock
                ? try super.onTime(watermark.milliseconds + 1, output: output) : try super.advance(to: watermark, output: output)
            if step == .more {
                isEmitting = true
                return .more
            }
        }
        if form.isDueByClock { try findStoredDue() }
        return .done
    }

    /// Encoded keys that the store says are due, which it then forgets.
    private func takeDue() throws -> Column {
        let found = ColumnBuilder(type: .bytes)
        var changes = StoreChanges(), count = 0
        for group in context.keyGroups where count < Self.dueAtOnce {
            let low = StoredLayout.prefix(keyGroup: group) + [Self.dueMark]
            let high = low + Self.ordered(watermark.milliseconds == .max ? .max : watermark.milliseconds + 1)
            try store.scan(from: low, to: high) { key, _ in
                found.append(bytes: UnsafeRawBufferPointer(rebasing: key[11...]))
                changes.deletes.append(key)
                count += 1
                return count < Self.dueAtOnce
            }
        }
        if count > 0 { try store.apply(changes) }
        return found.finish()
    }

    private static func ordered(_ time: Int64) -> [UInt8] {
        withUnsafeBytes(of: (UInt64(bitPattern: time) ^ 1 << 63).bigEndian) { Array($0) }
    }

    override func wrote(_ piece: KeyGroupState) throws {
        guard piece.name == form.due, piece.batch.count > 0 else { return }
        try index(piece)
    }

    /// Notes when keys are due. Entries of times that no longer hold do no harm: the operator has nothing to do then.
    private func index(_ piece: KeyGroupState) throws {
        let batch = piece.batch.compacted(), n = batch.count
        let columns = batch.columns.map { $0.flat() }
        let keys = Array(columns[..<form.keyCount]), times = columns[form.keyCount]
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
        defer { hashes.deallocate() }
        KeyGroups.hash(keys, count: n, into: hashes)
        let encoded = keyCodec.encode(keys, rows: nil, count: n)
        var entries: [[UInt8]] = []
        withExtendedLifetime(times) {
            let time = times.pointer(as: Int64.self)
            for i in 0..<n {
                storedDue = min(storedDue, time[i])
                let group = KeyGroups.group(ofHash: hashes[i], maxParallelism: context.maxParallelism)
                entries.append(StoredLayout.prefix(keyGroup: group) + [Self.dueMark] + Self.ordered(time[i]) + encoded.bytes(at: i))
            }
        }
        entries.sort { $0.lexicographicallyPrecedes($1) }
        var changes = StoreChanges()
        for entry in entries { changes.put(entry, []) }
        try store.apply(changes)
    }

    override func restore(_ state: RestoredState) throws {
        try super.restore(state)
        guard let due = form.due else { return }
        if form.isDueByClock { try findStoredDue() }
        for piece in state.pieces where piece.name == due { try index(piece.load()) }
    }
}
