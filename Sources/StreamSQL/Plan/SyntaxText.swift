import StreamCore

/// Definitions as SHOW CREATE TABLE and DESCRIBE write them.
enum SyntaxText {
    static func quoted(_ text: String) -> String { SQLWriter.quoted(text) }

    static func identifier(_ name: String) -> String { SQLWriter.backticked(name) }

    /// ('key' = 'value', ...), one a line.
    static func options(_ options: [String: String]) -> String {
        "(\n" + options.sorted { $0.key < $1.key }.map { "  " + SQLWriter.pair($0.key, $0.value) }.joined(separator: ",\n") + "\n)"
    }

    /// A type with the names of its fields in backticks and lengths written out, as Flink writes types into definitions.
    static func type(_ type: DataType) -> String { SQLWriter.definition.type(type, explicit: true) }

    static func of(_ expr: SyntaxExpr) -> String { SQLWriter.definition.text(expr) }
}
