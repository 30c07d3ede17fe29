import StreamCore

/// Rows for accumulators to take in: row `rows[i]` (i without `rows`) of the columns belongs to group `groups[i]`.
struct UpdateInput {
    /// All columns of the operator's input; those that aggregates read are plain.
    var columns: [Column]
    var groups: UnsafePointer<Int32>
    var rows: UnsafePointer<Int32>?
    var count: Int
    /// The rows are taken away again.
    var retract = false
    /// Every row belongs to group 0.
    var isSingleGroup = false
    /// Row r arrived as number `firstArrival + r` of the operator's input.
    var firstArrival: Int64 = 0
    /// 0 = all rows count as having arrived as that number, one behind the other.
    var arrivalStep: Int64 = 1
}

/// State of one aggregate, or of a part that several aggregates share, for many groups: a flat array per piece of state.
///
/// Null arguments and rows that FILTER leaves out have been removed from what `update` gets.
class Accumulator {
    /// Types of the columns that `state` gives and `absorb` takes.
    let stateTypes: [DataType]

    init(stateTypes: [DataType]) { self.stateTypes = stateTypes }

    /// Makes room for groups 0..<n.
    func reserve(_ n: Int) { preconditionFailure("abstract") }
    func update(_ input: UpdateInput) { preconditionFailure("abstract") }
    /// Group i takes in group `from + i` of `other`, for `count` groups.
    func merge(_ other: Accumulator, from: Int, count: Int) { preconditionFailure("abstract") }
    /// Groups 0..<n become empty.
    func clear(_ n: Int) { preconditionFailure("abstract") }
    /// The listed groups become empty.
    func reset(_ groups: UnsafePointer<Int32>, count: Int) { preconditionFailure("abstract") }
    /// Group kept[i] becomes group i, all others go.
    func remap(_ kept: [Int32]) { preconditionFailure("abstract") }
    /// Takes over the groups of another one of the same kind in place of its own. The other one stays as it is.
    func assign(_ other: Accumulator) { preconditionFailure("abstract") }
    /// What `absorb` needs to make the groups again, here or in another subtask. Only reads, and nothing that results write: a
    /// snapshot may call it on another thread while the operator reads too.
    func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] { preconditionFailure("abstract") }
    /// Takes in partial results: row `rows[i]` of the state columns belongs to group `groups[i]`.
    func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        preconditionFailure("abstract")
    }
}

/// One fixed-width value per group.
class ArrayAccumulator: Accumulator {
    final let values: GroupValues

    init(_ values: GroupValues, stateTypes: [DataType]) {
        self.values = values
        super.init(stateTypes: stateTypes)
    }

    override func reserve(_ n: Int) { values.reserve(n) }
    override func clear(_ n: Int) { values.clear(n) }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) { values.reset(groups, count: count) }
    override func remap(_ kept: [Int32]) { values.remap(kept) }
    override func assign(_ other: Accumulator) { values.assign(unsafeDowncast(other, to: ArrayAccumulator.self).values) }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let buffer = Buffer(capacity: count * values.width)
        func gather<T: BitwiseCopyable>(_: T.Type) {
            let (from, to) = (values.pointer(as: T.self), buffer.pointer(as: T.self))
            for i in 0..<count { to[i] = from[Int(groups[i])] }
        }
        switch values.width {
        case 1: gather(UInt8.self)
        case 2: gather(UInt16.self)
        case 4: gather(UInt32.self)
        case 8: gather(UInt64.self)
        default: gather(UInt128.self)
        }
        return [Column(type: stateTypes[0], count: count, values: buffer)]
    }
}

/// Rows per group. Counts of an argument share the count of all rows for as long as no null was seen: they are then
/// neither stored nor updated.
final class CountAccumulator: ArrayAccumulator {
    private let rows: CountAccumulator?
    private(set) var isShared: Bool

    /// - Parameter rows: the count of all rows of the same set, for a count of something else.
    init(sharing rows: CountAccumulator? = nil) {
        self.rows = rows
        isShared = rows != nil
        super.init(GroupValues(fill: Int64(0)), stateTypes: [.bigint])
    }

    /// Counts by group.
    var counts: UnsafePointer<Int64> { UnsafePointer((isShared ? rows! : self).values.pointer(as: Int64.self)) }

    /// Ends the sharing. To be called before the rows that make a difference are counted.
    func separate() {
        guard isShared, let rows else { return }
        isShared = false
        values.reserve(rows.values.capacity)
        values.pointer(as: Int64.self).update(from: rows.values.pointer(as: Int64.self), count: rows.values.capacity)
    }

    override func reserve(_ n: Int) { if !isShared { values.reserve(n) } }

    override func update(_ input: UpdateInput) {
        guard !isShared else { return }
        let (counts, groups) = (values.pointer(as: Int64.self), input.groups)
        if input.isSingleGroup {
            counts[0] &+= Int64(input.retract ? -input.count : input.count)
        } else {
            let step: Int64 = input.retract ? -1 : 1
            for i in 0..<input.count { counts[Int(groups[i])] &+= step }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        guard !isShared else { return }
        let source = unsafeDowncast(other, to: CountAccumulator.self).counts + from
        let to = values.pointer(as: Int64.self)
        for i in 0..<count { to[i] &+= source[i] }
    }

    override func clear(_ n: Int) {
        values.clear(n)
        if rows != nil { isShared = true }
    }

    override func reset(_ groups: UnsafePointer<Int32>, count: Int) { if !isShared { super.reset(groups, count: count) } }
    override func remap(_ kept: [Int32]) { if !isShared { super.remap(kept) } }

    override func assign(_ other: Accumulator) {
        let other = unsafeDowncast(other, to: CountAccumulator.self)
        isShared = other.isShared
        if !isShared { values.assign(other.values) }
    }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        isShared ? rows!.state(groups, count: count) : super.state(groups, count: count)
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (from, to) = (state[0].pointer(as: Int64.self), values.pointer(as: Int64.self))
        forEachRow(rows, count) { i, row in to[Int(groups[i])] &+= from[row] }
    }
}
