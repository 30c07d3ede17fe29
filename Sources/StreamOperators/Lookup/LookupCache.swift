import StreamCore

/// Rows of a table by key, as far as they have been read: all of them, those of some keys, or those of one batch.
final class LookupCache {
    private let access: LookupAccess
    private let options: LookupOptions
    private let keyTypes: [DataType]
    /// Places of the key among the columns that are read.
    private let keyPlaces: [Int]
    private let table: GroupTable
    let rows: RowArena
    /// The first and the last row of each key, and the next one behind each row; -1 = none.
    private let first = GroupArray<Int32>(fill: -1), last = GroupArray<Int32>(fill: -1), next = GroupArray<Int32>(fill: -1)
    /// When the rows of a key were read and last asked for, in milliseconds; `.min` = they have not been read.
    private let readAt = GroupArray<Int64>(fill: .min), askedAt = GroupArray<Int64>(fill: .min)
    private var reader: (any LookupReader)?
    private let metrics: OperatorMetrics
    private let ids = Scratch<Int32>()

    // A table kept as a whole.
    private var version: String?
    private var checkedAt = Int64.min
    private var known = 0
    private var failures = 0

    init(_ access: LookupAccess, _ options: LookupOptions, types: [DataType], keyPlaces: [Int], metrics: OperatorMetrics) {
        (self.access, self.options, self.keyPlaces, self.metrics) = (access, options, keyPlaces, metrics)
        keyTypes = keyPlaces.map { types[$0] }
        table = GroupTable(types: keyTypes)
        rows = RowArena(types: types)
    }

    /// Numbers of the keys of rows `which`, all of whose rows have been read.
    func find(_ keys: [Column], rows which: UnsafePointer<Int32>, count n: Int, now: Int64) throws -> UnsafePointer<Int32> {
        switch access {
        case .whole(let whole):
            try reload(whole, now)
            // Keys that the table does not have must not pile up.
            if table.count > 2 * known + 100_000 { table.keep((0..<Int32(truncatingIfNeeded: known)).map { $0 }) }
            return look(keys, which, n)
        case .byKey(let keyed):
            if options.cache == .none { forgetAll() }
            var numbers = look(keys, which, n)
            if let most = options.maxRows, table.count > max(most, n) {
                forgetOldest(most / 2)
                numbers = look(keys, which, n)
            }
            var missing: [Int32] = []
            for i in 0..<n where needsReading(numbers[i], now) {
                missing.append(numbers[i])
                readAt.base[Int(numbers[i])] = now
            }
            for i in 0..<n { askedAt.base[Int(numbers[i])] = now }
            if !missing.isEmpty { try read(keyed, missing) }
            return numbers
        }
    }

    private func look(_ keys: [Column], _ which: UnsafePointer<Int32>, _ n: Int) -> UnsafePointer<Int32> {
        let numbers = ids.reserve(n)
        table.lookup(keys, rows: which, count: n, into: numbers)
        first.reserve(table.count)
        last.reserve(table.count)
        if case .byKey = access {
            readAt.reserve(table.count)
            askedAt.reserve(table.count)
        }
        return UnsafePointer(numbers)
    }

    @inline(__always) func firstRow(_ key: Int32) -> Int32 { first.base[Int(key)] }
    @inline(__always) func nextRow(_ row: Int32) -> Int32 { next.base[Int(row)] }

    // MARK: keys asked for one by one

    private func needsReading(_ key: Int32, _ now: Int64) -> Bool {
        let at = readAt.base[Int(key)]
        guard at != .min else { return true }
        if at == now, askedAt.base[Int(key)] != now { return false }  // Read for this batch.
        if let age = options.expireAfterWrite, now - at >= age { return true }
        if let age = options.expireAfterAccess, now - askedAt.base[Int(key)] >= age { return true }
        return !options.cachesMissingKeys && first.base[Int(key)] < 0 && at != now
    }

    private func read(_ keyed: any KeyedTable, _ missing: [Int32]) throws {
        if reader == nil { reader = try keyed.reader(metrics: metrics) }
        for key in missing { dropRows(key) }
        let keys = missing.withUnsafeBufferPointer { table.keyColumns($0.baseAddress!, count: $0.count) }
        let (columns, owners) = try reader!.look(keys.map { $0.flat() }, count: missing.count)
        add(columns, owners.map { missing[Int($0)] })
    }

    private func dropRows(_ key: Int32) {
        var row = first.base[Int(key)], dropped: [Int32] = []
        while row >= 0 {
            dropped.append(row)
            row = next.base[Int(row)]
        }
        (first.base[Int(key)], last.base[Int(key)]) = (-1, -1)
        dropped.withUnsafeBufferPointer { if let base = $0.baseAddress { rows.remove(base, count: $0.count) } }
    }

    private func add(_ columns: [Column], _ keys: [Int32]) {
        let n = keys.count
        guard n > 0 else { return }
        let numbers = UnsafeMutablePointer<Int32>.allocate(capacity: n)
        defer { numbers.deallocate() }
        rows.add(columns, rows: nil, count: n, into: numbers)
        next.reserve(rows.capacity)
        for i in 0..<n {
            let (row, key) = (numbers[i], Int(keys[i]))
            next.base[Int(row)] = -1
            if last.base[key] >= 0 { next.base[Int(last.base[key])] = row } else { first.base[key] = row }
            last.base[key] = row
        }
    }

    private func forgetAll() {
        for array in [first, last] { array.clear(table.count) }
        readAt.clear(table.count)
        askedAt.clear(table.count)
        table.removeAll()
        rows.removeAll()
    }

    /// Keeps the `most` keys that were asked for last.
    private func forgetOldest(_ most: Int) {
        let order = (0..<Int32(truncatingIfNeeded: table.count)).sorted { askedAt.base[Int($0)] > askedAt.base[Int($1)] }
        let kept = order.prefix(most).filter { readAt.base[Int($0)] != .min }.sorted()
        let stays = Set(kept)
        for key in order where !stays.contains(key) { dropRows(key) }
        table.keep(kept)
        for array in [first, last] { array.remap(kept) }
        readAt.remap(kept)
        askedAt.remap(kept)
    }

    // MARK: a table kept as a whole

    private func reload(_ whole: any ReloadableTable, _ now: Int64) throws {
        guard version == nil || now - checkedAt >= options.reloadInterval else { return }
        checkedAt = now
        do {
            let current = try whole.version()
            guard current != version else { return }
            var read: [Batch] = []
            try whole.read { read.append($0.compacted()) }
            forgetAll()
            for batch in read where !batch.isEmpty {
                let columns = batch.columns.map { $0.flat() }, keys = keyPlaces.map { columns[$0] }
                let all = (0..<batch.count).filter { row in keys.allSatisfy { $0.isValid(row) } }.map { Int32(truncatingIfNeeded: $0) }
                guard !all.isEmpty else { continue }
                let numbers = look(keys, all, all.count)
                let taken = all.count == batch.count ? columns : columns.map { $0.gather(all) }
                add(taken, Array(UnsafeBufferPointer(start: numbers, count: all.count)))
            }
            (version, known, failures) = (current, table.count, 0)
        } catch {
            // A table that is being written just now is read a moment later; until then the rows of before hold.
            failures += 1
            guard version != nil, failures <= options.maxRetries else { throw error }
        }
    }

    func close() { reader?.close() }
}
