/// A cell's source as HTML in which keywords, strings, numbers and comments have classes. It knows words, not grammar.
package enum SourceHighlighter {
    package enum Language: Sendable, Hashable {
        case sql, python, swift, shell, plain

        /// By an interpreter's name: `flink.ssql`, `python`, `flink.pyflink`, `sh`, `swift`.
        package init(interpreter: String?) {
            switch interpreter ?? "flink.ssql" {
            case "flink.ssql", "flink.bsql", "ssql", "bsql", "sql": self = .sql
            case "python", "flink.pyflink", "flink.ipyflink", "ipython", "pyflink", "ipyflink": self = .python
            case "swift": self = .swift
            case "sh", "bash": self = .shell
            default: self = .plain
            }
        }
    }

    package static func html(_ source: String, _ language: Language) -> String {
        guard language != .plain else { return ChartText.escaped(source) }
        var scanner = Scanner(characters: Array(source), language: language)
        return scanner.html()
    }

    private struct Scanner {
        let characters: [Character]
        let language: Language
        var at = 0
        var out = ""

        mutating func html() -> String {
            while at < characters.count {
                let c = characters[at]
                if let end = comment() {
                    emit(end, String(characters[at..<end]).drop(while: { !$0.isLetter && $0 != "@" }).hasPrefix("@") ? "directive" : "comment")
                } else if let end = string(c) {
                    emit(end, "string")
                } else if c == "`" || (c == "\"" && language == .sql) {
                    emit(closing(c, from: at + 1, escape: nil), "name")
                } else if c == "$", at + 1 < characters.count, characters[at + 1] == "{" {
                    emit((characters[at...].firstIndex(of: "}") ?? characters.count - 1) + 1, "parameter")
                } else if c.isNumber {
                    emit(number(), "number")
                } else if c.isLetter || c == "_" {
                    let end = characters[at...].firstIndex { !$0.isLetter && !$0.isNumber && $0 != "_" } ?? characters.count
                    let word = String(characters[at..<end])
                    let isKeyword = language == .sql ? SourceHighlighter.sql.contains(word.uppercased()) : SourceHighlighter.keywords(language).contains(word)
                    emit(end, isKeyword ? "keyword" : nil)
                } else {
                    emit(at + 1, nil)
                }
            }
            return out
        }

        private mutating func emit(_ end: Int, _ name: String?) {
            let text = ChartText.escaped(String(characters[at..<min(end, characters.count)]))
            out += name.map { "<span class=\"\($0)\">\(text)</span>" } ?? text
            at = end
        }

        private func has(_ text: String) -> Bool { characters[at...].starts(with: text) }

        private func comment() -> Int? {
            let line = switch language {
            case .sql: "--"
            case .swift: "//"
            default: "#"
            }
            if has(line) { return characters[at...].firstIndex(where: \.isNewline) ?? characters.count }
            guard language == .sql || language == .swift, has("/*") else { return nil }
            var i = at + 2
            while i < characters.count, !(characters[i] == "*" && i + 1 < characters.count && characters[i + 1] == "/") { i += 1 }
            return min(i + 2, characters.count)
        }

        private func string(_ c: Character) -> Int? {
            switch (c, language) {
            case ("'", .sql): return closing("'", from: at + 1, escape: nil)
            case ("'", .python), ("\"", .python), ("\"", .swift):
                guard has(String(repeating: c, count: 3)) else { return closing(c, from: at + 1, escape: "\\", isLine: true) }
                var i = at + 3
                while i < characters.count, !characters[i...].starts(with: [c, c, c]) { i += characters[i] == "\\" ? 2 : 1 }
                return min(i + 3, characters.count)
            case ("'", .shell): return closing("'", from: at + 1, escape: nil)
            case ("\"", .shell): return closing("\"", from: at + 1, escape: "\\")
            default: return nil
            }
        }

        /// After the closing character; SQL doubles it within.
        private func closing(_ end: Character, from start: Int, escape: Character?, isLine: Bool = false) -> Int {
            var i = start
            while i < characters.count {
                if isLine, characters[i].isNewline { return i }
                if characters[i] == escape {
                    i += 2
                } else if characters[i] == end {
                    guard escape == nil, i + 1 < characters.count, characters[i + 1] == end, language == .sql else { return i + 1 }
                    i += 2
                } else {
                    i += 1
                }
            }
            return characters.count
        }

        private func number() -> Int {
            var i = at
            while i < characters.count, characters[i].isNumber || characters[i].isLetter || characters[i] == "." || characters[i] == "_" { i += 1 }
            return i
        }
    }

    private static func keywords(_ language: Language) -> Set<String> {
        switch language {
        case .python: python
        case .swift: swift
        default: shell
        }
    }

    private static let sql: Set<String> = Set("""
        ADD ALL ALTER ANALYZE AND ANTI ANY ARRAY AS ASC AT BEGIN BETWEEN BIGINT BINARY BOOLEAN BOTH BY BYTES CALL CASE CAST CATALOG CATALOGS CHAR COLUMN COLUMNS COMMENT COMPUTE \
        CONSTRAINT CREATE CROSS CUBE CUMULATE CURRENT DATABASE DATABASES DATE DAY DECIMAL DECLARE DEFINE DELETE DESC DESCRIBE DESCRIPTOR DISTINCT DOUBLE DROP ELSE END ENFORCED EXCEPT EXECUTE \
        EXISTS EXPLAIN EXTENDED FALSE FETCH FILTER FIRST FLOAT FOLLOWING FOR FROM FULL FUNCTION FUNCTIONS GENERATED GROUP GROUPING HAVING HOP HOUR IF IN INNER INSERT INT INTEGER INTERSECT \
        INTERVAL INTO IS JOIN JSON KEY LAST LATERAL LEADING LEFT LIKE LIMIT LOCAL MAP MATCHED MATCH_RECOGNIZE MEASURES MERGE METADATA MINUTE MODULES MONTH MULTISET NATURAL NOT NULL NULLS \
        NUMERIC OF OFFSET ON OR ORDER OUTER OVER OVERWRITE PARTITION PARTITIONED PARTITIONS PATTERN PRECEDING PRIMARY RANGE RECURSIVE REMOVE RENAME REPLACE RESET RIGHT ROLLUP ROW ROWS \
        SECOND SELECT SEMI SESSION SET SETS SHOW SIMILAR SMALLINT STATEMENT STRING SYSTEM_TIME TABLE TABLES TABLESAMPLE TEMPORARY THEN TIME TIMESTAMP TIMESTAMP_LTZ TINYINT TO TRAILING TRUE \
        TRUNCATE TRY_CAST TUMBLE UNBOUNDED UNION UNIQUE UNKNOWN UNLOAD UNNEST UPDATE USE USING VALUES VARBINARY VARCHAR VARIANT VIEW VIEWS VIRTUAL WATERMARK WHEN WHERE WINDOW WITH WITHIN WITHOUT YEAR ZONE
        """.split(separator: " ").map(String.init))
    private static let python: Set<String> = Set("""
        False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield
        """.split(separator: " ").map(String.init))
    private static let swift: Set<String> = Set("""
        actor as async await break case catch class continue default defer deinit do else enum extension fallthrough false for func guard if import in init inout internal is let nil nonisolated \
        private protocol public repeat rethrows return self some static struct subscript super switch throw throws true try typealias var where while
        """.split(separator: " ").map(String.init))
    private static let shell: Set<String> = Set("case do done elif else esac exit export fi for function if in local return set shift then trap unset until while".split(separator: " ").map(String.init))
}
