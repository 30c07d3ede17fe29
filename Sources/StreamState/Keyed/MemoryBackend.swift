import StreamCore

/// Keyed state in hash tables, one set of them per key group.
///
/// A snapshot shares a group's tables; the first change after it copies that group, and no other.
package final class MemoryBackend: KeyedBackend {
    /// Cells by key: a hash index over dense arrays, so that a sweep can stop and go on anywhere.
    private struct Table<Cell: Sendable>: Sendable {
        private(set) var keys: [[UInt8]] = []
        private(set) var cells: [Cell] = []
        private var index: [[UInt8]: Int] = [:]

        subscript(key: [UInt8]) -> Cell? { index[key].map { cells[$0] } }

        mutating func change(_ key: [UInt8], default empty: Cell, _ body: (inout Cell) -> Void) {
            if let i = index[key] { return body(&cells[i]) }
            index[key] = cells.count
            keys.append(key)
            cells.append(empty)
            body(&cells[cells.count - 1])
        }

        /// - Returns: false when there was nothing.
        mutating func remove(_ key: [UInt8]) -> Bool {
            guard let i = index.removeValue(forKey: key) else { return false }
            let last = cells.count - 1
            if i < last {
                keys.swapAt(i, last)
                cells.swapAt(i, last)
                index[keys[i]] = i
            }
            keys.removeLast()
            cells.removeLast()
            return true
        }
    }

    /// Of one handle in one key group; which table is used depends on the kind.
    private struct Tables: Sendable {
        var values = Table<[UInt8]>()
        var lists = Table<[[UInt8]]>()
        var maps = Table<[[UInt8]: [UInt8]]>()

        var isEmpty: Bool { values.cells.isEmpty && lists.cells.isEmpty && maps.cells.isEmpty }
    }

    private struct Group: Sendable {
        var tables: [Tables] = []
        var version: UInt64 = 0
    }

    private let codec: KeyCodec
    private let keyGroups: Range<Int>
    private var layouts: [HandleLayout] = []
    private var groups: [Group]
    /// Where the sweep for expired values goes on.
    private var sweep = (group: 0, handle: 0, cell: 0)

    package init(_ codec: KeyCodec, keyGroups: Range<Int>) {
        self.codec = codec
        self.keyGroups = keyGroups
        groups = Array(repeating: Group(), count: keyGroups.count)
    }

    package func declare(_ handle: HandleLayout) {
        layouts.append(handle)
        for g in groups.indices { groups[g].tables.append(Tables()) }
    }

    private func place(_ key: StateKey) -> Int { key.group - keyGroups.lowerBound }

    /// The place of a key's group, which is about to change.
    private func changing(_ key: StateKey) -> Int {
        let place = place(key)
        groups[place].version += 1
        return place
    }

    // MARK: Values

    package func value(_ handle: Int, _ key: StateKey) -> [UInt8]? { groups[place(key)].tables[handle].values[key.bytes] }

    package func setValue(_ handle: Int, _ key: StateKey, _ value: [UInt8]) {
        groups[changing(key)].tables[handle].values.change(key.bytes, default: []) { $0 = value }
    }

    package func list(_ handle: Int, _ key: StateKey) -> [[UInt8]] { groups[place(key)].tables[handle].lists[key.bytes] ?? [] }

    package func append(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) {
        guard !elements.isEmpty else { return }
        groups[changing(key)].tables[handle].lists.change(key.bytes, default: []) { $0 += elements }
    }

    package func replaceList(_ handle: Int, _ key: StateKey, _ elements: [[UInt8]]) {
        if elements.isEmpty { return clear(handle, key) }
        groups[changing(key)].tables[handle].lists.change(key.bytes, default: []) { $0 = elements }
    }

    package func entry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) -> [UInt8]? {
        groups[place(key)].tables[handle].maps[key.bytes]?[mapKey]
    }

    package func setEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8], _ value: [UInt8]) {
        groups[changing(key)].tables[handle].maps.change(key.bytes, default: [:]) { $0[mapKey] = value }
    }

    package func removeEntry(_ handle: Int, _ key: StateKey, _ mapKey: [UInt8]) {
        guard entry(handle, key, mapKey) != nil else { return }
        var isEmpty = false
        groups[changing(key)].tables[handle].maps.change(key.bytes, default: [:]) {
            $0[mapKey] = nil
            isEmpty = $0.isEmpty
        }
        if isEmpty { clear(handle, key) }
    }

    package func entries(_ handle: Int, _ key: StateKey) -> [(key: [UInt8], value: [UInt8])] {
        (groups[place(key)].tables[handle].maps[key.bytes] ?? [:]).sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) }
    }

    package func clear(_ handle: Int, _ key: StateKey) {
        let group = place(key)
        guard !groups[group].tables[handle].isEmpty else { return }
        let removed = switch layouts[handle].kind {
        case .value, .reducing, .aggregating: groups[group].tables[handle].values.remove(key.bytes)
        case .list: groups[group].tables[handle].lists.remove(key.bytes)
        case .map: groups[group].tables[handle].maps.remove(key.bytes)
        }
        if removed { groups[group].version += 1 }
    }

    // MARK: Expiry

    package func removeExpired(now: Int64, budget: Int) {
        guard layouts.contains(where: { $0.ttl != nil }) else { return }
        var left = budget, tablesLeft = groups.count * layouts.count
        while left > 0, tablesLeft > 0 {
            if layouts[sweep.handle].ttl != nil, removeExpired(now, &left) { continue }
            sweep.cell = 0
            sweep.handle += 1
            if sweep.handle == layouts.count { (sweep.handle, sweep.group) = (0, (sweep.group + 1) % groups.count) }
            tablesLeft -= 1
        }
    }

    /// Looks at one key. False at the end of the table.
    private func removeExpired(_ now: Int64, _ left: inout Int) -> Bool {
        let layout = layouts[sweep.handle], number = sweep.group + keyGroups.lowerBound
        // No copy of a table may be held while it changes: the change would copy all of it.
        func look<Cell>(_ table: KeyPath<Tables, Table<Cell>>) -> (key: StateKey, cell: Cell)? {
            guard sweep.cell < groups[sweep.group].tables[sweep.handle][keyPath: table].cells.count else { return nil }
            return (StateKey(group: number, bytes: groups[sweep.group].tables[sweep.handle][keyPath: table].keys[sweep.cell]),
                    groups[sweep.group].tables[sweep.handle][keyPath: table].cells[sweep.cell])
        }
        let isGone: Bool
        switch layout.kind {
        case .value, .reducing, .aggregating:
            guard let (key, value) = look(\.values) else { return false }
            isGone = layout.isExpired(value, now: now)
            left -= 1
            if isGone { clear(sweep.handle, key) }
        case .list:
            guard let (key, elements) = look(\.lists) else { return false }
            let kept = elements.filter { !layout.isExpired($0, now: now) }
            isGone = kept.isEmpty
            left -= elements.count
            if kept.count < elements.count { replaceList(sweep.handle, key, kept) }
        case .map:
            guard let (key, map) = look(\.maps) else { return false }
            let expired = map.filter { layout.isExpired($0.value, now: now) }
            isGone = expired.count == map.count
            left -= map.count
            for mapKey in expired.keys { removeEntry(sweep.handle, key, mapKey) }
        }
        // The last key of the table has taken the place of one that is gone.
        if !isGone { sweep.cell += 1 }
        return true
    }

    // MARK: Snapshots

    package func snapshot(_ checkpoint: UInt64) -> OperatorSnapshot {
        let (layouts, codec) = (layouts, codec)
        let units = groups.enumerated().compactMap { place, group -> StateUnit? in
            guard group.tables.contains(where: { !$0.isEmpty }) else { return nil }
            let number = place + keyGroups.lowerBound
            return StateUnit(name: "state-\(number)", version: group.version) {
                try zip(layouts, group.tables).compactMap { layout, tables in
                    tables.isEmpty ? nil : try StatePieces(codec: codec, layout: layout).make(Self.rows(tables, layout), group: number)
                }
            }
        }
        return OperatorSnapshot(units: units)
    }

    private static func rows(_ tables: Tables, _ layout: HandleLayout) -> StatePieces.Rows {
        var rows = StatePieces.Rows()
        switch layout.kind {
        case .value, .reducing, .aggregating: (rows.keys, rows.values) = (tables.values.keys, tables.values.cells)
        case .list:
            for (key, elements) in zip(tables.lists.keys, tables.lists.cells) {
                for (i, element) in elements.enumerated() {
                    rows.keys.append(key)
                    rows.positions.append(Int64(i))
                    rows.values.append(element)
                }
            }
        case .map:
            for (key, map) in zip(tables.maps.keys, tables.maps.cells) {
                for (mapKey, value) in map.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                    rows.keys.append(key)
                    rows.mapKeys.append(mapKey)
                    rows.values.append(value)
                }
            }
        }
        return rows
    }

    package func restore(_ pieces: [RestoredState.Piece], _ stores: [StoreFiles]) throws {
        if let store = stores.first {
            throw StreamError(.validate, "the snapshot holds keyed state in store \"\(store.name)\", but this job keeps state in memory",
                              fix: "set state.backend.type as it was when the snapshot was taken")
        }
        for piece in pieces where keyGroups.contains(Int(piece.keyGroup)) { try StatePieces.restore(piece.load(), codec, layouts, into: self) }
    }

    package func close() {}
}
