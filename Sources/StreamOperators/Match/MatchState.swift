import StreamCore

/// Snapshots of a pattern search: the rows that are pending or part of a match, the matches, and when keys are due.
extension MatchOperator {
    private static let progress = StateColumns([("watermark", .bigint)])
    private var keyTypes: StateColumns { StateColumns(spec.keys.map { spec.inputSchema[$0] }) }
    private var rowColumns: StateColumns {
        keyTypes + StateColumns([("number", .bigint), ("time", .bigint), ("arrival", .bigint)])
            + StateColumns(spec.inputSchema.map { ("row.\($0.name)", $0.type) })
    }
    private var matchColumns: StateColumns {
        keyTypes + StateColumns([("state", .int), ("first", .bigint), ("first_time", .bigint), ("taken", .array(.bigint))])
    }
    private var dueColumns: StateColumns { keyTypes + StateColumns([("due", .timestamp(3))]) }

    var keyedState: KeyedStateForm {
        KeyedStateForm(keyCount: spec.keys.count, kinds: [.init("rows", rowColumns), .init("matches", matchColumns), .init("due", dueColumns)], due: "due")
    }

    /// Matches stand in the order of their queues, a complete one with state -1; what a match took is, for each row, its number times 64 and the variable.
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        var rowOwners: [Int32] = [], held: [Int32] = []
        var matchOwners: [Int32] = [], states: [Int32] = [], firsts: [Int64] = [], firstTimes: [Int64] = []
        let taken = ColumnBuilder(type: .array(.bigint))
        var dueOwners: [Int32] = [], dueTimes: [Int64] = []
        for (group, key) in keys.enumerated() {
            let owner = Int32(truncatingIfNeeded: group)
            var inMatches: Set<Int32> = []
            func add(_ match: Partial, _ state: Int32) {
                let path = paths.path(match.node)
                matchOwners.append(owner)
                states.append(state)
                firsts.append(match.first)
                firstTimes.append(match.firstTime)
                taken.append(.array(path.map { node in
                    inMatches.insert(paths.row(node))
                    return .int(numbers.base[Int(paths.row(node))] * 64 + Int64(paths.variable(node)))
                }))
            }
            for match in key.partials.items { add(match, Int32(truncatingIfNeeded: match.state)) }
            for match in key.complete.items { add(match, -1) }
            let all = inMatches.sorted { numbers.base[Int($0)] < numbers.base[Int($1)] } + key.pending
            held += all
            rowOwners += Array(repeating: owner, count: all.count)
            if dueAt.base[group] < .max {
                dueOwners.append(owner)
                dueTimes.append(dueAt.base[group])
            }
        }
        let rowKept = rows.frozen(), heldRows = held
        let rowTimes = held.map { times.base[Int($0)] }, rowNumbers = held.map { numbers.base[Int($0)] }, rowArrivals = held.map { arrivals.base[Int($0)] }
        let frozen = FrozenGroups(table.keys, maxParallelism: context.maxParallelism), path = taken.finish()
        let (names, matchNames, dueNames) = (rowColumns.names, matchColumns.names, dueColumns.names)
        let (rowOwnersDone, matchOwnersDone, dueOwnersDone) = (rowOwners, matchOwners, dueOwners)
        let (statesDone, firstsDone, firstTimesDone, dueTimesDone) = (states, firsts, firstTimes, dueTimes)
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[watermark]])
        return OperatorSnapshot(units: [
            StateUnit(name: "progress") { [progress] },
            StateUnit(name: "rows") {
                Self.cut(frozen, rowOwnersDone, "rows", names) { order in
                    [order.map { rowNumbers[Int($0)] }, order.map { rowTimes[Int($0)] }, order.map { rowArrivals[Int($0)] }].map { Self.longs(.bigint, $0) }
                        + rowKept.columns(order.map { heldRows[Int($0)] })
                }
            },
            StateUnit(name: "matches") {
                Self.cut(frozen, matchOwnersDone, "matches", matchNames) { order in
                    [Column.make(.int, count: order.count, zero: Int32(0)) { statesDone[Int(order[$0])] },
                     Self.longs(.bigint, order.map { firstsDone[Int($0)] }), Self.longs(.bigint, order.map { firstTimesDone[Int($0)] }), path.gather(order)]
                }
            },
            StateUnit(name: "due") {
                Self.cut(frozen, dueOwnersDone, "due", dueNames) { order in [Self.longs(.timestamp(3), order.map { dueTimesDone[Int($0)] })] }
            },
        ])
    }

    private static func longs(_ type: DataType, _ values: [Int64]) -> Column { .make(type, count: values.count, zero: Int64(0)) { values[$0] } }

    /// Pieces by key group of entries that belong to `owners`, their order within a key being kept; `columns` gives the columns behind
    /// the key for entries in an order.
    private static func cut(_ frozen: FrozenGroups, _ owners: [Int32], _ name: String, _ names: [String], _ columns: ([Int32]) -> [Column]) -> [KeyGroupState] {
        guard !owners.isEmpty else { return [] }
        let keys = owners.withUnsafeBufferPointer { frozen.keys.columns($0.baseAddress!, count: $0.count) }
        let n = owners.count
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
        defer { hashes.deallocate() }
        KeyGroups.hash(keys, count: n, into: hashes)
        let all = Selection.all(n)
        let order = withExtendedLifetime(all) {
            KeyGroupOrder(all.rows, count: n, maxParallelism: frozen.maxParallelism) { i, _ in
                KeyGroups.group(ofHash: hashes[i], maxParallelism: frozen.maxParallelism)
            }
        }
        let sorted = Array(UnsafeBufferPointer(start: order.ids.rows, count: n))
        return withExtendedLifetime(order.ids) { order.cut(keys.map { $0.gather(sorted) } + columns(sorted), name: name, columnNames: names) }
    }

    func restore(_ state: RestoredState) throws {
        var found: [(owner: Int32, state: Int32, first: Int64, firstTime: Int64, taken: [Int64])] = []
        var rowsByNumber: [Int64: Int32] = [:]
        func key(_ owner: Int32, _ number: Int64) -> Int64 { Int64(owner) << 40 | number }
        var restored: [Int32] = []
        try state.forEach { piece in
            let n = piece.batch.count, k = spec.keys.count
            func owners(_ columns: [Column]) -> [Int32] {
                let groups = ids.reserve(n)
                table.lookup(Array(columns[..<k]), rows: nil, count: n, into: groups)
                reserveKeys()
                return Array(UnsafeBufferPointer(start: groups, count: n))
            }
            switch piece.name {
            case "progress":
                let known = try Self.progress.columns(of: piece, operator: context.name)[0]
                for i in 0..<n { watermark = max(watermark, known.pointer(as: Int64.self)[i]) }
            case "rows":
                let columns = try rowColumns.columns(of: piece, operator: context.name)
                guard n > 0 else { return }
                let groups = owners(columns)
                let added = try take(Batch(columns: Array(columns[(k + 3)...]), physicalCount: n), times: columns[k + 1], now: 0)
                for i in 0..<n {
                    let number = columns[k].pointer(as: Int64.self)[i], group = Int(groups[i])
                    numbers.base[Int(added[i])] = number
                    arrivals.base[Int(added[i])] = columns[k + 2].pointer(as: Int64.self)[i]
                    nextArrival = max(nextArrival, arrivals.base[Int(added[i])] + 1)
                    if number < 0 {
                        keys[group].pending.append(added[i])
                    } else {
                        rowsByNumber[key(groups[i], number)] = added[i]
                        restored.append(added[i])
                        keys[group].nextNumber = max(keys[group].nextNumber, number + 1)
                    }
                }
            case "matches":
                let columns = try matchColumns.columns(of: piece, operator: context.name)
                guard n > 0 else { return }
                let groups = owners(columns)
                for i in 0..<n {
                    guard case .array(let taken) = columns[k + 3].value(at: i) else { continue }
                    found.append((groups[i], columns[k].pointer(as: Int32.self)[i], columns[k + 1].pointer(as: Int64.self)[i],
                                  columns[k + 2].pointer(as: Int64.self)[i], taken.map { if case .int(let n) = $0 { n } else { 0 } }))
                }
            case "due":
                let columns = try dueColumns.columns(of: piece, operator: context.name)
                guard n > 0 else { return }
                let groups = owners(columns)
                for i in 0..<n { setDue(Int(groups[i]), columns[k].pointer(as: Int64.self)[i]) }
            default: throw piece.unknown(operator: context.name)
            }
        }
        var partials: [Int: [Partial]] = [:], complete: [Int: [Partial]] = [:]
        for match in found {
            var node: Int32 = -1
            for place in match.taken {
                guard let row = rowsByNumber[key(match.owner, place >> 6)] else {
                    throw StreamError(.corrupt, "\(context.name): the state of a match refers to row \(place >> 6), which it does not hold",
                                      fix: "restore from another checkpoint")
                }
                let next = paths.add(row, Int(place & 63), after: node)
                paths.release(node)
                node = next
            }
            let made = Partial(state: Int(max(match.state, 0)), node: node, first: match.first, firstTime: match.firstTime)
            if match.state < 0 { complete[Int(match.owner), default: []].append(made) } else { partials[Int(match.owner), default: []].append(made) }
        }
        // The matches hold them now.
        for row in restored { paths.releaseRow(row) }
        for (group, matches) in partials { keys[group].partials = MatchQueue(restored: matches) }
        for (group, matches) in complete { keys[group].complete = MatchQueue(restored: matches) }
        for i in keys.indices { keys[i].pending.sort { arrivals.base[Int($0)] < arrivals.base[Int($1)] } }
        freeRows()
    }
}
