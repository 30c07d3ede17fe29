import StreamCore

/// Keyed state in an embedded ordered store.
///
///     key group (2 bytes) | handle (4) | key | what it holds
///
///     value, reducing, aggregating    nothing; the value
///     list                            00; the next position (8 bytes), or 01 and the position (8 bytes); an element
///     map                             the map key; a value
///     handle 0                        in place of the key a handle's name; its type, to be compared when it is restored
///
/// Integers are written highest byte first. A handle's number is a hash of its name, so that it stays the same when others come
/// and go. Keys end by themselves, so no key is the beginning of another. Values of handles that expire have the time of the
/// last touch in front, 8 bytes. Changes are gathered and written together.
package final class StoreBackend: KeyedBackend {
    private static let changesKept = 4_096
    /// A sweep looks at no fewer entries at a time, since setting up a scan costs more than walking on.
    private static let sweepStep = 256

    private let codec: KeyCodec
    private let keyGroups: Range<Int>
    private let store: any KeyedStore
    private var layouts: [HandleLayout] = []
    private var numbers: [UInt32] = []
    private var pending: [[UInt8]: Int] = [:]
    private var pendingKeys: [[UInt8]] = []
    /// nil = deleted.
    private var pendingValues: [[UInt8]?] = []
    private var isDescribed = false
    private var sweep: (range: Int, from: [UInt8]?, owed: Int) = (0, nil, 0)

    package init(_ codec: KeyCodec, keyGroups: Range<Int>, store: any KeyedStore) {
        self.codec = codec
        self.keyGroups = keyGroups
        self.store = store
    }

    package func declare(_ handle: HandleLayout) throws {
        let number = Self.number(handle.name)
        if let other = numbers.firstIndex(of: number) {
            throw StreamError(.validate, "states \"\(handle.name)\" and \"\(layouts[other].name)\" have the same hash and cannot be told apart",
                              fix: "give one of them another name")
        }
        layouts.append(handle)
        numbers.append(number)
    }

    static func number(_ name: String) -> UInt32 {
        let bytes = Array(name.utf8)
        return max(1, bytes.withUnsafeBytes { UInt32(truncatingIfNeeded: RowHash.bytes($0.baseAddress!, $0.count) >> 32) })
    }

    // MARK: Keys

    private func prefix(_ group: Int, _ number: UInt32) -> StateWriter {
        var key = StateWriter()
        key.fixed(UInt16(group))
        key.fixed(number)
        return key
    }

    private func prefix(_ handle: Int, _ key: StateKey, _ more: [UInt8] = []) -> [UInt8] {
        var out = prefix(key.group, numbers[handle])
        out.raw(key.bytes)
        out.raw(more)
        return out.bytes
    }

    private func elementKey(_ handle: Int, _ key: StateKey, _ position: UInt64) -> [UInt8] {
        var out = StateWriter()
        out.raw(prefix(handle, key, [1]))
        out.fixed(position)
        return out.bytes
    }

    /// The first key behind all that begin with `prefix`; nil = there is none.
    static func end(of prefix: [UInt8]) -> [UInt8]? {
        var end = prefix
        while let last = end.popLast() {
            if last < 0xFF { return end + [last + 1] }
        }
        return nil
    }

    // MARK: Reading and changing

    private func get(_ key: [UInt8]) throws -> [UInt8]? {
        if let i = pending[key] { return pendingValues[i] }
        return try store.get(key)
    }

    private func change(_ key: [UInt8], _ value: [UInt8]?) throws {
        if let i = pending[key] {
            pendingValues[i] = value
            return
        }
        pending[key] = pendingKeys.count
        pendingKeys.append(key)
        pendingValues.append(value)
        if pendingKeys.count >= Self.changesKept { try flush() }
    }

    private func flush() throws {
        guard !pendingKeys.isEmpty else { return }
        var changes = StoreChanges()
        for (key, value) in zip(pendingKeys, pendingValues) {
            if let value { changes.put(key, value) } else { changes.delete(key) }
        }
        try store.apply(changes)
        pending.removeAll(keepingCapacity: true)
        pendingKeys.removeAll(keepingCapacity: true)
        pendingValues.removeAll(keepingCapacity: true)
    }

    private func scan(_ prefix: [UInt8]) throws -> [(key: [UInt8], value: [UInt8])] {
        try flush()
        var found: [(key: [UInt8], value: [UInt8])] = []
        try store.scan(from: prefix, to: Self.end(of: prefix)) { key, value in
            found.append((Array(key), Array(value)))
            return true
        }
        return found
    }

    package func value(_ handle: Int, _ key: StateKey) throws -> [UInt8]? { try get(prefix(handle, key)) }
    package func setValue(_ handle: Int, _ key: StateKey, _ value: [UInt8]) throws { try change(prefix(handle, key), value) }

    package func list(_ handle: Int, _ key: StateKey) throws -> [[UInt8]] {
        guard try get(prefix(handle, key, [0])) != nil else { return [] }
        return try scan(prefix(handle, key, [1])).map(\.value)
    }

    package func append(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) throws {
        guard let newest = elements.last else { return }
        let headKey = prefix(handle, key, [0])
        let stamp = layouts[handle].stampSize
        var next: UInt64 = 0
        if let head = try get(headKey) {
            var reader = StateReader(head, at: stamp)
            next = try reader.fixed(UInt64.self)
        }
        for element in elements {
            try change(elementKey(handle, key, next), element)
            next += 1
        }
        // The head is as old as the newest element, so that it expires last.
        var head = StateWriter()
        head.raw(Array(newest.prefix(stamp)))
        head.fixed(next)
        try change(headKey, head.bytes)
    }

    package func replaceList(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) throws {
        try clear(handle, key)
        try append(handle, key, elements)
    }

    package func entry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) throws -> [UInt8]? { try get(prefix(handle, key, mapKey)) }

    package func setEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8], _ value: [UInt8]) throws {
        try change(prefix(handle, key, mapKey), value)
    }

    package func removeEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) throws { try change(prefix(handle, key, mapKey), nil) }

    package func entries(_ handle: Int, _ key: StateKey) throws -> [(key: [UInt8], value: [UInt8])] {
        let prefix = prefix(handle, key)
        return try scan(prefix).map { (Array($0.key[prefix.count...]), $0.value) }
    }

    package func clear(_ handle: Int, _ key: StateKey) throws {
        switch layouts[handle].kind {
        case .value, .reducing, .aggregating: try change(prefix(handle, key), nil)
        case .list, .map: for entry in try scan(prefix(handle, key)) { try change(entry.key, nil) }
        }
    }

    // MARK: Expiry

    package func removeExpired(now: Int64, budget: Int) throws {
        let expiring = layouts.indices.filter { layouts[$0].ttl != nil }
        guard !expiring.isEmpty else { return }
        sweep.owed += budget
        guard sweep.owed >= Self.sweepStep else { return }
        try flush()
        var rangesLeft = expiring.count * keyGroups.count
        while sweep.owed > 0, rangesLeft > 0 {
            let handle = expiring[sweep.range % expiring.count]
            let start = prefix(keyGroups.lowerBound + sweep.range / expiring.count, numbers[handle]).bytes
            var changes = StoreChanges()
            var next: [UInt8]?
            try store.scan(from: sweep.from ?? start, to: Self.end(of: start)) { key, value in
                guard sweep.owed > 0 else {
                    next = Array(key)
                    return false
                }
                sweep.owed -= 1
                if layouts[handle].isExpired(value, now: now) { changes.delete(Array(key)) }
                return true
            }
            if !changes.isEmpty { try store.apply(changes) }
            sweep.from = next
            if next == nil {
                sweep.range = (sweep.range + 1) % (expiring.count * keyGroups.count)
                rangesLeft -= 1
            }
        }
        sweep.owed = 0
    }

    // MARK: Snapshots

    package func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        if !isDescribed {
            for group in keyGroups {
                for layout in layouts { try change(prefix(group, 0).bytes + Array(layout.name.utf8), Array(layout.signature.utf8)) }
            }
            isDescribed = true
        }
        try flush()
        return OperatorSnapshot(stores: [try store.snapshot(checkpoint)])
    }

    package func restore(_ pieces: [RestoredState.Piece], _ stores: [StoreFiles]) throws {
        if !stores.isEmpty { try store.restore(stores, keyGroups: keyGroups) }
        for group in keyGroups {
            let start = prefix(group, 0).bytes
            for (key, signature) in try scan(start) {
                _ = try layouts.number(restoring: String(decoding: key[start.count...], as: UTF8.self), signature: String(decoding: signature, as: UTF8.self))
            }
        }
        // State of a job that kept it in memory.
        for piece in pieces where keyGroups.contains(Int(piece.keyGroup)) { try StatePieces.restore(piece.load(), codec, layouts, into: self) }
    }

    package func close() { store.close() }
}
