import StreamCore
@testable import StreamExpressions

/// Reads the small part of SQL that the tables of function tests are written in, and binds it.
struct ExpressionReader {
    private let text: [Character]
    private var at = 0

    struct SyntaxError: Error { let text: String }

    static func bind(_ text: String) throws -> Expr {
        var reader = ExpressionReader(text: Array(text))
        let result = try reader.expression()
        reader.skipBlanks()
        guard reader.at == reader.text.count else { throw reader.fail() }
        return result
    }

    private init(text: [Character]) { self.text = text }

    private func fail() -> SyntaxError { SyntaxError(text: "at '\(String(text[min(at, text.count)...]))' of \(String(text))") }
    private static func call(_ name: String, _ args: [Expr], _ options: FunctionOptions = .init()) throws -> Expr {
        try FunctionRegistry.builtin.bind(name, args, options: options)
    }

    // MARK: tokens

    private mutating func skipBlanks() { while at < text.count, text[at] == " " { at += 1 } }

    private mutating func take(_ c: Character) -> Bool {
        skipBlanks()
        guard at < text.count, text[at] == c else { return false }
        at += 1
        return true
    }

    private mutating func need(_ c: Character) throws { if !take(c) { throw fail() } }

    private func isWordCharacter(_ c: Character) -> Bool { c.isASCII && (c.isLetter || c.isNumber || c == "_") }

    /// The next word without taking it.
    private mutating func peekWord() -> String {
        skipBlanks()
        return String(text[at...].prefix { isWordCharacter($0) })
    }

    private mutating func word(_ words: String) -> Bool {
        let mark = at
        for word in words.split(separator: " ") {
            guard peekWord() == word else {
                at = mark
                return false
            }
            at += word.count
        }
        return true
    }

    private mutating func string() throws -> String {
        try need("'")
        var out = ""
        while at < text.count {
            if text[at] == "'" {
                at += 1
                guard at < text.count, text[at] == "'" else { return out }
            }
            out.append(text[at])
            at += 1
        }
        throw fail()
    }

    // MARK: expressions

    private mutating func expression() throws -> Expr {
        var left = try postfix()
        while true {
            skipBlanks()
            if at + 1 < text.count, text[at] == "|", text[at + 1] == "|" {
                at += 2
                left = try Self.call("||", [left, try postfix()])
            } else if word("LIKE") {
                let pattern = try postfix()
                left = try Self.call("LIKE", word("ESCAPE") ? [left, pattern, try postfix()] : [left, pattern])
            } else if word("SIMILAR TO") {
                let pattern = try postfix()
                left = try Self.call("SIMILAR TO", word("ESCAPE") ? [left, pattern, try postfix()] : [left, pattern])
            } else if word("IS NOT JSON") {
                left = .not(try Self.call("IS JSON", [left, jsonKind()]))
            } else if word("IS JSON") {
                left = try Self.call("IS JSON", [left, jsonKind()])
            } else {
                return left
            }
        }
    }

    private mutating func jsonKind() -> Expr {
        for kind in ["ARRAY", "OBJECT", "SCALAR", "VALUE"] where word(kind) { return SQL.text(kind) }
        return SQL.text("VALUE")
    }

    private mutating func postfix() throws -> Expr {
        var value = try primary()
        while take("[") {
            value = try Self.call("ITEM", [value, try expression()])
            try need("]")
        }
        return value
    }

    private mutating func primary() throws -> Expr {
        skipBlanks()
        guard at < text.count else { throw fail() }
        if text[at] == "'" { return SQL.text(try string()) }
        if text[at] == "-" || text[at].isNumber { return try number() }
        let word = peekWord()
        guard !word.isEmpty else { throw fail() }
        at += word.count
        switch word {
        case "TRUE": return SQL.bool(true)
        case "FALSE": return SQL.bool(false)
        case "NULL": return SQL.null
        case "X":
            let digits = try string()
            let bytes = stride(from: 0, to: digits.count, by: 2).map { i -> UInt8 in
                UInt8(digits.dropFirst(i).prefix(2), radix: 16)!
            }
            return .literal(.binary(bytes), .binary(bytes.count))
        case "DATE": return try folded(SQL.text(try string()), .date)
        case "TIME": return try folded(SQL.text(try string()), .time(0))
        case "TIMESTAMP":
            let s = try string()
            return try folded(SQL.text(s), .timestamp(s.split(separator: ".").dropFirst().first?.count ?? 0))
        case "CAST":
            try need("(")
            let value = try expression()
            guard self.word("AS") else { throw fail() }
            let type = try type()
            try need(")")
            return try Binding.cast(value, to: type)
        case "ARRAY", "MAP":
            try need("[")
            return try Self.call(word, try list("]"))
        default: break
        }
        guard take("(") else { return try Self.call(word, []) }
        return try call(word)
    }

    private func folded(_ e: Expr, _ type: DataType) throws -> Expr {
        .literal(try Evaluator.evaluateConstant(.cast(e, to: type, safe: false)), type)
    }

