import StreamCore

/// `'connector' = 'datagen'`: makes rows up, with Flink's options. With the option `seed` the same rows come every time and at
/// every parallelism, except those that hold the current time.
public struct DatagenConnector: TableConnector {
    public init() {}
    public var identifier: String { "datagen" }

    private static let fieldOptions = ["kind", "min", "max", "max-past", "length", "var-len", "start", "end", "null-rate"]

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        var keys: Set = ["connector", "rows-per-second", "number-of-rows", "scan.parallelism", "seed"]
        for path in DatagenPlan.paths(table.schema) {
            for option in Self.fieldOptions { keys.insert("fields.\(path).\(option)") }
        }
        return keys
    }

    public func validate(_ table: TableDescriptor) throws { _ = try DatagenPlan(table, timeZone: "UTC") }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let plan = try DatagenPlan(table, timeZone: scan.timeZone)
        return DatagenSource(plan: plan, projection: scan.projection, splitCount: plan.parallelism ?? max(1, scan.parallelism))
    }
}

/// The options of a datagen table, checked.
struct DatagenPlan: Sendable {
    var fields: [FieldGenerator] = []
    var rowsPerSecond: Int
    /// nil = without end.
    var rowCount: Int64?
    var parallelism: Int?

    init(_ table: TableDescriptor, timeZone: String) throws {
        let options = TableOptions(table)
        rowsPerSecond = try options.int("rows-per-second", in: 1...Int.max) ?? 10_000
        rowCount = try options.int("number-of-rows", in: 0...Int.max).map(Int64.init)
        parallelism = try options.int("scan.parallelism", in: 1...10_000)
        let seed = try options.int("seed").map { UInt64(bitPattern: Int64($0)) } ?? .random(in: 0...UInt64.max)
        let known = Set(Self.paths(table.schema))
        for key in table.options.keys where key.hasPrefix("fields.") {
            let name = String(key.dropFirst(7).prefix(upTo: key.dropFirst(7).lastIndex(of: ".") ?? key.endIndex))
            guard known.contains(name) else { throw options.error(key, "names no column", fix: NearName.hint(for: name, in: known)) }
        }
        for (i, field) in table.schema.enumerated() {
            fields.append(try generator(field.name, field.type, salt: RowHash.mix(seed &+ UInt64(i) &* 0x1000_0001), options, timeZone))
        }
    }

    /// Every path that options can name: columns, and parts of nested ones as Flink writes them.
    static func paths(_ schema: Schema) -> [String] {
        func below(_ path: String, _ type: DataType) -> [String] {
            switch type {
            case .array(let e): [path] + below(path + ".element", e)
            case .map(let k, let v): [path] + below(path + ".key", k) + below(path + ".value", v)
            case .row(let parts): [path] + parts.flatMap { below(path + "." + $0.name, $0.type) }
            default: [path]
            }
        }
        return schema.flatMap { below($0.name, $0.type) }
    }

    private mutating func generator(_ path: String, _ type: DataType, salt: UInt64, _ options: TableOptions, _ timeZone: String) throws -> FieldGenerator {
        let prefix = "fields.\(path)."
        let isSequence = try options.choice(prefix + "kind", ["random", "sequence"]) == "sequence"
        let kind = try isSequence ? sequence(prefix, type, options) : random(prefix, path, type, salt, options, timeZone)
        var nullRate = 0.0
        if let text = options.string(prefix + "null-rate") {
            guard let rate = Double(text), (0...1).contains(rate) else { throw options.error(prefix + "null-rate", "is not a number from 0 to 1") }
            nullRate = rate
        }
        return FieldGenerator(type: type, kind: kind, nullRate: nullRate, salt: salt, timeZone: timeZone)
    }

    private mutating func sequence(_ prefix: String, _ type: DataType, _ options: TableOptions) throws -> FieldGenerator.Kind {
        guard type.isNumeric || type.isText else { throw options.error(prefix + "kind", "does not fit a column of type \(type)", fix: "use 'random'") }
        func bound(_ name: String) throws -> Int64 {
            guard options.has(prefix + name) else {
                throw StreamError(.validate, "table \(options.table.name): a sequence needs option '\(prefix)\(name)'", at: options.table.optionLocations[prefix + "kind"])
            }
            return Int64(try options.int(prefix + name)!)
        }
        let (start, end) = (try bound("start"), try bound("end"))
        guard end >= start else { throw options.error(prefix + "end", "is before the start, \(start)") }
        let limits: ClosedRange<Int64>? = switch type {
        case .tinyint: -128...127
        case .smallint: -32_768...32_767
        case .int: Int64(Int32.min)...Int64(Int32.max)
        default: nil
        }
        if let limits, !limits.contains(start) || !limits.contains(end) { throw options.error(prefix + "end", "goes beyond \(type)") }
        let count = (Int128(end) - Int128(start) + 1)
        rowCount = min(rowCount ?? .max, Int64(clamping: count))
        return .sequence(start: Int128(start))
    }

