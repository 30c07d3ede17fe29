import StreamCore
import StreamExpressions

/// A window assigner over event time, in milliseconds.
///
/// Windows are cut into slices of gcd(size, slide); a row belongs to exactly one slice.
public enum WindowSpec: Hashable, Sendable {
    case tumble(size: Int64, offset: Int64)
    /// `size` must be a multiple of `slide`.
    case hop(slide: Int64, size: Int64, offset: Int64)
    /// Windows that start together and grow by `step` up to `size`.
    case cumulate(step: Int64, size: Int64, offset: Int64)
    /// Windows from a key's first row to `gap` after its last one: rows of a key that are `gap` apart or less share one.
    case session(gap: Int64)
}

/// One aggregate of a GROUP BY: its arguments and filter are columns of the operator's input.
public struct AggregateCall: Sendable, Hashable {
    /// Upper-case name as in ``AggregateRegistry``; COUNT(*) is COUNT without arguments.
    public var function: String
    public var arguments: [Int]
    public var argumentTypes: [DataType]
    public var filter: Int?
    public var distinct: Bool
    public var resultType: DataType
    /// Of a JSON aggregate: its values are JSON themselves, and are put in as they are.
    public var takesJson = false
    /// What computes it, when it is no built-in function; found by name while a statement is bound.
    public let user: AggregateFunction?

    public init(function: String, arguments: [Int], argumentTypes: [DataType], filter: Int? = nil, distinct: Bool = false,
                resultType: DataType) {
        user = UserAggregates.current[function]
        self.function = function
        self.arguments = arguments
        self.argumentTypes = argumentTypes
        self.filter = filter
        self.distinct = distinct
        self.resultType = resultType
    }
}

/// What a window aggregate adds behind its keys and aggregates.
public enum WindowProperty: Hashable, Sendable {
    /// TIMESTAMP(3) of the window's start and end, in the session time zone when the time attribute is TIMESTAMP_LTZ.
    case start, end
    /// end - 1 ms, of the time attribute's own type: the result's new time attribute.
    case time
}

/// When a window aggregate gives results apart from once, at the end of the window: Flink's `table.exec.emit.*`. Results that it
/// gave are then updated.
public struct WindowEmission: Sendable, Hashable {
    /// Results of windows that have not ended are given this many wall-clock milliseconds after a row came in; 0 = with each
    /// batch of rows; nil = not at all.
    public var earlyDelay: Int64?
    /// The same for windows that have ended and take late rows.
    public var lateDelay: Int64
    /// How many milliseconds of event time a window takes rows after its end.
    public var allowedLateness: Int64

    public init(earlyDelay: Int64? = nil, lateDelay: Int64 = 0, allowedLateness: Int64 = 0) {
        (self.earlyDelay, self.lateDelay, self.allowedLateness) = (earlyDelay, lateDelay, allowedLateness)
    }
}

/// GROUP BY window, keys. Output columns: keys, aggregates, then the window properties asked for.
public struct WindowAggregateSpec: Sendable {
    public var inputSchema: Schema
    public var keys: [Int]
    /// A TIMESTAMP(0...3) or TIMESTAMP_LTZ(0...3) column of the input.
    public var timeColumn: Int
    public var window: WindowSpec
    public var aggregates: [AggregateCall]
    public var properties: [WindowProperty]
    /// IANA name; windows over TIMESTAMP_LTZ are aligned to local time.
    public var timeZone: String
    /// The input carries -U, +U and -D rows.
    public var inputChanges: Bool
    /// nil = one result of a window, at its end.
    public var emission: WindowEmission?
    /// Windows go by the wall clock; the time column is not read. What has not fired when the input ends is given up, as in Flink.
    public var isProcessingTime = false
    /// The time column is not the time attribute, but the end of each row's own window (TIMESTAMP(3), local time); this is the type
    /// of the time attribute.
    public var attachedTimeType: DataType?

    public init(inputSchema: Schema, keys: [Int], timeColumn: Int, window: WindowSpec, aggregates: [AggregateCall],
                properties: [WindowProperty], timeZone: String = "UTC", inputChanges: Bool = false) {
        self.inputSchema = inputSchema
        self.keys = keys
        self.timeColumn = timeColumn
        self.window = window
        self.aggregates = aggregates
        self.properties = properties
        self.timeZone = timeZone
        self.inputChanges = inputChanges
    }

    /// Type of the time attribute.
    public var timeType: DataType { attachedTimeType ?? inputSchema[timeColumn].type }
}