    private mutating func number() throws -> Expr {
        let start = at
        if text[at] == "-" { at += 1 }
        while at < text.count, text[at].isNumber || text[at] == "." { at += 1 }
        let digits = String(text[start..<at])
        if at < text.count, text[at] == "e" {
            at += 1
            while at < text.count, text[at].isNumber || text[at] == "-" || text[at] == "+" { at += 1 }
            return SQL.double(Double(String(text[start..<at]))!)
        }
        if digits.contains(".") { return SQL.decimal(digits) }
        let value = Int64(digits)!
        return Int32(exactly: value) == nil ? SQL.bigint(value) : SQL.int(value)
    }

    private mutating func list(_ end: Character) throws -> [Expr] {
        var items: [Expr] = []
        if take(end) { return items }
        repeat { items.append(try expression()) } while take(",")
        try need(end)
        return items
    }

    private mutating func type() throws -> DataType {
        let word = peekWord()
        at += word.count
        var numbers: [Int] = []
        func count(_ standard: Int) -> Int { numbers.first ?? standard }
        if word == "ARRAY" || word == "MAP" {
            try need("<")
            let first = try type()
            if word == "ARRAY" {
                try need(">")
                return .array(first)
            }
            try need(",")
            let second = try type()
            try need(">")
            return .map(key: first, value: second)
        }
        if take("(") {
            repeat {
                let digits = peekWord()
                at += digits.count
                numbers.append(Int(digits)!)
            } while take(",")
            try need(")")
        }
        switch word {
        case "STRING": return .string
        case "CHAR": return .char(count(1))
        case "VARCHAR": return .varchar(count(1))
        case "BYTES": return .bytes
        case "INT", "INTEGER": return .int
        case "TINYINT": return .tinyint
        case "SMALLINT": return .smallint
        case "BIGINT": return .bigint
        case "FLOAT": return .float
        case "DOUBLE": return .double
        case "BOOLEAN": return .boolean
        case "DATE": return .date
        case "DECIMAL": return .decimal(precision: numbers[0], scale: numbers[1])
        default: throw fail()
        }
    }

    private mutating func call(_ name: String) throws -> Expr {
        switch name {
        case "EXTRACT":
            let unit = peekWord()
            at += unit.count
            guard word("FROM") else { throw fail() }
            let args = [SQL.text(unit), try expression()]
            try need(")")
            return try Self.call(name, args)
        case "TIMESTAMPADD", "TIMESTAMPDIFF":
            let unit = peekWord()
            at += unit.count
            try need(",")
            return try Self.call(name, [SQL.text(unit)] + list(")"))
        case "TRIM":
            let side = ["LEADING", "TRAILING", "BOTH"].first { word($0) } ?? "BOTH"
            let first = try expression()
            let args = word("FROM") ? [SQL.text(side), first, try expression()] : [SQL.text(side), SQL.text(" "), first]
            try need(")")
            return try Self.call(name, args)
        case "JSON_OBJECT":
            var args: [Expr] = []
            var options = FunctionOptions()
            while !take(")") {
                if !args.isEmpty { _ = take(",") }
                nullClause(&options)
                if take(")") { break }
                _ = word("KEY")
                args.append(try expression())
                guard word("VALUE") else { throw fail() }
                args.append(try expression())
                nullClause(&options)
            }
            return try Self.call(name, args, options)
        default: break
        }
        var args: [Expr] = []
        var options = FunctionOptions()
        while !take(")") {
            if name == "JSON_ARRAY" { nullClause(&options) }
            if name.hasPrefix("JSON_") { try jsonClauses(&args, &options) }
            if take(")") { break }
            args.append(try expression())
            if name == "POSITION", word("IN") { continue }
            if name == "OVERLAY", word("PLACING") || word("FROM") || word("FOR") { continue }
            if name == "SUBSTRING", word("FROM") || word("FOR") { continue }
            if name == "FLOOR" || name == "CEIL", word("TO") {
                let unit = peekWord()
                at += unit.count
                args.append(SQL.text(unit))
            }
            _ = take(",")
        }
        return try Self.call(name, args, options)
    }

    private mutating func nullClause(_ options: inout FunctionOptions) {
        if word("NULL ON NULL") { options.nullOnNull = true }
        if word("ABSENT ON NULL") { options.nullOnNull = false }
    }

    private mutating func jsonClauses(_ args: inout [Expr], _ options: inout FunctionOptions) throws {
        if word("RETURNING") { options.returning = try type() }
        for (words, wrapper) in [("WITH CONDITIONAL ARRAY WRAPPER", FunctionOptions.Wrapper.conditional), ("WITH UNCONDITIONAL ARRAY WRAPPER", .unconditional),
                                 ("WITH WRAPPER", .unconditional), ("WITHOUT WRAPPER", .without)] where word(words) { options.wrapper = wrapper }
        while true {
            let mark = at
            var fallback: FunctionOptions.Fallback?
            for (words, choice) in [("NULL", FunctionOptions.Fallback.null), ("ERROR", .error), ("EMPTY ARRAY", .emptyArray), ("EMPTY OBJECT", .emptyObject),
                                    ("TRUE", .true), ("FALSE", .false), ("UNKNOWN", .unknown)] where fallback == nil && word(words) { fallback = choice }
            if fallback == nil, word("DEFAULT") {
                args.append(try expression())
                fallback = .defaultArgument
            }
            guard let fallback, word("ON") else {
                at = mark
                return
            }
            if word("EMPTY") { options.onEmpty = fallback } else if word("ERROR") { options.onError = fallback } else { throw fail() }
        }
    }
}