    private mutating func random(_ prefix: String, _ path: String, _ type: DataType, _ salt: UInt64, _ options: TableOptions,
                                 _ timeZone: String) throws -> FieldGenerator.Kind {
        func refuse(_ names: String...) throws {
            for name in names where options.has(prefix + name) { throw options.error(prefix + name, "does not fit a column of type \(type)") }
        }
        try refuse("start", "end")
        func part(_ name: String, _ type: DataType, _ lane: UInt64) throws -> FieldGenerator {
            try generator(path + "." + name, type, salt: RowHash.mix(salt &+ lane &* 0x51ED), options, timeZone)
        }
        func integer(_ low: Int64, _ high: Int64) throws -> FieldGenerator.Kind {
            let from = try options.int(prefix + "min", in: Int(low)...Int(high)).map(Int64.init) ?? low
            let to = try options.int(prefix + "max", in: Int(low)...Int(high)).map(Int64.init) ?? high
            guard from <= to else { throw options.error(prefix + (options.has(prefix + "max") ? "max" : "min"), "leaves nothing between minimum \(from) and maximum \(to)") }
            return .integer(low: from, span: UInt64(bitPattern: to &- from))
        }
        func lengths(_ fixed: Int?, _ declared: Int) throws -> (Int, Int) {
            if let fixed {
                try refuse("length", "var-len")
                return (fixed, fixed)
            }
            let length = try options.int(prefix + "length", in: 0...(1 << 24)) ?? (declared == DataType.maxLength ? 100 : declared)
            guard length <= declared else { throw options.error(prefix + "length", "is longer than \(type) allows") }
            guard length <= 1 << 24 else {
                throw StreamError(.validate, "table \(options.table.name): column \(path) of \(type) would get values of \(length) bytes",
                                  fix: "set '\(prefix)length'")
            }
            return (try options.bool(prefix + "var-len") == true ? min(1, length) : length, length)
        }
        if !type.isNumeric, !type.isInterval { try refuse("min", "max") }
        if !type.isTimestamp { try refuse("max-past") }
        switch type {
        case .boolean: return .bool
        case .tinyint: return try integer(-128, 127)
        case .smallint: return try integer(-32_768, 32_767)
        case .int: return try integer(Int64(Int32.min), Int64(Int32.max))
        case .bigint: return try integer(.min, .max)
        case .intervalYearMonth: return try integer(0, 120_000)
        case .intervalDayTime: return try integer(0, 9_223_372_036_854)
        case .float, .double:
            let limit = type == .float ? Double(Float.greatestFiniteMagnitude) : Double.greatestFiniteMagnitude
            func bound(_ name: String, _ fallback: Double) throws -> Double {
                guard let text = options.string(prefix + name) else { return fallback }
                guard let value = Double(text), value.isFinite, abs(value) <= limit else { throw options.error(prefix + name, "is not a finite \(type)") }
                return value
            }
            let (low, high) = (try bound("min", -limit), try bound("max", limit))
            guard low <= high else { throw options.error(prefix + "max", "is below the minimum \(low)") }
            return .double(low: low, high: high)
        case .decimal(let precision, let scale): return try decimal(prefix, precision, scale, options)
        case .char(let n):
            let (short, long) = try lengths(n, n)
            return .text(shortest: short, longest: long)
        case .varchar(let n):
            let (short, long) = try lengths(nil, n)
            return .text(shortest: short, longest: long)
        case .binary(let n):
            let (short, long) = try lengths(n, n)
            return .binary(shortest: short, longest: long)
        case .varbinary(let n):
            let (short, long) = try lengths(nil, n)
            return .binary(shortest: short, longest: long)
        case .date: return .today
        case .time: return .timeOfDay
        case .timestamp, .timestampLTZ:
            return .timestamp(unit: type.timeUnit!, maxPast: UInt64(max(0, try options.milliseconds(prefix + "max-past") ?? 0)))
        case .array(let element):
            return .array(length: try options.int(prefix + "length", in: 0...100_000) ?? 3, [try part("element", element, 1)])
        case .map(let key, let value):
            return .map(length: try options.int(prefix + "length", in: 0...100_000) ?? 3, [try part("key", key, 1), try part("value", value, 2)])
        case .row(let parts):
            return .row(try parts.enumerated().map { try part($1.name, $1.type, UInt64($0) + 1) })
        case .null:
            throw StreamError(.validate, "table \(options.table.name): column \(path) has no type")
        case .variant:
            throw StreamError(.validate, "table \(options.table.name): there is no generator for column \(path) of type VARIANT", fix: "declare it as STRING, and write PARSE_JSON in the query")
        }
    }

