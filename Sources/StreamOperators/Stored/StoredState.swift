import StreamCore

/// One kind of an operator's state in its store, and what is known of the entries that the operator holds itself.
final class StoredState {
    let layout: StoredLayout
    private let store: any KeyedStore
    /// Entries that were asked for since the operator last started with empty hands.
    private let held: GroupTable
    private let flags = GroupArray<UInt8>(fill: 0)
    private let ids = Scratch<Int32>()
    private let context: OperatorContext
    /// Bytes of the keys of held entries and of what was read for them.
    private(set) var heldBytes = 0

    /// The held entry was changed since it was written.
    private static let dirty: UInt8 = 1
    /// The store has an entry.
    private static let stored: UInt8 = 2
    /// The operator still has it.
    private static let seen: UInt8 = 4

    init(_ layout: StoredLayout, _ store: any KeyedStore, _ context: OperatorContext) {
        (self.layout, self.store, self.context) = (layout, store, context)
        held = GroupTable(types: layout.identityTypes)
    }

    private func columns(of piece: KeyGroupState) throws -> (identity: [Column], values: [Column], count: Int) {
        try layout.columns(of: piece, operator: context.name, now: layout.isTimed ? context.now() : 0)
    }

    var heldCount: Int { held.count }

    /// Notes that the operator is about to change entries. The columns' other rows are not looked at.
    /// - Returns: the numbers of those it does not hold yet.
    func touch(_ identity: [Column], rows: UnsafePointer<Int32>?, count n: Int) -> Range<Int32> {
        let (before, numbers) = look(identity, rows: rows, count: n)
        let flags = flags.base
        for i in 0..<n { flags[Int(numbers[i])] |= Self.dirty }
        let new = before..<Int32(truncatingIfNeeded: held.count)
        if !new.isEmpty { heldBytes += identity.reduce(0) { $0 + $1.averageLength } * new.count }
        return new
    }

    private func look(_ identity: [Column], rows: UnsafePointer<Int32>?, count n: Int) -> (before: Int32, numbers: UnsafeMutablePointer<Int32>) {
        let before = Int32(truncatingIfNeeded: held.count)
        let numbers = ids.reserve(n)
        held.lookup(identity, rows: rows, count: n, into: numbers)
        flags.reserve(held.count)
        return (before, numbers)
    }

    /// What the store has of held entries, as columns of a piece.
    func read(_ numbers: Range<Int32>) throws -> KeyGroupState? {
        guard !numbers.isEmpty else { return nil }
        let list = Selection.range(Int(numbers.lowerBound)..<Int(numbers.upperBound)), n = numbers.count
        let identity = withExtendedLifetime(list) { held.keyColumns(list.rows, count: n) }
        var unsorted = ByteList(), keys = ByteList()
        layout.appendKeys(identity, count: n, to: &unsorted)
        let order = unsorted.sortedOrder()
        for i in order { unsorted.withBytes(Int(i)) { keys.append($0) } }
        let reader = StoredValueCodec.Reader(layout.values)
        let flags = flags.base + Int(numbers.lowerBound)
        var bytes = keys.bytes.count
        try store.get(keys) { i, value in
            let number = order[i]
            flags[Int(number)] |= Self.stored
            bytes += value.count
            try reader.append(value, owner: number)
        }
        heldBytes += bytes
        let (columns, owners) = reader.finish()
        guard let columns else { return nil }
        return owners.withUnsafeBufferPointer { owners in
            let mine = identity.map { $0.gather(owners.baseAddress!, count: owners.count) }
            return KeyGroupState(keyGroup: 0, name: layout.name, batch: Batch(columns: mine + columns, physicalCount: owners.count))
        }
    }

    /// What the store has under prefixes, without entries that are held already.
    func read(prefixes: ByteList) throws -> KeyGroupState? {
        let reader = StoredLayout.Reader(layout)
        try store.scan(prefixes: prefixes) { _, key, value in try reader.append(key, value) }
        guard let (columns, n) = reader.finish() else { return nil }
        heldBytes += reader.bytes
        let (before, numbers) = look(Array(columns[..<layout.identityCount]), rows: nil, count: n)
        var new: [Int32] = []
        for i in 0..<n where numbers[i] >= before { new.append(Int32(truncatingIfNeeded: i)) }
        for i in 0..<n { flags.base[Int(numbers[i])] |= Self.stored }
        guard !new.isEmpty else { return nil }
        var batch = Batch(columns: columns, physicalCount: n)
        batch.selection = Selection(new)
        return KeyGroupState(keyGroup: 0, name: layout.name, batch: batch.compacted())
    }

    /// What is to be written, collected piece by piece.
    struct Writing {
        fileprivate var keys = ByteList(), values = ByteList()
    }

