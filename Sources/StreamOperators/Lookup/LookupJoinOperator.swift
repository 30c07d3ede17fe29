import StreamCore
import StreamExpressions

/// A join of each row with the rows that a table has for its key when the row is processed. Output columns: the input's, then the
/// table's. Null keys match nothing.
public struct LookupJoinSpec: Sendable {
    public var inputSchema: Schema
    /// Over the input's columns, each of the physical type of its column of the table.
    public var keys: [Expr]
    public var access: LookupAccess
    public var options: LookupOptions
    /// The columns that are read of the table, and where the key columns stand among them.
    public var readTypes: [DataType], keyPlaces: [Int]
    /// Makes what turns the columns read into the table's columns; nil = they are the same.
    public var prepare: (@Sendable () throws -> (Batch) throws -> Batch)?
    public var tableTypes: [DataType]
    /// Over the input's and then the table's columns.
    public var condition: Expr?
    public var keepsUnmatched: Bool

    public init(inputSchema: Schema, keys: [Expr], access: LookupAccess, options: LookupOptions, readTypes: [DataType], keyPlaces: [Int],
                prepare: (@Sendable () throws -> (Batch) throws -> Batch)? = nil, tableTypes: [DataType]? = nil, condition: Expr? = nil,
                keepsUnmatched: Bool = false) {
        self.inputSchema = inputSchema
        self.keys = keys
        self.access = access
        self.options = options
        self.readTypes = readTypes
        self.keyPlaces = keyPlaces
        self.prepare = prepare
        self.tableTypes = tableTypes ?? readTypes
        self.condition = condition
        self.keepsUnmatched = keepsUnmatched
    }
}

extension Operators {
    /// A lookup join; kinds of rows are the input rows'. Without state: what it keeps of the table is read again after a restart.
    public static func lookupJoin(_ spec: LookupJoinSpec, _ context: EvaluationContext) -> Factory {
        { LookupJoinOperator(spec, context) }
    }
}

final class LookupJoinOperator: StreamOperator {
    private let spec: LookupJoinSpec
    private let keys: Evaluator
    private let condition: Evaluator?
    private var prepare: ((Batch) throws -> Batch)?
    private var cache: LookupCache!
    private var context = OperatorContext(name: "")
    /// What could not be given yet, in order.
    private var waiting: [Batch] = []

    init(_ spec: LookupJoinSpec, _ context: EvaluationContext) {
        self.spec = spec
        keys = Evaluator(spec.keys, context: context)
        condition = spec.condition.map { Evaluator([$0], context: context) }
    }

    func open(_ context: OperatorContext) throws {
        self.context = context
        prepare = try spec.prepare?()
        cache = LookupCache(spec.access, spec.options, types: spec.readTypes, keyPlaces: spec.keyPlaces, metrics: context.metrics)
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        let batch = batch.compacted()
        let keys = try keys.evaluate(batch).map { $0.flat() }
        let nullable = keys.filter { $0.validity != nil }
        let asking = (0..<batch.count).filter { row in nullable.allSatisfy { $0.isValid(row) } }.map { Int32(truncatingIfNeeded: $0) }
        var owners: [Int32] = [], found: [Int32] = []
        if !asking.isEmpty {
            let numbers = try cache.find(keys, rows: asking, count: asking.count, now: context.now())
            for (i, row) in asking.enumerated() {
                var next = cache.firstRow(numbers[i])
                while next >= 0 {
                    owners.append(row)
                    found.append(next)
                    next = cache.nextRow(next)
                }
            }
        }
        var rows = try table(found)
        if let condition, !owners.isEmpty {
            let pairs = Batch(columns: batch.columns.map { $0.gather(owners) } + rows, physicalCount: owners.count)
            let truth = try condition.evaluate(pairs)[0].flat()
            let kept = withExtendedLifetime(truth) {
                owners.indices.filter { truth.isValid($0) && truth.pointer(as: UInt8.self)[$0] != 0 }.map { Int32(truncatingIfNeeded: $0) }
            }
            if kept.count < owners.count {
                owners = kept.map { owners[Int($0)] }
                rows = rows.map { $0.gather(kept) }
            }
        }
        var places = owners.indices.map { Int32(truncatingIfNeeded: $0) }
        if spec.keepsUnmatched { (owners, places) = CorrelateOperator.filled(owners, places, count: batch.count) }
        for start in stride(from: 0, to: owners.count, by: Batch.targetRows) {
            let range = start..<min(start + Batch.targetRows, owners.count)
            let (of, at) = (Array(owners[range]), Array(places[range]))
            var kinds: Buffer?
            if let from = batch.rowKinds?.pointer(as: UInt8.self) { kinds = of.map { from[Int($0)] }.withUnsafeBytes { Buffer(copying: $0) } }
            let right = rows.map { $0.gatherOrNull(at) }
            waiting.append(Batch(columns: batch.columns.map { $0.gather(of) } + right, physicalCount: of.count, rowKinds: kinds))
        }
        return try resume(output)
    }

    /// The table's columns of rows found.
    private func table(_ found: [Int32]) throws -> [Column] {
        let read = cache.rows.columns(found)
        guard let prepare else { return read }
        if found.isEmpty { return spec.tableTypes.map { ColumnBuilder(type: $0).finish() } }
        return try prepare(Batch(columns: read, physicalCount: found.count)).columns
    }

    func resume(_ output: any Output) throws -> Progress {
        while !waiting.isEmpty {
            guard output.isReady else { return .more }
            try output.emit(waiting.removeFirst())
        }
        return .done
    }

    func close() { cache?.close() }
}
