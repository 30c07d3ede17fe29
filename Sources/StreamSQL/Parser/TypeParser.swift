import StreamCore

/// SQL types, in DDL and CAST.
extension TokenParser {
    private static let typeNames = [
        "BOOLEAN", "TINYINT", "SMALLINT", "INT", "INTEGER", "BIGINT", "FLOAT", "REAL", "DOUBLE", "DECIMAL", "DEC", "NUMERIC", "CHAR",
        "CHARACTER",
        "VARCHAR", "STRING", "BINARY", "VARBINARY", "BYTES", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "INTERVAL", "ARRAY", "MAP",
        "ROW", "VARIANT", "MULTISET",
    ]

    mutating func dataType() throws -> DataType {
        try enter()
        defer { leave() }
        var type = try baseType()
        var suffixes = 0
        while isWord("ARRAY") || isWord("MULTISET") {
            // A multiset is the map of its elements to their counts, as COLLECT gives it.
            type = isWord("ARRAY") ? .array(type) : .map(key: type, value: .int)
            advance()
            suffixes += 1
            try checkChain(suffixes * 4, "ARRAY suffixes")
        }
        return type
    }

    /// NULL or NOT NULL; true (nullable) when neither stands there.
    mutating func nullability() throws -> Bool {
        if acceptWord("NOT") {
            try expectWord("NULL")
            return false
        }
        _ = acceptWord("NULL")
        return true
    }

    private mutating func baseType() throws -> DataType {
        guard token.kind == .word else { throw expected("a type") }
        let start = token, name = token.upper
        advance()
        switch name {
        case "BOOLEAN": return .boolean
        case "TINYINT": return .tinyint
        case "SMALLINT": return .smallint
        case "INT", "INTEGER": return .int
        case "BIGINT": return .bigint
        case "FLOAT", "REAL": return .float
        case "DOUBLE":
            _ = acceptWord("PRECISION")
            return .double
        case "DECIMAL", "DEC", "NUMERIC": return try decimal(start)
        case "CHAR", "CHARACTER":
            let varying = acceptWord("VARYING")
            let length = try bracketed(1...DataType.maxLength, "a length", name)
            return varying ? .varchar(length ?? DataType.maxLength) : .char(length ?? 1)
        case "VARCHAR": return .varchar(try bracketed(1...DataType.maxLength, "a length", name) ?? DataType.maxLength)
        case "STRING": return .string
        case "BINARY":
            let varying = acceptWord("VARYING")
            let length = try bracketed(1...DataType.maxLength, "a length", name)
            return varying ? .varbinary(length ?? DataType.maxLength) : .binary(length ?? 1)
        case "VARBINARY": return .varbinary(try bracketed(1...DataType.maxLength, "a length", name) ?? DataType.maxLength)
        case "BYTES": return .bytes
        case "DATE": return .date
        case "TIME":
            let precision = try bracketed(0...9, "a precision", name) ?? 0
            _ = acceptWord("WITHOUT", "TIME", "ZONE")
            return .time(precision)
        case "TIMESTAMP": return try timestamp(start)
        case "TIMESTAMP_LTZ": return .timestampLTZ(try bracketed(0...9, "a precision", name) ?? 6)
        case "INTERVAL":
            let (from, _) = try intervalQualifier()
            return from == "YEAR" || from == "MONTH" || from == "QUARTER" ? .intervalYearMonth : .intervalDayTime
        case "ARRAY":
            try expect("<", " after ARRAY")
            let element = try dataType()
            _ = try nullability()
            try expect(">", " after the element type")
            return .array(element)
        case "MAP":
            try expect("<", " after MAP")
            let key = try dataType()
            _ = try nullability()
            try expect(",", " between key and value type")
            let value = try dataType()
            _ = try nullability()
            try expect(">", " after the value type")
            return .map(key: key, value: value)
        case "ROW": return .row(try rowFields())
        case "VARIANT": return .variant
        case "MULTISET":
            try expect("<", " after MULTISET")
            let element = try dataType()
            _ = try nullability()
            try expect(">", " after the element type")
            return .map(key: element, value: .int)
        case "RAW", "STRUCTURED":
            throw source.error(
                .plan, "not supported yet: the type \(name)", fix: "use ROW for structured values, or BYTES", at: source.span(start.start, start.end))
        default:
            throw source.error(
                .parse, "there is no type \(start.text)", fix: NearName.hint(for: start.text, in: Self.typeNames),
                at: source.span(start.start, start.end))
        }
    }