    /// Adds what has changed of a piece of the operator's state.
    /// - Parameter all: also entries that were not touched.
    func add(_ piece: KeyGroupState, all: Bool, to writing: inout Writing) throws {
        let (identity, columns, n) = try columns(of: piece)
        guard n > 0 else { return }
        let (_, numbers) = look(identity, rows: nil, count: n)
        let flags = flags.base
        var rows: [Int32] = []
        for i in 0..<n {
            let number = Int(numbers[i])
            if all || flags[number] & Self.dirty != 0 { rows.append(Int32(truncatingIfNeeded: i)) }
            flags[number] |= Self.seen
        }
        rows.withUnsafeBufferPointer { rows in
            guard let first = rows.baseAddress, rows.count > 0 else { return }
            let those = rows.count == n ? identity : identity.map { $0.gather(first, count: rows.count) }
            layout.appendKeys(those, count: rows.count, to: &writing.keys)
        }
        layout.values.append(columns, rows: rows, to: &writing.values)
    }

    /// Makes the store hold what the operator holds, all of which has been added.
    func finish(_ writing: consuming Writing) throws {
        var changes = StoreChanges()
        Self.appendSorted(writing.keys, writing.values, to: &changes)
        writing = Writing()
        appendDeletes(to: &changes)
        try store.apply(changes)
        let flags = flags.base
        for i in 0..<held.count { flags[i] = flags[i] & Self.seen != 0 ? Self.stored : 0 }
    }

    /// Writes pieces as they are.
    func load(_ piece: KeyGroupState) throws {
        let (identity, columns, n) = try columns(of: piece)
        guard n > 0 else { return }
        var keys = ByteList(), values = ByteList(), changes = StoreChanges()
        layout.appendKeys(identity, count: n, to: &keys)
        layout.values.append(columns, rows: (0..<n).map { Int32(truncatingIfNeeded: $0) }, to: &values)
        Self.appendSorted(keys, values, to: &changes)
        try store.apply(changes)
    }

    /// Entries in order; rows of state with one key become one entry.
    private static func appendSorted(_ keys: ByteList, _ values: ByteList, to changes: inout StoreChanges) {
        var last = -1
        for i in keys.sortedOrder() {
            let i = Int(i)
            keys.withBytes(i) { key in
                values.withBytes(i) { value in
                    if last >= 0, keys.withBytes(last, { $0.elementsEqual(key) }) {
                        changes.values.extendLast(value)
                    } else {
                        changes.puts.append(key)
                        changes.values.append(value)
                    }
                }
            }
            last = i
        }
    }

    private func appendDeletes(to changes: inout StoreChanges) {
        let flags = flags.base
        var gone: [Int32] = []
        for i in 0..<held.count where flags[i] & (Self.stored | Self.seen) == Self.stored { gone.append(Int32(truncatingIfNeeded: i)) }
        guard !gone.isEmpty else { return }
        let identity = gone.withUnsafeBufferPointer { held.keyColumns($0.baseAddress!, count: $0.count) }
        var keys = ByteList()
        layout.appendKeys(identity, count: gone.count, to: &keys)
        for i in keys.sortedOrder() { keys.withBytes(Int(i)) { changes.deletes.append($0) } }
    }

    /// Deletes entries of a key group that were last written before a time. For when nothing is held.
    func removeExpired(_ group: Int, before: Int64) throws {
        let (low, high) = layout.range(ofKeyGroup: group)
        var reader = StoredLayout.Reader(layout), changes = StoreChanges()
        func end() {
            guard let (columns, n) = reader.finish() else { return }
            reader = StoredLayout.Reader(layout)
            let times = columns[columns.count - 1]
            let old = withExtendedLifetime(times) { (0..<n).filter { times.pointer(as: Int64.self)[$0] < before }.map { Int32($0) } }
            guard !old.isEmpty else { return }
            let identity = old.withUnsafeBufferPointer { old in columns[..<layout.identityCount].map { $0.gather(old.baseAddress!, count: old.count) } }
            layout.appendKeys(identity, count: old.count, to: &changes.deletes)
        }
        try store.scan(from: low, to: high) { key, value in
            try reader.append(key, value)
            if reader.count == 65_536 { end() }
            return true
        }
        end()
        try store.apply(changes)
    }

    /// Forgets all held entries.
    func removeAll() {
        flags.clear(held.count)
        held.removeAll()
        heldBytes = 0
    }

    /// Forgets held entries that the store does not have.
    func removeMissing() {
        let kept = (0..<Int32(held.count)).filter { flags.base[Int($0)] & Self.stored != 0 }
        guard kept.count < held.count else { return }
        guard !kept.isEmpty else { return removeAll() }
        heldBytes = heldBytes / held.count * kept.count
        held.keep(kept)
        flags.remap(kept)
    }
}

extension Column {
    /// Bytes of a text or binary value on average; 0 for other types.
    fileprivate var averageLength: Int {
        let plain = dictionary ?? self
        guard type.physical == .view, plain.count > 0 else { return 0 }
        let views = plain.pointer(as: StringView.self)
        var total = 0
        for i in 0..<plain.count { total &+= Int(views[i].length) }
        return total / plain.count
    }
}
