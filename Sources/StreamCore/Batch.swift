/// What a row means in a changelog, as Flink names it. Raw values are what ``Batch/rowKinds`` stores.
public enum RowKind: UInt8, Sendable, CustomStringConvertible {
    case insert = 0, updateBefore = 1, updateAfter = 2, delete = 3

    public var description: String { ["+I", "-U", "+U", "-D"][Int(rawValue)] }
    /// +I and +U add a row, -U and -D take one away.
    @inlinable public var isAdd: Bool { rawValue & 1 == 0 }
}

/// Row numbers into the columns of a batch, ascending unless said otherwise.
public struct Selection: Sendable {
    /// Int32 row numbers.
    public let buffer: Buffer
    public let count: Int

    public init(buffer: Buffer, count: Int) {
        self.buffer = buffer
        self.count = count
    }

    public init(_ rows: [Int32]) {
        buffer = rows.withUnsafeBytes { Buffer(copying: $0) }
        count = rows.count
    }

    @inlinable public var rows: UnsafePointer<Int32> { UnsafePointer(buffer.pointer(as: Int32.self)) }

    /// Positions `range` of this selection, sharing its memory.
    public func slice(_ range: Range<Int>) -> Selection {
        let (owner, start) = (buffer, buffer.base + range.lowerBound * 4)
        return Selection(buffer: Buffer(foreign: start, capacity: range.count * 4) { _ = owner }, count: range.count)
    }

    /// 0, 1, ... n - 1.
    public static func all(_ n: Int) -> Selection { range(0..<n) }

    public static func range(_ range: Range<Int>) -> Selection {
        let buffer = Buffer(capacity: range.count * 4)
        let rows = buffer.pointer(as: Int32.self)
        for i in 0..<range.count { rows[i] = Int32(truncatingIfNeeded: range.lowerBound + i) }
        return Selection(buffer: buffer, count: range.count)
    }
}

/// The unit of flow: up to a few thousand rows in typed columns.
///
///     columns     each of `physicalCount` rows
///     selection   the rows that count, in order; nil = all of them
///     rowKinds    UInt8 ``RowKind`` per physical row; nil = all inserts
public struct Batch: Sendable {
    public static let targetRows = 8_192

    public var columns: [Column]
    public var physicalCount: Int
    public var selection: Selection?
    public var rowKinds: Buffer?

    public init(columns: [Column], physicalCount: Int, selection: Selection? = nil, rowKinds: Buffer? = nil) {
        assert(columns.allSatisfy { $0.count == physicalCount }, "columns of unequal length")
        self.columns = columns
        self.physicalCount = physicalCount
        self.selection = selection
        self.rowKinds = rowKinds
    }

    /// Rows that count.
    public var count: Int { selection?.count ?? physicalCount }
    public var isEmpty: Bool { count == 0 }

    /// The physical row of the i-th selected row.
    @inlinable public func row(_ i: Int) -> Int {
        guard let selection else { return i }
        return Int(selection.rows[i])
    }

    @inlinable public func kind(atPhysical row: Int) -> RowKind {
        guard let rowKinds else { return .insert }
        return RowKind(rawValue: rowKinds.pointer(as: UInt8.self)[row])!
    }

    public var insertOnly: Bool { rowKinds == nil }

    /// The same rows with no selection vector; itself when there is none.
    public func compacted() -> Batch {
        guard let selection else { return self }
        var kinds: Buffer?
        if let rowKinds {
            let out = Buffer(capacity: selection.count)
            let (from, to) = (rowKinds.pointer(as: UInt8.self), out.pointer(as: UInt8.self))
            for i in 0..<selection.count { to[i] = from[Int(selection.rows[i])] }
            kinds = out
        }
        // A column that stands in several places is gathered once and stays one column.
        var done: [ObjectIdentifier: Column] = [:]
        let gathered = columns.map { column in
            if let known = done[ObjectIdentifier(column)] { return known }
            let made = column.gather(selection.rows, count: selection.count)
            done[ObjectIdentifier(column)] = made
            return made
        }
        return Batch(columns: gathered, physicalCount: selection.count, rowKinds: kinds)
    }

    /// Selected rows `range` as a batch that shares the columns.
    public func slice(_ range: Range<Int>) -> Batch {
        if range == 0..<count { return self }
        var copy = self
        copy.selection = selection?.slice(range) ?? .range(range)
        return copy
    }

    /// The selected rows, boxed. Slow: for tests, printing and other places off the hot path.
    public func rows() -> [[Value]] {
        (0..<count).map { i in columns.map { $0.value(at: row(i)) } }
    }

    /// A batch from boxed rows. Slow.
    public init(schema: Schema, rows: [[Value]], kinds: [RowKind]? = nil) {
        let columns = schema.enumerated().map { c, field in
            let builder = ColumnBuilder(type: field.type, capacity: rows.count)
            for row in rows { builder.append(row[c]) }
            return builder.finish()
        }
        let buffer = kinds.map { kinds in kinds.map(\.rawValue).withUnsafeBytes { Buffer(copying: $0) } }
        self.init(columns: columns, physicalCount: rows.count, rowKinds: buffer)
    }
}