    private mutating func decimal(_ start: Token) throws -> DataType {
        guard accept("(") else { return .decimal(precision: 10, scale: 0) }
        let precision = try integer("the precision")
        let scale = accept(",") ? try integer("the scale") : 0
        try expect(")", " after the precision")
        guard (1...38).contains(precision), (0...precision).contains(scale) else {
            throw source.error(
                .parse, "DECIMAL(\(precision), \(scale)) is out of range",
                fix: "use a precision from 1 to 38 and a scale from 0 to the precision", at: source.span(start.start, consumedEnd))
        }
        return .decimal(precision: precision, scale: scale)
    }

    private mutating func timestamp(_ start: Token) throws -> DataType {
        let precision = try bracketed(0...9, "a precision", "TIMESTAMP") ?? 6
        if acceptWord("WITHOUT", "TIME", "ZONE") { return .timestamp(precision) }
        if acceptWord("WITH", "LOCAL", "TIME", "ZONE") { return .timestampLTZ(precision) }
        if isWords("WITH", "TIME", "ZONE") { throw unsupported("TIMESTAMP WITH TIME ZONE", fix: "use TIMESTAMP_LTZ(\(precision))") }
        return .timestamp(precision)
    }

    /// (n) in a range.
    private mutating func bracketed(_ range: ClosedRange<Int>, _ what: String, _ type: String) throws -> Int? {
        guard accept("(") else { return nil }
        let at = span
        let value = try integer(what)
        guard range.contains(value) else {
            throw source.error(
                .parse, "\(type)(\(value)) is out of range", fix: "use \(what) from \(range.lowerBound) to \(range.upperBound)", at: at)
        }
        try expect(")", " after \(what)")
        return value
    }

    private mutating func rowFields() throws -> [Field] {
        if accept("<>") { return [] }
        let close: String
        if accept("<") {
            close = ">"
        } else {
            try expect("(", " or \"<\" after ROW")
            close = ")"
        }
        var fields: [Field] = []
        if accept(close) { return fields }
        repeat {
            let name = try name("a field name")
            let type = try dataType()
            fields.append(Field(name, type, nullable: try nullability()))
            if acceptWord("COMMENT") || token.kind == .string { _ = try string("a comment") }
        } while accept(",")
        try expect(close, " or \",\" after the field")
        return fields
    }

    /// DAY [(p)] [TO SECOND [(p)]]; units in the singular.
    mutating func intervalQualifier() throws -> (from: String, to: String?) {
        let from = try timeUnit(Keywords.intervalUnits)
        try skipPrecision()
        guard acceptWord("TO") else { return (from, nil) }
        let at = span
        let to = try timeUnit(Keywords.intervalUnits)
        try skipPrecision()
        let order = ["DAY", "HOUR", "MINUTE", "SECOND"]
        let valid = from == "YEAR" && to == "MONTH" || (order.firstIndex(of: from) ?? 9) < (order.firstIndex(of: to) ?? -1)
        guard valid else {
            throw source.error(
                .parse, "an interval cannot go from \(from) to \(to)",
                fix: "use YEAR TO MONTH, or two of DAY, HOUR, MINUTE, SECOND in this order", at: at)
        }
        return (from, to)
    }

    private mutating func skipPrecision() throws {
        guard accept("(") else { return }
        _ = try integer("a precision")
        if accept(",") { _ = try integer("a precision") }
        try expect(")", " after the precision")
    }

    /// A unit, singular or plural, SQL_TSI_ prefix allowed.
    mutating func timeUnit(_ units: [String]) throws -> String {
        guard token.kind == .word else { throw expected("a time unit such as SECOND") }
        var unit = token.upper
        if unit.hasPrefix("SQL_TSI_") { unit.removeFirst(8) }
        if !units.contains(unit), unit.hasSuffix("S") { unit.removeLast() }
        guard units.contains(unit) else {
            throw source.error(
                .parse, "\"\(token.text)\" is not a time unit here", fix: NearName.hint(for: token.text, in: units), at: span)
        }
        advance()
        return unit
    }
}
