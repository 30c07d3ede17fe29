import StreamCore
import StreamExpressions

/// The present rows of a query's result, with what its changes take back taken back.
struct ResultRows {
    private(set) var rows: [[Value]] = []
    /// Positions in `rows` of equal rows, for retractions; empty rows are removed ones.
    private var index: [[Value]: [Int]] = [:]
    private var alive: [Bool] = []
    /// Rows that are there; those that were dropped for room count.
    private(set) var count = 0
    let isChangelog: Bool
    /// A row that takes another's place stands where that one stood, rather than at the end.
    let keepsPlaces: Bool
    /// Where a row was taken back that the next one replaces.
    private var hole: Int?

    init(isChangelog: Bool, keepsPlaces: Bool = false) { (self.isChangelog, self.keepsPlaces) = (isChangelog, keepsPlaces) }

    mutating func add(_ values: [Value], kind: RowKind) {
        if kind.isAdd {
            defer { hole = nil }
            count += 1
            if let hole, kind == .updateAfter {
                rows[hole] = values
                alive[hole] = true
                index[values, default: []].append(hole)
                return
            }
            if isChangelog { index[values, default: []].append(rows.count) }
            rows.append(values)
            alive.append(true)
        } else if let at = index[values]?.popLast() {
            if index[values]?.isEmpty == true { index[values] = nil }
            alive[at] = false
            count -= 1
            hole = keepsPlaces && kind == .updateBefore ? at : nil
        }
    }

    /// Rows that nothing takes back are not needed once they have left the screen.
    mutating func keep(newest limit: Int) {
        guard !isChangelog, rows.count > 2 * limit else { return }
        rows.removeFirst(rows.count - limit)
        alive = rows.map { _ in true }
    }

    /// Leaves out the places of removed rows.
    mutating func compact() {
        guard alive.contains(false) else { return }
        hole = nil
        rows = zip(rows, alive).filter(\.1).map(\.0)
        alive = rows.map { _ in true }
        index = [:]
        for (i, row) in rows.enumerated() { index[row, default: []].append(i) }
    }

    /// Rows that `isGone` says so of leave from the front.
    mutating func dropFirst(while isGone: ([Value]) -> Bool) {
        guard !isChangelog else { return }
        let gone = rows.prefix(while: isGone).count
        guard gone > 0 else { return }
        rows.removeFirst(gone)
        alive.removeFirst(gone)
        count -= gone
    }
}

extension Batch {
    /// A row's values; TIMESTAMP_LTZ as local time of the session.
    func shownValues(_ row: Int, _ schema: Schema, in zone: TimeZoneRules) -> [Value] {
        zip(columns, schema).map { column, field in
            let value = column.value(at: row)
            guard case .int(let time) = value, case .timestampLTZ = field.type, let unit = field.type.timeUnit, zone !== TimeZoneRules.utc else {
                return value
            }
            let seconds = time / unit.perSecond - (time % unit.perSecond < 0 ? 1 : 0)
            return .int(time + zone.offset(atUTC: seconds) * unit.perSecond)
        }
    }
}
