import StreamCore
import StreamSQL
import Yams

/// Steps for change records.
extension TopologyCompiler {
    /// A VARIANT column of several levels as another of one level: see FLATTEN_VARIANT.
    ///
    ///     - {name: flat, transform: flatten, from: changes, column: row, separator: _, depth: 3, as: item}
    func flatten(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let column = try required(given, "column", name, step), what = try text(column, "column"), at = document.span(column)
        let separator = try given["separator"].map { try text($0, "separator") } ?? "_"
        let lists = try given["lists"].map { try choice($0, "lists", ["json", "index", "keep"]) } ?? "json"
        var depth = 1_000
        if let node = given["depth"] {
            guard let number = Int32(try text(node, "depth")), number >= 1 else {
                throw document.error("depth of \(name) is not a number of levels", fix: "write how many names may be joined, at least 1", at: node)
            }
            depth = Int(number)
        }
        let target = try given["as"].map { try text($0, "as") } ?? "flat"
        let columns = try given["columns"].map { try self.columns($0, name) }
        let filter = try given["where"].map { try clause("WHERE", $0, name) }
        return { sql in
            if let columns {
                sql.add("SELECT ", at: at)
                columns(&sql)
                sql.add(" FROM (", at: at)
            }
            sql.add("SELECT *, FLATTEN_VARIANT(", at: at)
            sql.addName(what, at: at)
            sql.add(", \(SQLComposer.literal(separator)), \(depth), \(SQLComposer.literal(lists))) AS ", at: at)
            sql.addName(target, at: at)
            sql.add(" FROM ", at: source.1)
            sql.addName(source.0, at: source.1)
            if columns != nil { sql.add(")", at: at) }
            filter?(&sql)
        }
    }

    /// One row for each key: the last (or first) by the given columns, none when that row says that it was deleted.
    ///
    ///     - {name: current, transform: deduplicate, from: changes, keys: id, order-by: [update_time, position], deleted: op = 'D', columns: [id, name]}
    ///
    /// Rows without a time, such as those of a full load, count as earlier than all others.
    func deduplicate(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let keys = try list(try required(given, "keys", name, step), "keys"), order = try list(try required(given, "order-by", name, step), "order-by")
        let columns = try self.columns(try required(given, "columns", name, step), name)
        let keepsLast = try given["keep"].map { try choice($0, "keep", ["last", "first"]) } ?? "last" == "last"
        let deleted = try given["deleted"].map { (try expression($0, "deleted of \(name)"), document.span($0)) }
        for (names, key) in [(keys, "keys"), (order, "order-by")] where names.isEmpty {
            throw document.error("\(key) of \(name) is empty", fix: "name at least one column", at: given[key]!)
        }
        let at = document.span(step), number = "row_number_of_key"
        return { sql in
            sql.add("SELECT ", at: at)
            columns(&sql)
            sql.add(" FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY ", at: at)
            for (i, (key, span)) in keys.enumerated() {
                if i > 0 { sql.add(", ", at: span) }
                sql.addName(key, at: span)
            }
            for (i, (column, span)) in order.enumerated() {
                sql.add(i == 0 ? " ORDER BY " : ", ", at: span)
                sql.addName(column, at: span)
                sql.add(keepsLast ? " DESC NULLS LAST" : " ASC NULLS FIRST", at: span)
            }
            sql.add(") AS \(number) FROM ", at: at)
            sql.addName(source.0, at: source.1)
            sql.add(") WHERE \(number) = 1", at: at)
            if let (expression, span) = deleted {
                sql.add(" AND (", at: span)
                expression(&sql)
                sql.add(") IS NOT TRUE", at: span)
            }
        }
    }

    private func choice(_ node: Node, _ key: String, _ allowed: [String]) throws -> String {
        let given = try text(node, key)
        guard allowed.contains(given) else {
            throw document.error("\(key): \(given) is none of \(allowed.joined(separator: ", "))", fix: NearName.hint(for: given, in: allowed), at: node)
        }
        return given
    }
}
