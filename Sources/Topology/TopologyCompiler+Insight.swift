import StreamCore
import StreamSQL
import Yams

/// Steps that make log records ready for counting, and that watch the counts.
extension TopologyCompiler {
    /// Values as numbers.
    ///
    ///     - name: encoded
    ///       transform: encode
    ///       from: logs
    ///       one-hot:
    ///         http_method: {column: method, values: [GET, HEAD, POST]}       # http_method_get, http_method_head, ...: 1 or 0
    ///       bins:
    ///         http: {column: status, edges: [100, 200, 300], names: [1xx, 2xx]}      # http_1xx, http_2xx: 1 or 0
    ///         size: {column: bytes, edges: [0, 1000, 1000000]}               # the number of the bin; 0 = below the first edge
    ///       ordinal:
    ///         level_number: {column: level, values: [DEBUG, INFO, WARN]}     # 1, 2, 3; NULL for others
    ///
    /// A bin holds its lower edge and not its upper one: 299 is 2xx.
    func encode(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let columns = try given["columns"].map { try self.columns($0, name) }, at = document.span(step)
        var made: [(name: String, at: SourceSpan, body: Body)] = []
        func each(_ key: String, _ body: (String, SourceSpan, String, [String: Node], Node) throws -> Void) throws {
            guard let node = given[key] else { return }
            for (name, value) in try pairs(node, key) {
                let what = "\(key) \(name.string!)"
                let entry = try entries(value, what, TopologyKeys.encodings[key]!)
                try body(name.string!, document.span(name), try text(try required(entry, "column", what, value), "column"), entry, value)
            }
        }
        func flag(_ name: String, _ at: SourceSpan, _ column: String, _ condition: [String]) {
            made.append((name, at, { sql in
                sql.add("CASE WHEN ", at: at)
                for (i, part) in condition.enumerated() {
                    if i > 0 { sql.add(" AND ", at: at) }
                    sql.addName(column, at: at)
                    sql.add(part, at: at)
                }
                sql.add(" THEN 1 ELSE 0 END", at: at)
            }))
        }
        try each("one-hot") { name, at, column, entry, node in
            let node = try required(entry, "values", "one-hot \(name)", node)
            for value in try literals(node, "values of \(name)") { flag(Self.columnName(name, value), at, column, [" = \(value)"]) }
        }
        try each("bins") { name, at, column, entry, node in
            let edgesNode = try required(entry, "edges", "bins \(name)", node), edges = try literals(edgesNode, "edges of \(name)")
            let numbers = edges.compactMap { isNumber($0) ? Double($0) : nil }
            guard numbers.count == edges.count, edges.count >= 2, zip(numbers, numbers.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw document.error("edges of \(name) are not numbers that rise", fix: "write for example edges: [100, 200, 300]", at: edgesNode)
            }
            guard let namesNode = entry["names"] else {
                made.append((name, at, { sql in
                    sql.add("WIDTH_BUCKET(", at: at)
                    sql.addName(column, at: at)
                    sql.add(", ARRAY[\(edges.joined(separator: ", "))])", at: at)
                }))
                return
            }
            let names = try list(namesNode, "names")
            guard names.count == edges.count - 1 else {
                throw document.error("bins \(name) has \(edges.count) edges, which make \(edges.count - 1) bins, but \(names.count) names", fix: "give each bin between two edges a name", at: namesNode)
            }
            for (i, (bin, _)) in names.enumerated() { flag(Self.columnName(name, bin), at, column, [" >= \(edges[i])", " < \(edges[i + 1])"]) }
        }
        try each("ordinal") { name, at, column, entry, node in
            let values = try literals(try required(entry, "values", "ordinal \(name)", node), "values of \(name)")
            made.append((name, at, { sql in
                sql.add("NULLIF(ARRAY_POSITION(ARRAY[\(values.joined(separator: ", "))], ", at: at)
                sql.addName(column, at: at)
                sql.add("), 0)", at: at)
            }))
        }
        guard !made.isEmpty else { throw document.error("\(name) encodes nothing", fix: "add one-hot:, bins: or ordinal: to it", at: step) }
        for (i, column) in made.enumerated() where made[..<i].contains(where: { $0.name == column.name }) {
            throw document.source.error(.validate, "\(name) makes two columns named \"\(column.name)\"", fix: "rename one", at: column.at)
        }
        return { [made] sql in
            sql.add("SELECT ", at: at)
            if let columns { columns(&sql) } else { sql.add("*", at: at) }
            for column in made {
                sql.add(", ", at: column.at)
                column.body(&sql)
                sql.add(" AS ", at: column.at)
                sql.addName(column.name, at: column.at)
            }
            sql.add(" FROM ", at: source.1)
            sql.addName(source.0, at: source.1)
        }
    }

    /// `http_method` and `'GET'` are http_method_get.
    private static func columnName(_ prefix: String, _ value: String) -> String {
        let plain = value.hasPrefix("'") ? String(value.dropFirst().dropLast()) : value
        return prefix + "_" + String(plain.lowercased().map { $0.isLetter || $0.isNumber ? $0 : "_" })
    }

