import StreamCore

/// Writes syntax trees as Flink SQL again: a clause a line, subqueries indented, names in backticks only where Flink wants them there.
///
/// What is written parses to the same tree, but for what the parser does not keep (comments, parentheses, nullability inside of arrays and
/// maps, MULTISET as against MAP) and for the shape of chains of AND and of OR.
public struct SQLWriter: Sendable {
    /// Another text for a call; nil = as usual. The writer is passed so that arguments can be written.
    public var call: @Sendable (FunctionCall, SQLWriter) -> String? = { _, _ in nil }
    /// Another set of options for a table's OPTIONS hint; asked for each table that is read or inserted into, also those without a hint.
    public var hints: @Sendable (QualifiedName, [String: String]) -> [String: String] = { $1 }
    /// Another text, with alias, for what stands behind FROM; nil = as usual. Asked for joins and for their sides, not for `TABLE t` of a
    /// window function.
    public var table: @Sendable (TableRef, SQLWriter) -> String? = { _, _ in nil }
    /// By how many columns the lines behind the first one are indented.
    public var indent = 0

    /// For whom it is.
    enum Style: Sendable {
        /// To be read by people.
        case readable
        /// As Flink shows definitions: every name in backticks, every operator in parentheses inside of another.
        case definition
    }
    var style = Style.readable

    /// Longest line that is made of several parts.
    static let width = 110
    static let step = 4

    public init() {}

    /// Definitions as Flink shows them.
    static let definition: SQLWriter = {
        var writer = SQLWriter()
        writer.style = .definition
        return writer
    }()

    // MARK: Layout

    var deeper: SQLWriter {
        var writer = self
        writer.indent += Self.step
        return writer
    }

    /// A line end, and what stands before the next line's text.
    var newLine: String { "\n" + String(repeating: " ", count: indent) }

    /// Parts, written by `deeper`, on the line that `head` begins, or one a line under it.
    func list(_ head: String, _ parts: [String]) -> String {
        let line = head + (head.isEmpty ? "" : " ") + parts.joined(separator: ", ")
        if fits(line) { return line }
        return head + deeper.newLine + parts.joined(separator: "," + deeper.newLine)
    }

    func fits(_ line: String) -> Bool { indent + line.utf8.count <= Self.width && !line.utf8.contains(UInt8(ascii: "\n")) }

    /// Something in parentheses on lines of its own.
    func enclosed(_ text: (SQLWriter) -> String) -> String { "(" + deeper.newLine + text(deeper) + newLine + ")" }

    // MARK: Names and texts

    /// A name, in backticks when it must be.
    public static func identifier(_ name: String) -> String { needsBackticks(name) ? backticked(name) : name }

    /// A name with its parts.
    public static func identifier(_ name: QualifiedName) -> String { name.parts.map { identifier($0) }.joined(separator: ".") }

    static func backticked(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }

    /// 'text' with its quotes doubled.
    public static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

    private static func needsBackticks(_ name: String) -> Bool {
        guard isPlain(name) else { return true }
        let word = name.uppercased()
        return Keywords.reserved.contains(word) || Keywords.contextual.contains(word)
    }

    /// ASCII letters, digits and "_", not beginning with a digit.
    static func isPlain(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(0x30...0x39).contains(first) else { return false }
        return name.utf8.allSatisfy { (0x61...0x7A).contains($0 | 0x20) && $0 >= 0x41 || (0x30...0x39).contains($0) || $0 == 0x5F }
    }

    func name(_ name: String) -> String { style == .definition ? Self.backticked(name) : Self.identifier(name) }
    func name(_ name: QualifiedName) -> String { name.parts.map { self.name($0) }.joined(separator: ".") }
    func names(_ names: [String]) -> String { names.map { name($0) }.joined(separator: ", ") }

    /// 'key' = 'value', ...
    static func pair(_ key: String, _ value: String) -> String { "\(quoted(key)) = \(quoted(value))" }

    /// Options in parentheses, one a line.
    func options(_ pairs: [(key: String, value: String)]) -> String {
        pairs.isEmpty ? "()" : enclosed { inner in pairs.map { Self.pair($0.key, $0.value) }.joined(separator: "," + inner.newLine) }
    }

    // MARK: Types

    /// A type as Flink's parser takes it.
    public static func type(_ type: DataType) -> String { SQLWriter().type(type) }

    /// A column's or field's type.
    static func type(_ type: DataType, nullable: Bool) -> String { Self.type(type) + (nullable ? "" : " NOT NULL") }

    /// - Parameter explicit: lengths and time zones are written out, as Flink writes types into definitions.
    func type(_ type: DataType, explicit: Bool = false) -> String {
        func part(_ type: DataType) -> String { self.type(type, explicit: explicit) }
        return switch type {
        case .varchar(let n) where explicit: "VARCHAR(\(n))"
        case .varbinary(let n) where explicit: "VARBINARY(\(n))"
        case .timestampLTZ(let p) where explicit: "TIMESTAMP(\(p)) WITH LOCAL TIME ZONE"
        case .array(let element): "ARRAY<\(part(element))>"
        case .map(let key, let value): "MAP<\(part(key)), \(part(value))>"
        case .row(let fields): "ROW<" + fields.map { "\(name($0.name)) \(part($0.type))\($0.nullable ? "" : " NOT NULL")" }.joined(separator: ", ") + ">"
        default: "\(type)"
        }
    }
}