/// GROUP BY keys without a window. Output columns: keys, then aggregates; a changelog (+I, -U, +U, -D).
public struct GroupAggregateSpec: Sendable {
    public var inputSchema: Schema
    public var keys: [Int]
    public var aggregates: [AggregateCall]
    public var inputChanges: Bool
    /// Wall-clock time after its last row at which a group is forgotten (`table.exec.state.ttl`); nil = never. A row of its
    /// key that comes later starts a group anew, with +I.
    public var stateTTL: Duration?
    /// Each group gives at most one change for so many rows (`table.exec.mini-batch.*`); nil = one for each batch.
    public var miniBatch: MiniBatch?
    /// An update gives the old row (-U) too.
    public var emitUpdateBefore = true

    /// How long changes may wait for others of their group.
    public struct MiniBatch: Sendable, Hashable {
        /// Rows, and milliseconds since the first of them.
        public var rows: Int, latency: Int64
        public init(rows: Int, latency: Int64) { (self.rows, self.latency) = (rows, latency) }
    }

    public init(inputSchema: Schema, keys: [Int], aggregates: [AggregateCall], inputChanges: Bool, stateTTL: Duration? = nil,
                miniBatch: MiniBatch? = nil) {
        self.miniBatch = miniBatch
        self.inputSchema = inputSchema
        self.keys = keys
        self.aggregates = aggregates
        self.inputChanges = inputChanges
        self.stateTTL = stateTTL
    }
}

/// ORDER BY ... LIMIT over bounded input: everything is emitted at the end of input, as inserts, changes having been netted out.
public struct SortSpec: Sendable {
    /// A column to sort by.
    public struct Key: Sendable, Hashable {
        public var column: Int, descending: Bool, nullsFirst: Bool
        public init(column: Int, descending: Bool, nullsFirst: Bool) {
            self.column = column
            self.descending = descending
            self.nullsFirst = nullsFirst
        }
    }
    public var inputSchema: Schema
    /// Empty = keep arrival order.
    public var keys: [Key]
    public var offset: Int
    public var limit: Int?

    public init(inputSchema: Schema, keys: [Key], offset: Int = 0, limit: Int? = nil) {
        self.inputSchema = inputSchema
        self.keys = keys
        self.offset = offset
        self.limit = limit
    }
}

/// Regular join; inputs may both carry changes. Output columns: left, then right, or the left ones only for semi and anti joins.
/// With no keys it is for one subtask.
public struct JoinSpec: Sendable {
    public var leftSchema: Schema, rightSchema: Schema
    public var leftKeys: [Int], rightKeys: [Int]
    /// Wall-clock time after its last write at which a row of the side is forgotten and matches no more; nil = never.
    public var leftTTL: Duration?, rightTTL: Duration?
    public var kind: JoinKind
    /// Numbers of the keys, counted from 0, for which null equals null; a null in any other key matches nothing.
    public var nullSafeKeys: Set<Int>
    /// What pairs must fulfil beside equal keys, over the left columns and then the right ones.
    public var condition: Expr?

    public init(leftSchema: Schema, rightSchema: Schema, leftKeys: [Int], rightKeys: [Int], leftTTL: Duration? = nil,
                rightTTL: Duration? = nil, kind: JoinKind = .inner, nullSafeKeys: Set<Int> = [], condition: Expr? = nil) {
        self.leftTTL = leftTTL
        self.rightTTL = rightTTL
        self.leftSchema = leftSchema
        self.rightSchema = rightSchema
        self.leftKeys = leftKeys
        self.rightKeys = rightKeys
        self.kind = kind
        self.nullSafeKeys = nullSafeKeys
        self.condition = condition
    }

    /// - Throws: `.validate` when the keys do not fit each other.
    func check() throws {
        guard leftKeys.count == rightKeys.count else {
            throw StreamError(.validate, "a join has \(leftKeys.count) keys on the left and \(rightKeys.count) on the right",
                              fix: "give as many on each side")
        }
        for (l, r) in zip(leftKeys, rightKeys) {
            let (left, right) = (leftSchema[l], rightSchema[r])
            guard left.type == right.type || (left.type.physical == .view && left.type.isText == right.type.isText && right.type.physical == .view) else {
                throw StreamError(.validate, "join keys \(left.name) of type \(left.type) and \(right.name) of type \(right.type) differ",
                                  fix: "cast one to the type of the other")
            }
        }
    }
}
