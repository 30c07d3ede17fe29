import StreamCore
import StreamSQL

/// Finds what could stand at a place in a statement.
struct CellCompletion {
    private let session: SQLSession
    init(_ session: SQLSession) { self.session = session }

    private static let keywords = """
        SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT INSERT INTO VALUES CREATE TABLE VIEW TEMPORARY WITH AS ON JOIN LEFT RIGHT FULL OUTER INNER CROSS \
        UNION ALL INTERSECT EXCEPT DISTINCT CASE WHEN THEN ELSE END AND OR NOT NULL IS IN BETWEEN LIKE EXISTS CAST INTERVAL SECOND MINUTE HOUR DAY WATERMARK \
        FOR PRIMARY KEY ENFORCED PARTITIONED OVER PARTITION ROWS RANGE PRECEDING FOLLOWING CURRENT ROW DESCRIPTOR TUMBLE HOP CUMULATE SESSION SHOW TABLES \
        VIEWS FUNCTIONS CATALOGS DATABASES DESCRIBE EXPLAIN DROP ALTER USE SET RESET EXECUTE STATEMENT BEGIN MATCH_RECOGNIZE LATERAL UNNEST SYSTEM_TIME OF
        """.split(separator: " ").map(String.init)

    /// - Parameter at: of the cursor, in UTF-16 units, as editors in browsers count.
    /// - Returns: where the word begins, counted the same way, and what could stand there.
    func items(_ source: String, _ at: Int) -> (from: Int, items: [NotebookKernel.Completion]) {
        let units = source.utf16, place = units.index(units.startIndex, offsetBy: max(0, min(at, units.count)))
        let (from, items) = items(source, characters: source[..<place].count)
        return (String(source.prefix(from)).utf16.count, items)
    }

    private func items(_ source: String, characters at: Int) -> (from: Int, items: [NotebookKernel.Completion]) {
        let characters = Array(source), end = max(0, min(at, characters.count))
        var from = end
        while from > 0, Self.isPart(characters[from - 1]) { from -= 1 }
        let word = String(characters[from..<end]).lowercased()
        // After `table.` come that table's columns.
        if from > 0, characters[from - 1] == "." {
            var start = from - 1
            while start > 0, Self.isPart(characters[start - 1]) { start -= 1 }
            let owner = String(characters[start..<(from - 1)])
            let table = alias(owner, in: source) ?? owner
            return (from, columns(of: table).filter { $0.text.lowercased().hasPrefix(word) })
        }
        let tables = names("SHOW TABLES")
        var items: [NotebookKernel.Completion] = []
        let mentioned = tables.filter { table in source.lowercased().contains(table.lowercased()) }
        for table in mentioned.prefix(8) { items += columns(of: table) }
        items += tables.map { .init(text: $0, kind: "table", detail: nil) }
        guard !word.isEmpty else { return (from, Array(Self.unique(items).prefix(200))) }
        items += session.functions.names.filter { $0.first?.isLetter == true && !$0.contains(" ") }.map { .init(text: $0, kind: "function", detail: nil) }
        items += Self.keywords.map { .init(text: $0, kind: "keyword", detail: nil) }
        return (from, Array(Self.unique(items.filter { $0.text.lowercased().hasPrefix(word) }).prefix(200)))
    }

    private static func isPart(_ c: Character) -> Bool { c.isLetter || c.isNumber || c == "_" || c == "$" }

    private static func unique(_ items: [NotebookKernel.Completion]) -> [NotebookKernel.Completion] {
        var seen: Set<String> = []
        return items.filter { seen.insert($0.text).inserted }
    }

    /// The table that `FROM table AS name` or `JOIN table name` gives this name.
    private func alias(_ name: String, in source: String) -> String? {
        let words = source.split { $0.isWhitespace || $0 == "," || $0 == "(" || $0 == ")" || $0 == ";" }.map(String.init)
        for (i, word) in words.enumerated() where ["FROM", "JOIN"].contains(word.uppercased()) && i + 2 < words.count {
            let next = words[i + 2].uppercased() == "AS" && i + 3 < words.count ? words[i + 3] : words[i + 2]
            if next.lowercased() == name.lowercased() { return words[i + 1] }
        }
        return nil
    }

    private func columns(of table: String) -> [NotebookKernel.Completion] {
        guard !table.isEmpty, case .rows(_, let rows)? = try? execute("DESCRIBE `\(table.replacing("`", with: ""))`") else { return [] }
        return rows.compactMap { row in
            guard row.count > 1, case .string(let name) = row[0], case .string(let type) = row[1] else { return nil }
            return .init(text: name, kind: "column", detail: type)
        }
    }

    private func names(_ statement: String) -> [String] {
        guard case .rows(_, let rows)? = try? execute(statement) else { return [] }
        return rows.compactMap { if case .string(let name)? = $0.first { name } else { nil } }
    }

    private func execute(_ text: String) throws -> StatementResult? { try SQLParser(text: text, file: nil).parseScript().first.map { try session.execute($0) } }
}
