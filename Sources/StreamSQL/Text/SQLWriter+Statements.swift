import StreamCore

extension SQLWriter {
    /// Without ";" at the end.
    public func text(_ statement: Statement) -> String {
        switch statement.node {
        case .createTable(let table): return text(table)
        case .createView(let view): return text(view)
        case .drop(let kind, let name, let ifExists, let temporary):
            return "DROP \(temporary ? "TEMPORARY " : "")\(kind) \(ifExists ? "IF EXISTS " : "")\(self.name(name))"
        case .describe(let name): return "DESCRIBE \(self.name(name))"
        case .catalog(let statement): return text(statement)
        case .explain(let statement, let details):
            let words = ExplainDetail.allCases.filter { $0 != .graphviz && details.contains($0) }.map(\.rawValue)
            let head = "EXPLAIN" + (details.contains(.graphviz) ? " DOT" : "") + (words.isEmpty ? "" : " " + words.joined(separator: ", "))
            if case .statementSet(let inserts) = statement.node { return head + " " + set(inserts) }
            return head + newLine + text(statement)
        case .set(let key, let value): return "SET " + Self.pair(key, value)
        case .reset(let key): return "RESET" + (key.map { " \(Self.quoted($0))" } ?? "")
        case .showSettings: return "SET"
        case .insert(let insert): return text(insert)
        case .statementSet(let inserts): return "EXECUTE " + set(inserts)
        case .query(let query): return text(query)
        case .help: return "HELP"
        case .quit: return "QUIT"
        }
    }

    public func text(_ insert: Insert) -> String {
        "INSERT \(insert.overwrite ? "OVERWRITE" : "INTO") \(name(insert.target))" + optionsHint(hints(insert.target, insert.hints))
            + (insert.partition.map { " " + text($0) } ?? "") + (insert.columns.map { " (\(names($0)))" } ?? "") + newLine + text(insert.query)
    }

    /// EXECUTE STATEMENT SET BEGIN ... END: INSERTs that run as one job.
    public func text(set inserts: [Insert]) -> String { "EXECUTE " + set(inserts) }

    private func set(_ inserts: [Insert]) -> String {
        "STATEMENT SET" + newLine + "BEGIN" + newLine + inserts.map { text($0) + ";" + newLine }.joined() + "END"
    }
}