    /// Scores records, or aggregates of them in each interval, by a random cut forest of their key.
    ///
    ///     - name: watched
    ///       transform: anomaly
    ///       from: encoded
    ///       time: ts
    ///       interval: 1 min
    ///       key: bucket
    ///       aggregates: {errors: {sum: http_5xx}, requests: {count: status}, countries: {cardinality: country}}
    ///
    /// The key, the interval's window_start and window_end, and the aggregates; then anomaly_score, anomaly_grade (its share of the
    /// sample), each aggregate's part in the score, detector_state ('initializing' until `initialize` intervals are learned, then
    /// 'running') and is_anomaly (the grade is above `threshold`). With `columns` in place of interval and aggregates, each record is scored.
    func anomaly(_ step: Node, _ given: [String: Node], _ name: String, _ source: (String, SourceSpan)) throws -> Body {
        let keys = try given["key"].map { try list($0, "key") } ?? [], at = document.span(step)
        let samples = try wholeNumber(given["samples"], "samples") ?? 256
        var arguments: [String] = [], threshold = "0.5"
        for (key, parameter) in [("trees", "NUMBER_OF_TREES"), ("decay", "TIME_DECAY"), ("shingle", "SHINGLE_SIZE"), ("seed", "SEED")] {
            if let value = try wholeNumber(given[key], key) { arguments.append("\(parameter) => \(value)") }
        }
        arguments.append("SUB_SAMPLE_SIZE => \(samples)")
        arguments.append("OUTPUT_AFTER => \(try wholeNumber(given["initialize"], "initialize") ?? 32)")
        arguments.append("NORMALIZE => \(try given["normalize"].map { try flag($0, "normalize") } ?? true ? "TRUE" : "FALSE")")
        if let node = given["threshold"] {
            threshold = try text(node, "threshold")
            guard isNumber(threshold), (0...1).contains(Double(threshold) ?? -1) else {
                throw document.error("threshold: \(threshold) is not from 0 to 1", fix: "write the share of the sample that an anomaly displaces, for example 0.5", at: node)
            }
        }
        let features: [(String, SourceSpan)], input: Body
        if let node = given["columns"] {
            for key in ["interval", "aggregates", "time"] {
                if let extra = given[key] { throw document.error("\(name) has both columns and \(key)", fix: "remove one: columns scores each record, aggregates each interval", at: extra) }
            }
            features = try list(node, "columns")
            input = { sql in
                sql.add("TABLE ", at: source.1)
                sql.addName(source.0, at: source.1)
            }
        } else {
            let node = try required(given, "aggregates", name, step)
            let interval = try required(given, "interval", name, step), length = try self.interval(interval, "interval")
            let time = try text(try required(given, "time", name, step), "time")
            let aggregates = try pairs(node, "aggregates of \(name)").map { ($0.key.string!, document.span($0.key), try aggregate($0.value, "aggregate \($0.key.string!)")) }
            features = aggregates.map { ($0.0, $0.1) }
            input = { sql in
                sql.add("(SELECT ", at: at)
                for (key, span) in keys {
                    sql.addName(key, at: span)
                    sql.add(", ", at: span)
                }
                sql.add("window_start, window_end", at: at)
                for (name, span, body) in aggregates {
                    sql.add(", ", at: span)
                    body(&sql)
                    sql.add(" AS ", at: span)
                    sql.addName(name, at: span)
                }
                sql.add(" FROM TABLE(TUMBLE(TABLE ", at: source.1)
                sql.addName(source.0, at: source.1)
                sql.add(", DESCRIPTOR(", at: document.span(given["time"]!))
                sql.addName(time, at: document.span(given["time"]!))
                sql.add("), \(length.sql))) GROUP BY ", at: document.span(interval))
                for (key, span) in keys {
                    sql.addName(key, at: span)
                    sql.add(", ", at: span)
                }
                sql.add("window_start, window_end)", at: at)
            }
        }
        guard (1...5).contains(features.count) else {
            throw document.error("\(name) watches \(features.count) features", fix: "give one to five; use several steps for more", at: given["columns"] ?? given["aggregates"]!)
        }
        return { [arguments, threshold] sql in
            sql.add("SELECT *, CASE WHEN anomaly_score IS NULL THEN 'initializing' ELSE 'running' END AS detector_state, ", at: at)
            sql.add("COALESCE(anomaly_grade > \(threshold), FALSE) AS is_anomaly FROM TABLE(RANDOM_CUT_FOREST_WITH_EXPLANATION(DATA => ", at: at)
            input(&sql)
            for (i, (key, span)) in keys.enumerated() {
                sql.add(i == 0 ? " PARTITION BY (" : ", ", at: span)
                sql.addName(key, at: span)
            }
            if !keys.isEmpty { sql.add(")", at: at) }
            for (i, (feature, span)) in features.enumerated() {
                sql.add(i == 0 ? ", COLUMNS => DESCRIPTOR(" : ", ", at: span)
                sql.addName(feature, at: span)
            }
            sql.add("), \(arguments.joined(separator: ", "))))", at: at)
        }
    }

    private func aggregate(_ node: Node, _ what: String) throws -> Body {
        let functions = ["sum": "SUM(", "count": "COUNT(", "min": "MIN(", "max": "MAX(", "average": "AVG(", "cardinality": "COUNT(DISTINCT "]
        let given = try entries(node, what, functions.keys.sorted())
        guard given.count == 1, let (key, value) = given.first, let function = functions[key] else {
            throw document.error("\(what) needs exactly one of \(functions.keys.sorted().joined(separator: ", "))", fix: "write for example {sum: column}", at: node)
        }
        let column = try text(value, key), at = document.span(value)
        let isEverything = column == "*" && key == "count"
        return { sql in
            sql.add(key == "sum" ? "COALESCE(CAST(\(function)" : "CAST(\(function)", at: at)
            if isEverything { sql.add("*", at: at) } else { sql.addName(column, at: at) }
            sql.add(key == "sum" ? ") AS DOUBLE), 0)" : ") AS DOUBLE)", at: at)
        }
    }

    private func wholeNumber(_ node: Node?, _ key: String) throws -> Int? {
        guard let node else { return nil }
        let given = try text(node, key)
        guard let n = Int(given) else { throw document.error("\(key): \(given) is not a whole number", fix: "write for example \(key): 100", at: node) }
        return n
    }
}