    private func decimal(_ prefix: String, _ precision: Int, _ scale: Int, _ options: TableOptions) throws -> FieldGenerator.Kind {
        var unit: Int128 = 1
        for _ in 0..<scale { unit *= 10 }
        var most: Int128 = 1
        for _ in 0..<precision { most *= 10 }
        most -= 1
        func bound(_ name: String, _ fallback: Int128) throws -> Int128 {
            guard let text = options.string(prefix + name) else { return fallback }
            let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
            let fraction = parts.count == 2 ? String(parts[1]) : ""
            guard fraction.utf8.count <= scale, fraction.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                  let value = Int128(String(parts[0]) + fraction + String(repeating: "0", count: scale - fraction.utf8.count)), abs(value) <= most
            else { throw options.error(prefix + name, "does not fit DECIMAL(\(precision), \(scale))") }
            return value
        }
        let (low, high) = (try bound("min", -most), try bound("max", most))
        guard low <= high else { throw options.error(prefix + "max", "is below the minimum") }
        return .decimal(low: low, span: UInt128(high - low))
    }
}

private struct DatagenSource: TableSource {
    let plan: DatagenPlan
    let projection: [Int]
    let splitCount: Int

    var isBounded: Bool { plan.rowCount != nil }

    func splits() throws -> [SourceSplit] { (0..<splitCount).map { SourceSplit(id: "\($0)/\(splitCount)") } }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        let parts = split.id.split(separator: "/").compactMap { Int64($0) }
        guard parts.count == 2, parts[1] > 0, parts[0] >= 0, parts[0] < parts[1], let made = Int64(split.position ?? "0"), made >= 0 else {
            throw StreamError(.runtime, "datagen cannot read split \(split.id) from position \(split.position ?? "0")",
                              fix: "start the job from a checkpoint of the same plan")
        }
        return DatagenReader(plan: plan, projection: projection, number: parts[0], of: parts[1], made: made)
    }
}

/// Makes rows `number, number + of, number + 2 of, ...` no faster than its share of the rate.
private final class DatagenReader: SplitReader {
    private let fields: [FieldGenerator]
    private let number: Int64, of: Int64
    private let count: Int64
    private let perSecond: Double
    private let started = Clock.monotonicNanoseconds()
    private let madeBefore: Int64
    private var made: Int64

    init(plan: DatagenPlan, projection: [Int], number: Int64, of: Int64, made: Int64) {
        fields = projection.map { plan.fields[$0] }
        self.number = number
        self.of = of
        self.made = made
        madeBefore = made
        // Rows of a total of N whose number is `number` modulo `of`.
        count = plan.rowCount.map { $0 > number ? ($0 - number - 1) / of + 1 : 0 } ?? .max
        perSecond = Double(plan.rowsPerSecond) / Double(of)
    }

    var position: String { String(made) }

    func next(maxRows: Int) throws -> ReadResult {
        guard made < count else { return .endOfSplit }
        let seconds = Double(Clock.monotonicNanoseconds() - started) / 1_000_000_000
        // The first row comes at once.
        let due = madeBefore + Int64(min(seconds * perSecond, 9e18)) + 1
        guard due > made else {
            let wait = Double(made - madeBefore) / perSecond - seconds
            return .waiting(.nanoseconds(max(1_000, Int64(min(wait, 1) * 1_000_000_000))))
        }
        let rows = Int(min(Int64(maxRows), due - made, count - made))
        let now = Clock.milliseconds()
        let columns = fields.map { $0.column(first: number + made * of, step: of, count: rows, now: now) }
        made += Int64(rows)
        return .batch(Batch(columns: columns, physicalCount: rows))
    }
}
