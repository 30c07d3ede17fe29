import StreamCore

/// How rows go from the subtasks of one vertex to those of the next.
public enum Partitioning: Hashable, Sendable {
    /// Subtask i to subtask i; vertices joined so with equal parallelism are fused into one chain.
    case forward
    /// By key group of these columns of the sender's output.
    case hash([Int])
    /// Batches in turn to all subtasks.
    case rebalance
    /// Everything to subtask 0.
    case single
}

/// Event time of a source's rows: which column, and what watermark a row stands for.
public struct WatermarkStrategy: Sendable {
    /// Column of the prepared batch (see ``SourceVertex/prepare``); TIMESTAMP(0...3) or TIMESTAMP_LTZ(0...3), milliseconds.
    public var timeColumn: Int
    /// watermark = greatest time so far - delay.
    public var delayMilliseconds: Int64
    /// A watermark expression of another shape: gives each row's watermark as an Int64 column of milliseconds, null = none.
    public var expression: (@Sendable (Batch) throws -> Column)?
    /// A watermark is also told before a row whose time is this many milliseconds ahead of it: 1 where it matters to a session that ends
    /// with the watermark whether the row comes after it.
    public var tellsAhead: Int64 = 0
    /// A split without rows for this long no longer holds the watermark back; nil = never idle.
    public var idleTimeout: Duration?
    /// Name of the time column, for the error when it is null.
    public var columnName: String

    public init(timeColumn: Int, columnName: String, delayMilliseconds: Int64 = 0, idleTimeout: Duration? = nil,
                expression: (@Sendable (Batch) throws -> Column)? = nil) {
        self.timeColumn = timeColumn
        self.columnName = columnName
        self.delayMilliseconds = delayMilliseconds
        self.idleTimeout = idleTimeout
        self.expression = expression
    }
}

/// A source: splits are read by readers, each batch is prepared (computed columns), gets its watermark, and flows on.
public struct SourceVertex: Sendable {
    public var source: any TableSource
    /// Makes the per-subtask function that turns a reader's batch into the vertex's output; nil = as it is.
    public var prepare: (@Sendable () throws -> (Batch) throws -> Batch)?
    public var watermark: WatermarkStrategy?
    /// Rows of the reader that go another way, over edges that carry ``JobEdge/Rows/errors``; nil = there are none.
    public var errors: ErrorOutput?

    public init(source: any TableSource, prepare: (@Sendable () throws -> (Batch) throws -> Batch)? = nil,
                watermark: WatermarkStrategy? = nil, errors: ErrorOutput? = nil) {
        self.source = source
        self.prepare = prepare
        self.watermark = watermark
        self.errors = errors
    }
}

/// Tells rows that stand for records that could not be decoded from the others. They are neither prepared nor have a place in
/// event time.
public struct ErrorOutput: Sendable {
    /// Number of columns of a reader's batch that its rows have; what follows is of errors only.
    public var rowColumns: Int
    /// Column of a reader's batch that is not NULL in errors.
    public var marker: Int
    /// - Parameter marker: a column behind the first `rowColumns`, all of which behind these errors have.
    public init(rowColumns: Int, marker: Int) { (self.rowColumns, self.marker) = (rowColumns, marker) }

    func split(_ batch: Batch) -> (rows: Batch, errors: Batch?) {
        var rows = batch
        rows.columns.removeSubrange(rowColumns...)
        let mark = batch.columns[marker]
        if let validity = mark.validity, Bitmap.countSet(validity.base, count: mark.count) == 0 { return (rows, nil) }
        var good: [Int32] = [], bad: [Int32] = []
        for i in 0..<batch.count {
            let row = batch.row(i)
            if mark.isValid(row) { bad.append(Int32(truncatingIfNeeded: row)) } else { good.append(Int32(truncatingIfNeeded: row)) }
        }
        guard !bad.isEmpty else { return (rows, nil) }
        rows.selection = Selection(good)
        let errors = Batch(columns: Array(batch.columns[rowColumns...]), physicalCount: batch.physicalCount, selection: Selection(bad))
        return (rows, errors.compacted())
    }
}

/// One logical step of a job, run as `parallelism` subtasks.
public struct JobVertex: Sendable {
    /// What a vertex does.
    public enum Kind: Sendable {
        case source(SourceVertex)
        case transform(@Sendable () throws -> any StreamOperator)
        case sink(any TableSink)
    }

    public var id: Int
    /// Identifies the vertex's state in checkpoints: the same for as long as it and what it reads from mean the same, whatever
    /// the parallelism; unique within the graph.
    public var operatorID: String
    /// Short and readable: `HOP(10 s, 1 min) status: COUNT(*), AVG(current_temperature)`.
    public var name: String
    public var kind: Kind
    public var parallelism: Int
    public var outputSchema: Schema

    /// - Parameter operatorID: by default made of the id and the name.
    public init(id: Int, name: String, kind: Kind, parallelism: Int, outputSchema: Schema, operatorID: String? = nil) {
        self.id = id
        self.operatorID = operatorID ?? "\(id)-\(name)"
        self.name = name
        self.kind = kind
        self.parallelism = parallelism
        self.outputSchema = outputSchema
    }
}

/// A connection of two vertices, and how rows are spread over the subtasks of the second.
public struct JobEdge: Sendable, Hashable {
    /// Which rows of its first vertex an edge carries.
    public enum Rows: Sendable {
        case output
        /// Those that a source's ``SourceVertex/errors`` tells apart.
        case errors
    }

    public var from: Int, to: Int
    /// Which input of `to`: 0, or 1 for the right side of a join. Several edges may feed the same input (UNION ALL).
    public var input: Int
    public var partitioning: Partitioning
    public var rows: Rows

    public init(from: Int, to: Int, input: Int = 0, partitioning: Partitioning = .forward, rows: Rows = .output) {
        self.rows = rows
        self.from = from
        self.to = to
        self.input = input
        self.partitioning = partitioning
    }
}

/// The physical plan of a job: vertices in topological order, and edges.
public struct JobGraph: Sendable {
    public var name: String
    public var vertices: [JobVertex]
    public var edges: [JobEdge]
    public var maxParallelism: Int

    public init(name: String, vertices: [JobVertex] = [], edges: [JobEdge] = [], maxParallelism: Int = KeyGroups.defaultMaxParallelism) {
        self.name = name
        self.vertices = vertices
        self.edges = edges
        self.maxParallelism = maxParallelism
    }
}
