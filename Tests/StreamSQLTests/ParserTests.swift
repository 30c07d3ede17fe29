import Foundation
import StreamCore
import Testing

@testable import StreamSQL

/// Trees as text with explicit parentheses, so that tests can compare them.
func shown(_ e: SyntaxExpr) -> String {
    func list(_ es: [SyntaxExpr]) -> String { es.map(shown).joined(separator: ", ") }
    func not(_ negated: Bool) -> String { negated ? "NOT " : "" }
    switch e.node {
    case .name(let n): return n.parts.joined(separator: ".")
    case .star(let n): return (n.map { $0.text + "." } ?? "") + "*"
    case .integer(let s), .decimal(let s), .approximate(let s): return s
    case .string(let s): return "'\(s)'"
    case .bytes(let b): return "X\(b)"
    case .boolean(let b): return "\(b)"
    case .null: return "null"
    case .dateLiteral(let s): return "DATE '\(s)'"
    case .timeLiteral(let s): return "TIME '\(s)'"
    case .timestampLiteral(let s): return "TIMESTAMP '\(s)'"
    case .interval(let t, let from, let to, let negative):
        return "INTERVAL \(negative ? "-" : "")'\(t)' \(from)" + (to.map { " TO \($0)" } ?? "")
    case .unary(let op, let a): return "(\(op) \(shown(a)))"
    case .binary(let op, let a, let b): return "(\(shown(a)) \(op) \(shown(b)))"
    case .isNull(let a, let n): return "(\(shown(a)) IS \(not(n))NULL)"
    case .isTruth(let a, let t, let n): return "(\(shown(a)) IS \(not(n))\(t))"
    case .isDistinct(let a, let b, let n): return "(\(shown(a)) IS \(not(n))DISTINCT FROM \(shown(b)))"
    case .isJSON(let a, let k, let n): return "(\(shown(a)) IS \(not(n))JSON \(k))"
    case .between(let a, let l, let h, let s, let n):
        return "(\(shown(a)) \(not(n))BETWEEN \(s ? "SYMMETRIC " : "")\(shown(l)) AND \(shown(h)))"
    case .inList(let a, let items, let n): return "(\(shown(a)) \(not(n))IN [\(list(items))])"
    case .inQuery(let a, let q, let n): return "(\(shown(a)) \(not(n))IN {\(shown(q))})"
    case .exists(let q): return "EXISTS {\(shown(q))}"
    case .quantified(let op, let a, let isAll, let q): return "(\(shown(a)) \(op) \(isAll ? "ALL" : "ANY") {\(shown(q))})"
    case .scalarQuery(let q): return "{\(shown(q))}"
    case .like(let op, let a, let p, let esc, let n):
        return "(\(shown(a)) \(not(n))\(op) \(shown(p))\(esc.map { " ESCAPE " + shown($0) } ?? ""))"
    case .caseWhen(let operand, let branches, let otherwise):
        return "CASE" + (operand.map { " " + shown($0) } ?? "") + branches.map { " WHEN \(shown($0.when)) THEN \(shown($0.then))" }.joined()
            + (otherwise.map { " ELSE " + shown($0) } ?? "") + " END"
    case .cast(let a, let t, let safe): return "\(safe ? "TRY_" : "")CAST(\(shown(a)) AS \(t))"
    case .call(let c):
        var text = "\(c.name)(\(c.star ? "*" : (c.distinct ? "DISTINCT " : "") + list(c.arguments)))"
        if let r = c.returning { text += " RETURNING \(r)" }
        if let w = c.wrapper { text += " WRAPPER \(w)" }
        if let o = c.onEmpty { text += " EMPTY:\(o)" + (c.emptyDefault.map { " " + shown($0) } ?? "") }
        if let o = c.onError { text += " ERROR:\(o)" + (c.errorDefault.map { " " + shown($0) } ?? "") }
        if let o = c.onNull { text += " ONNULL:\(o)" }
        if let f = c.filter { text += " FILTER \(shown(f))" }
        if let o = c.over {
            text += " OVER(\(list(o.partitionBy)); \(o.orderBy.map(shown).joined(separator: ", "))\(o.frame.map { "; " + $0 } ?? ""))"
        }
        return text
    case .array(let items): return "ARRAY[\(list(items))]"
    case .map(let items): return "MAP[\(list(items))]"
    case .row(let items): return "ROW(\(list(items)))"
    case .subscriptOf(let a, let b): return "\(shown(a))[\(shown(b))]"
    case .field(let a, let f): return "\(shown(a))->\(f)"
    }
}

func shown(_ item: OrderItem) -> String {
    shown(item.expr) + (item.descending ? " DESC" : "") + (item.nullsFirst.map { $0 ? " FIRST" : " LAST" } ?? "")
}

func shown(_ q: Query) -> String {
    var text = q.with.map { "WITH \($0.name)\($0.columns.map { "\($0)" } ?? "") = {\(shown($0.query))} " }.joined()
    switch q.body {
    case .select(let s):
        text +=
            "SELECT " + (s.distinct ? "DISTINCT " : "")
            + s.items.map { shown($0.expr) + ($0.alias.map { " AS \($0)" } ?? "") }.joined(separator: ", ")
        if let f = s.from { text += " FROM \(shown(f))" }
        if let w = s.filter { text += " WHERE \(shown(w))" }
        if !s.groupBy.isEmpty { text += " GROUP \(s.groupBy.map(shown).joined(separator: ", "))" }
        if let h = s.having { text += " HAVING \(shown(h))" }
    case .values(let rows, _): text += "VALUES " + rows.map { "(" + $0.map(shown).joined(separator: ", ") + ")" }.joined(separator: ", ")
    case .set(let op, let all, let l, let r, _): text += "({\(shown(l))} \(op)\(all ? " ALL" : "") {\(shown(r))})"
    }
    if !q.orderBy.isEmpty { text += " ORDER \(q.orderBy.map(shown).joined(separator: ", "))" }
    if let l = q.limit { text += " LIMIT \(shown(l))" }
    if let o = q.offset { text += " OFFSET \(shown(o))" }
    return text
}

func shown(_ t: TableRef) -> String {
    var text = t.lateral ? "LATERAL " : ""
    switch t.node {
    case .table(let n, let hints):
        text += n.text + (hints.isEmpty ? "" : "\(hints.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })")
    case .query(let q): text += "{\(shown(q))}"
    case .windowFunction(let name, let input, let time, let args):
        text += "\(name)<\(shown(input)); \(time.text); \(args.map(shown).joined(separator: ", "))>"
    case .randomCutForest(let call): text += "FOREST<\(shown(call.input))>"
    case .tableFunction(let call): text += "TABLE \(call.name)(" + call.arguments.map(shown).joined(separator: ", ") + ")"
    case .path(let e): text += "PATH \(shown(e))"
    case .match(let input, let match): text += "\(shown(input)) MATCH \(match.pattern.map(\.variable))"
    case .unnest(let e, let o): text += "UNNEST \(shown(e))" + (o ? " ORDINALITY" : "")
    case .join(let l, let r, let kind, let on, let using):
        text += "(\(shown(l)) \(kind) \(shown(r))" + (on.map { " ON \(shown($0))" } ?? "") + (using.isEmpty ? "" : " USING \(using)") + ")"
    }
    if !t.partitionBy.isEmpty { text += " BY \(t.partitionBy.map(shown).joined(separator: ", "))" }
    if let asOf = t.asOf { text += " ASOF \(shown(asOf))" }
    if let a = t.alias { text += " AS \(a)\(t.columnAliases.map { "\($0)" } ?? "")" }
    if let position = t.position { text += " AT \(position)" }
    return text
}

@Suite("Parser: expressions") struct ExpressionParserTests {
    @Test(
        "precedence, special syntax and literals",
        arguments: [
            ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
            ("-a * b || c", "(((- a) * b) || c)"),
            ("a OR b AND NOT c = d", "(a OR (b AND (NOT (c = d))))"),
            ("a = b IS NOT NULL", "((a = b) IS NOT NULL)"),
            ("NOT a IS NULL OR b IS UNKNOWN", "((NOT (a IS NULL)) OR (b IS UNKNOWN))"),
            (
                "a BETWEEN 1 AND 2 AND b NOT BETWEEN SYMMETRIC 3 AND 4 + 1",
                "((a BETWEEN 1 AND 2) AND (b NOT BETWEEN SYMMETRIC 3 AND (4 + 1)))"
            ),
            ("a NOT IN (1, 2) AND b != 3", "((a NOT IN [1, 2]) AND (b <> 3))"),
            ("a LIKE 'x!%' ESCAPE '!' AND b NOT SIMILAR TO 'y'", "((a LIKE 'x!%' ESCAPE '!') AND (b NOT SIMILAR TO 'y'))"),
            ("a IS NOT DISTINCT FROM b + 1", "(a IS NOT DISTINCT FROM (b + 1))"),
            ("js IS JSON AND js IS NOT JSON ARRAY", "((js IS JSON VALUE) AND (js IS NOT JSON ARRAY))"),
            ("CASE WHEN a THEN 1 ELSE 2 END", "CASE WHEN a THEN 1 ELSE 2 END"),
            ("case x when 1 then 'a' when 2 then 'b' end", "CASE x WHEN 1 THEN 'a' WHEN 2 THEN 'b' END"),
            ("CAST(a AS DECIMAL(10, 2))", "CAST(a AS DECIMAL(10, 2))"),
            ("TRY_CAST('1' AS ARRAY<ROW<n INT NOT NULL, s STRING>>)", "TRY_CAST('1' AS ARRAY<ROW<n INT NOT NULL, s STRING>>)"),
            ("rs[1].n + r.g.lat", "(rs[1]->n + r.g.lat)"),
            ("f(x).y.z", "F(x)->y->z"),
            ("COUNT(*) FILTER (WHERE v > 5)", "COUNT(*) FILTER (v > 5)"),
            ("COUNT(DISTINCT meta.city)", "COUNT(DISTINCT meta.city)"),
            (
                "SUM(v) OVER (PARTITION BY k, m ORDER BY ts DESC NULLS LAST ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
                "SUM(v) OVER(k, m; ts DESC LAST; ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
            ),
            ("INTERVAL '10' SECONDS", "INTERVAL '10' SECOND"),
            ("INTERVAL -'1 10:00' DAY(3) TO MINUTE", "INTERVAL -'1 10:00' DAY TO MINUTE"),
            ("ts - INTERVAL '1-2' YEAR TO MONTH", "(ts - INTERVAL '1-2' YEAR TO MONTH)"),
            ("TIMESTAMP '2024-01-01 00:00:00'", "TIMESTAMP '2024-01-01 00:00:00'"),
            ("DATE '2024-01-01' < TIME '10:00'", "(DATE '2024-01-01' < TIME '10:00')"),
            ("X'0aFF'", "X[10, 255]"),
            ("U&'\\00e9\\\\'", "'é\\'"),
            ("'it''s' || ''", "('it's' || '')"),
            ("1.5e-3 + .5 + 7.", "((1.5e-3 + .5) + 7.)"),
            ("ARRAY[1, 2][1]", "ARRAY[1, 2][1]"),
            ("MAP['a', 1]['a']", "MAP['a', 1]['a']"),
            ("(1, 'a') = ROW(1, 'a')", "(ROW(1, 'a') = ROW(1, 'a'))"),
            ("EXTRACT(DAY FROM d)", "EXTRACT('DAY', d)"),
            ("FLOOR(ts TO HOUR) + CEIL(x)", "(FLOOR(ts, 'HOUR') + CEIL(x))"),
            ("TIMESTAMPADD(SQL_TSI_MONTH, 1, ts)", "TIMESTAMPADD('MONTH', 1, ts)"),
            ("TRIM(s)", "TRIM('BOTH', ' ', s)"),
            ("TRIM(LEADING 'x' FROM s)", "TRIM('LEADING', 'x', s)"),
            ("TRIM(BOTH FROM s)", "TRIM('BOTH', ' ', s)"),
            ("TRIM('x' FROM s)", "TRIM('BOTH', 'x', s)"),
            ("SUBSTRING(s FROM 2 FOR 3)", "SUBSTRING(s, 2, 3)"),
            ("POSITION('a' || 'b' IN s)", "POSITION(('a' || 'b'), s)"),
            ("OVERLAY(s PLACING r FROM 3 FOR 2)", "OVERLAY(s, r, 3, 2)"),
            (
                "JSON_VALUE(js, '$.a' RETURNING INT NULL ON EMPTY DEFAULT -1 ON ERROR)",
                "JSON_VALUE(js, '$.a') RETURNING INT EMPTY:NULL ERROR:DEFAULT (- 1)"
            ),
            (
                "JSON_QUERY(js, '$.a' WITH CONDITIONAL ARRAY WRAPPER EMPTY OBJECT ON ERROR)",
                "JSON_QUERY(js, '$.a') WRAPPER CONDITIONAL ERROR:EMPTY OBJECT"
            ),
            ("JSON_EXISTS(js, '$.a' FALSE ON ERROR)", "JSON_EXISTS(js, '$.a') ERROR:FALSE"),
            ("JSON_OBJECT('a' VALUE 1, KEY b VALUE NULL NULL ON NULL)", "JSON_OBJECT('a', 1, b, null) ONNULL:NULL"),
            ("JSON_ARRAY(1, k, TRUE ABSENT ON NULL)", "JSON_ARRAY(1, k, true) ONNULL:ABSENT"),
            ("JSON_OBJECT()", "JSON_OBJECT()"),
            ("CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP()"),
            ("`select`.`a b`", "select.a b"),
            ("LEFT(s, 2) || RIGHT(s, 1)", "(LEFT(s, 2) || RIGHT(s, 1))"),
            ("EXISTS (SELECT 1) AND x IN (SELECT y FROM t)", "(EXISTS {SELECT 1} AND (x IN {SELECT y FROM t}))"),
            ("(SELECT MAX(v) FROM t) + 1", "({SELECT MAX(v) FROM t} + 1)"),
            ("((SELECT 1) UNION SELECT 2)", "{({SELECT 1} UNION {SELECT 2})}"),
        ] as [(String, String)])
    func trees(text: String, tree: String) throws {
        #expect(shown(try SQLParser(text: text).parseExpression()) == tree)
    }

    @Test("a chain of 20,000 ORs becomes a shallow tree")
    func longChain() throws {
        let text = (0..<20_000).map { "a = \($0)" }.joined(separator: " OR ")
        func depth(_ e: SyntaxExpr) -> Int {
            if case .binary(_, let a, let b) = e.node { 1 + max(depth(a), depth(b)) } else { 0 }
        }
        #expect(depth(try SQLParser(text: text).parseExpression()) < 20)
    }

    @Test(
        "types",
        arguments: [
            ("decimal(3,1)", "DECIMAL(3, 1)", true), ("VARCHAR", "STRING", true), ("varchar(6) NOT NULL", "VARCHAR(6)", false),
            ("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)", true), ("TIMESTAMP", "TIMESTAMP(6)", true),
            ("INTERVAL DAY(3) TO SECOND(3)", "INTERVAL DAY TO SECOND(3)", true), ("double precision", "DOUBLE", true),
            ("MAP<STRING, ARRAY<INT NOT NULL>>", "MAP<STRING, ARRAY<INT>>", true), ("INT ARRAY", "ARRAY<INT>", true),
            ("ROW(`a b` INT 'comment', c ROW<d DATE>)", "ROW<a b INT, c ROW<d DATE>>", true),
        ] as [(String, String, Bool)])
    func types(text: String, shown: String, nullable: Bool) throws {
        let type = try SQLParser.parseType(text)
        #expect("\(type.0)" == shown)
        #expect(type.nullable == nullable)
    }
}

@Suite("Parser: statements") struct StatementParserTests {
    private func query(_ text: String) throws -> String {
        guard case .query(let query) = try SQLParser(text: text).parseStatement().node else { return "not a query" }
        return shown(query)
    }

    @Test(
        "queries",
        arguments: [
            ("SELECT t.*, *, a b, c AS d FROM t", "SELECT t.*, *, a AS b, c AS d FROM t"),
            (
                "SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 3 EXCEPT SELECT 4",
                "({({SELECT 1} UNION ALL {({SELECT 2} INTERSECT {SELECT 3})})} EXCEPT {SELECT 4})"
            ),
            (
                "(SELECT a FROM t ORDER BY a LIMIT 3) UNION ALL SELECT 1 ORDER BY a NULLS FIRST",
                "({SELECT a FROM t ORDER a LIMIT 3} UNION ALL {SELECT 1}) ORDER a FIRST"
            ),
            ("SELECT a FROM t ORDER BY a DESC OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY", "SELECT a FROM t ORDER a DESC LIMIT 3 OFFSET 2"),
            ("(SELECT a FROM t LIMIT 5) LIMIT 3", "SELECT * FROM {SELECT a FROM t LIMIT 5} LIMIT 3"),
            (
                "WITH a AS (SELECT 1), b (x) AS (SELECT * FROM a) SELECT x FROM b",
                "WITH a = {SELECT 1} WITH b[\"x\"] = {SELECT * FROM a} SELECT x FROM b"
            ),
            ("VALUES (1, 'a'), ROW(2, 'b'), 3", "VALUES (1, 'a'), (2, 'b'), (3)"),
            ("SELECT DISTINCT k FROM (VALUES (1)) AS v(k)", "SELECT DISTINCT k FROM {VALUES (1)} AS v[\"k\"]"),
            ("SELECT k FROM a, b LEFT JOIN c ON b.x = c.x, d", "SELECT k FROM ((a CROSS (b LEFT c ON (b.x = c.x))) CROSS d)"),
            (
                "SELECT k FROM a FULL OUTER JOIN b USING (x, y) CROSS JOIN UNNEST(xs) WITH ORDINALITY AS t(x, o)",
                "SELECT k FROM ((a FULL b USING [\"x\", \"y\"]) CROSS UNNEST xs ORDINALITY AS t[\"x\", \"o\"])"
            ),
            (
                "SELECT 1 FROM (a JOIN b ON TRUE) JOIN LATERAL (SELECT 2) ON TRUE",
                "SELECT 1 FROM ((a INNER b ON true) INNER LATERAL {SELECT 2} ON true)"
            ),
            ("SELECT 1 FROM ((SELECT 1) UNION (SELECT 2)) u", "SELECT 1 FROM {({SELECT 1} UNION {SELECT 2})} AS u"),
            (
                "SELECT 1 FROM o LEFT JOIN r FOR SYSTEM_TIME AS OF o.ot AS r2 ON o.c = r2.c",
                "SELECT 1 FROM (o LEFT r ASOF o.ot AS r2 ON (o.c = r2.c))"
            ),
            ("SELECT 1 FROM t /*+ OPTIONS('a'='b') */ AS x", "SELECT 1 FROM t[\"a=b\"] AS x"),
            (
                "SELECT 1 FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) w",
                "SELECT 1 FROM HOP<t; ts; INTERVAL '5' SECOND, INTERVAL '10' SECOND> AS w"
            ),
            (
                "SELECT 1 FROM TABLE(HOP(SIZE => INTERVAL '10' SECOND, DATA => TABLE t, SLIDE => INTERVAL '5' SECOND, TIMECOL => DESCRIPTOR(ts)))",
                "SELECT 1 FROM HOP<t; ts; INTERVAL '5' SECOND, INTERVAL '10' SECOND>"
            ),
            (
                "SELECT 1 FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND)",
                "SELECT 1 FROM SESSION<t BY k; ts; INTERVAL '8' SECOND>"
            ),
            (
                "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM t WHERE a GROUP BY (k, m), TUMBLE(ts, INTERVAL '1' MINUTE) HAVING COUNT(*) > 1",
                "SELECT k, TUMBLE_START(ts, INTERVAL '1' MINUTE) FROM t WHERE a GROUP k, m, TUMBLE(ts, INTERVAL '1' MINUTE) HAVING (COUNT(*) > 1)"
            ),
            (
                "SELECT COUNT(*) OVER w AS c FROM t WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW)",
                "SELECT COUNT(*) OVER(k; ts; RANGE BETWEEN INTERVAL '10' SECOND PRECEDING AND CURRENT ROW) AS c FROM t"
            ),
            ("TABLE t", "SELECT * FROM t"),
        ] as [(String, String)])
    func queries(text: String, tree: String) throws {
        #expect(try query(text) == tree)
    }

    @Test("CREATE TABLE with every kind of column and clause")
    func createTable() throws {
        let text = """
            CREATE TEMPORARY TABLE IF NOT EXISTS db.t (
              id INT NOT NULL COMMENT 'the id',
              name VARCHAR(6),
              cost AS price * `count`,
              ts TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
              part INT METADATA,
              WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
              CONSTRAINT pk PRIMARY KEY (id, name) NOT ENFORCED
            ) COMMENT 'all' PARTITIONED BY (name) WITH ('connector' = 'print', 'a.b' = 'it''s')
            """
        guard case .createTable(let table) = try SQLParser(text: text).parseStatement().node else {
            Issue.record("no table")
            return
        }
        #expect(table.name.text == "db.t")
        #expect(table.temporary && table.ifNotExists)
        #expect(table.columns.map(\.name) == ["id", "name", "cost", "ts", "part"])
        #expect(table.columns[0].comment == "the id")
        if case .physical(let type, let nullable) = table.columns[0].kind { #expect(type == .int && !nullable) } else { Issue.record("id") }
        if case .computed(let expr) = table.columns[2].kind { #expect(shown(expr) == "(price * count)") } else { Issue.record("cost") }
        if case .metadata(let type, let nullable, let key, let virtual) = table.columns[3].kind {
            #expect(type == .timestampLTZ(3) && !nullable && key == "timestamp" && virtual)
        } else {
            Issue.record("ts")
        }
        if case .metadata(_, let nullable, let key, let virtual) = table.columns[4].kind { #expect(nullable && key == nil && !virtual) }
        #expect(table.watermark?.column.text == "ts")
        #expect(table.watermark.map { shown($0.expr) } == "(ts - INTERVAL '5' SECOND)")
        #expect(table.primaryKey == ["id", "name"])
        #expect(table.partitionKeys == ["name"])
        #expect(table.options.map(\.key) == ["connector", "a.b"])
        #expect(table.options.map(\.value) == ["print", "it's"])
        #expect(table.options[0].span.line == 9 && table.options[0].span.column == 45)
        #expect(table.comment == "all")
    }

    @Test("INSERT takes the one strategy for conflicts that there is")
    func conflictStrategy() throws {
        let insert = "INSERT INTO t SELECT a.x FROM a JOIN b ON a.x = b.x ON CONFLICT DO"
        #expect(try SQLParser(text: "\(insert) DEDUPLICATE; SELECT 1", file: "s.sql").parseScript().count == 2)
        for strategy in ["NOTHING", "ERROR"] {
            do {
                _ = try SQLParser(text: "\(insert) \(strategy)", file: "s.sql").parseScript()
                Issue.record("\(strategy)")
            } catch let error as StreamError {
                #expect(error.problem == "not supported yet: ON CONFLICT DO \(strategy)")
                #expect(error.fix?.hasPrefix("write ON CONFLICT DO DEDUPLICATE") == true && error.location?.column == 68)
            }
        }
    }

    @Test("a script keeps each statement's text and place, and drops comments")
    func script() throws {
        let text = """
            -- a comment; with a semicolon
            SET 'a' = 'b;c'; SET; RESET 'a'; RESET;
            /* another; */ CREATE VIEW v (x) AS SELECT 1; DROP VIEW IF EXISTS v; DROP TABLE t;
            SHOW TABLES; SHOW VIEWS; SHOW FUNCTIONS; SHOW CREATE TABLE t; DESCRIBE t; DESC t;
            EXPLAIN SELECT 1; EXPLAIN PLAN FOR INSERT INTO t SELECT 1; EXPLAIN DOT SELECT 1;
            INSERT INTO t (b, a) SELECT 1, 2; INSERT OVERWRITE t VALUES (1), (2); INSERT INTO t (SELECT 1);
            EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN TRUE THEN 1 END; INSERT INTO b SELECT 2; END;
            BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;
            help; quit
            """
        let statements = try SQLParser(text: text, file: "s.sql").parseScript()
        #expect(statements.count == 23)
        #expect(statements[0].text == "SET 'a' = 'b;c'")
        #expect(statements[0].span.line == 2 && statements[0].span.column == 1)
        #expect(statements[4].text == "CREATE VIEW v (x) AS SELECT 1")
        #expect(statements[4].span.column == 16)
        if case .createView(let view) = statements[4].node {
            #expect(view.columns == ["x"] && view.text == "SELECT 1")
        } else {
            Issue.record("view")
        }
        if case .explain(let inner, let details) = statements[15].node {
            #expect(details == [.graphviz] && inner.text == "SELECT 1")
        } else {
            Issue.record("explain")
        }
        if case .insert(let insert) = statements[16].node { #expect(insert.columns == ["b", "a"]) } else { Issue.record("insert") }
        if case .insert(let insert) = statements[18].node {
            #expect(insert.columns == nil && shown(insert.query) == "SELECT 1")
        } else {
            Issue.record("insert")
        }
        if case .statementSet(let inserts) = statements[19].node {
            #expect(inserts.map(\.target.text) == ["a", "b"])
        } else {
            Issue.record("set")
        }
        if case .statementSet(let inserts) = statements[20].node { #expect(inserts.count == 1) } else { Issue.record("set") }
    }

    @Test(
        "settings need no quotes",
        arguments: [
            ("set execution.runtime-mode = streaming;", "execution.runtime-mode", "streaming"), ("SET a.b=10s", "a.b", "10s"),
            ("SET 'a' = true; SELECT 1", "a", "true"), ("SET a = 'x;y'; SELECT 1", "a", "x;y"), ("SET a =  hdfs://node:8020/x -- where\n;", "a", "hdfs://node:8020/x"),
            ("SET a = 1 min /* long */;", "a", "1 min"), ("SET a = '';", "a", ""), ("SET a = a--b;", "a", "a--b"), ("/* x */ SET\na = b\n", "a", "b"),
            ("SELECT 1; SET a_1 = `x`;", "a_1", "`x`"), ("SET a = U&'x';", "a", "x"),
        ])
    func settings(text: String, key: String, value: String) throws {
        let set = try SQLParser(text: text).parseScript().first { if case .set = $0.node { true } else { false } }
        guard case .set(let k, let v)? = set?.node else {
            Issue.record("no SET")
            return
        }
        #expect(k == key && v == value)
        #expect(SQLParser.isComplete("SET a = b;") && !SQLParser.isComplete("SET a = b"))
        guard case .reset("a.b")? = try SQLParser(text: "RESET a.b;").parseScript().first?.node else {
            Issue.record("no RESET")
            return
        }
        // SET of other statements is read as before.
        guard case .catalog(.update) = try SQLParser(text: "UPDATE t SET a = b WHERE c = 1").parseStatement().node else {
            Issue.record("no UPDATE")
            return
        }
        #expect(throws: StreamError.self) { try SQLParser(text: "SET a b").parseScript() }
        #expect(throws: StreamError.self) { try SQLParser(text: "SET a = b\nSELECT 1;").parseScript() }
    }

    @Test("hints about joins are kept as they are written, and others are refused")
    func joinHints() throws {
        let text = "SELECT /*+ STATE_TTL('t' = '1 d'), BROADCAST(t, u), LOOKUP('table' = 'u', 'async' = 'true') NEST_LOOP(t) */ a FROM t"
        guard case .query(let query) = try SQLParser(text: text).parseStatement().node, case .select(let select) = query.body else {
            Issue.record("no SELECT")
            return
        }
        #expect(select.joinHints == ["BROADCAST(t, u)", "LOOKUP('table' = 'u', 'async' = 'true')", "NEST_LOOP(t)"] && select.stateTTL.count == 1)
        let written = SQLWriter().text(query)
        guard case .query(let again) = try SQLParser(text: written).parseStatement().node, case .select(let other) = again.body else {
            Issue.record("no SELECT")
            return
        }
        #expect(other.joinHints == select.joinHints && other.stateTTL.count == 1)
        #expect(throws: StreamError.self) { try SQLParser(text: "SELECT /*+ BROADCAST(t */ a FROM t").parseStatement() }
        #expect(throws: StreamError.self) { try SQLParser(text: "SELECT /*+ USE_HASH(t) */ a FROM t").parseStatement() }
    }

    @Test(
        "a shell knows when a statement is complete",
        arguments: [
            ("SELECT 1", false), ("SELECT 1;", true), ("SELECT ';", false), ("SELECT 1; -- x", true), ("/* ;", false), ("help", true),
            ("quit;", true),
            ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", false),
            ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", true), ("", false),
            ("EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT CASE WHEN b THEN 1 END;", false), ("BEGIN STATEMENT SET;", false),
            ("SELECT `a;`", false),
        ] as [(String, Bool)])
    func complete(text: String, complete: Bool) { #expect(SQLParser.isComplete(text) == complete) }
}

@Suite("Parser: errors") struct ParserErrorTests {
    @Test(
        "say where, show the line and say what to write",
        arguments: [
            ("SELCT 1", "s.sql:1:1: expected a statement, found \"SELCT\"\n    SELCT 1\n    ^\nFix: write \"SELECT\"."),
            ("SELECT a FORM t", "s.sql:1:10: \"FORM\" is not a keyword\n    SELECT a FORM t\n             ^\nFix: write \"FROM\"."),
            ("SELECT a\nFROM t\nWHRE x = 1", "s.sql:3:1: \"WHRE\" is not a keyword\n    WHRE x = 1\n    ^\nFix: write \"WHERE\"."),
            (
                "SELECT a FROM t GROPU BY a",
                "s.sql:1:17: \"GROPU\" is not a keyword\n    SELECT a FROM t GROPU BY a\n                    ^\nFix: write \"GROUP\"."
            ),
            (
                "SELECT id\nFROM trades\nWHERE id >\n  AND k = 'a';",
                "s.sql:4:3: expected an expression, found \"AND\"\n      AND k = 'a';\n      ^"
            ),
            (
                "SELECT LAG(q) OVER (ORDER BY ts) AS prev FROM t",
                "s.sql:1:37: \"prev\" is a reserved word\n    SELECT LAG(q) OVER (ORDER BY ts) AS prev FROM t\n                                        ^\nFix: write `prev` in backticks if it is meant as a name."
            ),
            (
                "SELECT value FROM t",
                "s.sql:1:8: \"value\" is a reserved word\n    SELECT value FROM t\n           ^\nFix: write `value` in backticks if it is meant as a name."
            ),
            ("SELECT 'a FROM t", "s.sql:1:8: this text does not end\n    SELECT 'a FROM t\n           ^\nFix: close it with '."),
            (
                "SELECT \"a\"",
                "s.sql:1:8: double quotes quote nothing here\n    SELECT \"a\"\n           ^\nFix: write 'text' for a string and `name` for a name."
            ),
            ("SELECT 1 /* x", "s.sql:1:10: this comment does not end\n    SELECT 1 /* x\n             ^\nFix: close it with */."),
            (
                "SELECT (1 + 2",
                "s.sql:1:14: expected \")\" after the expression, found the end of the text\n    SELECT (1 + 2\n                 ^"
            ),
            (
                "SELECT 1\nINSERT INTO t SELECT 2",
                "s.sql:2:1: expected \";\", found \"INSERT\"\n    INSERT INTO t SELECT 2\n    ^\nFix: end the statement before it with \";\"."
            ),
            (
                "INSERT INT t SELECT 2",
                "s.sql:1:8: expected INTO or OVERWRITE after INSERT, found \"INT\"\n    INSERT INT t SELECT 2\n           ^\nFix: write \"INTO\"."
            ),
            (
                "CREATE TABEL t (a INT)",
                "s.sql:1:8: expected TABLE, VIEW, FUNCTION, CATALOG or DATABASE after CREATE, found \"TABEL\"\n    CREATE TABEL t (a INT)\n           ^\nFix: write \"TABLE\"."
            ),
            (
                "CREATE TABLE t (a INTT)",
                "s.sql:1:19: there is no type INTT\n    CREATE TABLE t (a INTT)\n                      ^\nFix: write \"INT\"."
            ),
            (
                "CREATE TABLE t (a DECIMAL(39, 2))",
                "s.sql:1:19: DECIMAL(39, 2) is out of range\n    CREATE TABLE t (a DECIMAL(39, 2))\n                      ^\nFix: use a precision from 1 to 38 and a scale from 0 to the precision."
            ),
            (
                "CREATE TABLE t (a TIMESTAMP(10))",
                "s.sql:1:29: TIMESTAMP(10) is out of range\n    CREATE TABLE t (a TIMESTAMP(10))\n                                ^\nFix: use a precision from 0 to 9."
            ),
            (
                "CREATE TABLE t (a INT) WITH ('k' = '1',\n 'k' = '2')",
                "s.sql:2:2: the option 'k' is given twice: '1' in line 1, '2' in line 2\n     'k' = '2')\n     ^\nFix: keep one of them."
            ),
            (
                "CREATE TABLE t (a INT, PRIMARY KEY (a))",
                "s.sql:1:24: PRIMARY KEY lacks NOT ENFORCED\n    CREATE TABLE t (a INT, PRIMARY KEY (a))\n                           ^\nFix: write PRIMARY KEY (...) NOT ENFORCED; the engine relies on the key, it doesn't check it."
            ),
            (
                "CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED,\n PRIMARY KEY (a) NOT ENFORCED)",
                "s.sql:2:2: the table has two primary keys, the first in line 1\n     PRIMARY KEY (a) NOT ENFORCED)\n     ^\nFix: name all key columns in one PRIMARY KEY (...)."
            ),
            (
                "CREATE TABLE t (a INT, comment STRING)",
                "s.sql:1:24: \"comment\" is a reserved word\n    CREATE TABLE t (a INT, comment STRING)\n                           ^\nFix: write `comment` in backticks if it is meant as a name."
            ),
            (
                "SELECT INTERVAL 10 SECOND",
                "s.sql:1:17: the number of an interval stands in quotes\n    SELECT INTERVAL 10 SECOND\n                    ^\nFix: write INTERVAL '10'."
            ),
            (
                "SELECT INTERVAL '1' SECNOD",
                "s.sql:1:21: \"SECNOD\" is not a time unit here\n    SELECT INTERVAL '1' SECNOD\n                        ^\nFix: write \"SECOND\"."
            ),
            ("SELECT a == 1", "s.sql:1:10: \"==\" is not an operator\n    SELECT a == 1\n             ^\nFix: write \"=\"."),
            (
                "SELECT X'0'",
                "s.sql:1:8: X'0' is not a binary value\n    SELECT X'0'\n           ^\nFix: write an even number of hexadecimal digits."
            ),
            (
                "SET 1 = 'b'",
                "s.sql:1:5: expected a key in single quotes, found \"1\"\n    SET 1 = 'b'\n        ^\nFix: write SET 'key' = 'value'."
            ),
            (
                "SELECT a FROM b JOIN c",
                "s.sql:1:23: expected ON or USING after the joined table, found the end of the text\n    SELECT a FROM b JOIN c\n                          ^"
            ),
            (
                "SELECT 1 FROM TABLE(TUMBLE(t, DESCRIPTOR(ts), INTERVAL '1' SECOND))",
                "s.sql:1:28: expected TABLE and the name of a table as first argument of TUMBLE, found \"t\"\n    SELECT 1 FROM TABLE(TUMBLE(t, DESCRIPTOR(ts), INTERVAL '1' SECOND))\n                               ^"
            ),
            (
                "SELECT 1 FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND))",
                "s.sql:1:21: HOP lacks the argument SIZE\n    SELECT 1 FROM TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' SECOND))\n                        ^\nFix: write HOP(TABLE t, DESCRIPTOR(time), slide, size)."
            ),
            (
                "EXECUTE STATEMENT SET BEGIN SELECT 1; END",
                "s.sql:1:29: expected INSERT or END in the statement set, found \"SELECT\"\n    EXECUTE STATEMENT SET BEGIN SELECT 1; END\n                                ^"
            ),
            (
                "SELECT 'é', 'ü' 7",
                "s.sql:1:17: expected the end of the statement, found \"7\"\n    SELECT 'é', 'ü' 7\n                    ^"
            ),
        ] as [(String, String)])
    func messages(text: String, message: String) {
        let error = #expect(throws: StreamError.self) { try SQLParser(text: text, file: "s.sql").parseScript() }
        #expect(error?.code == .parse)
        #expect(error?.description == message)
    }

    @Test(
        "Flink syntax that cannot run is named",
        arguments: [
            ("MERGE INTO t USING s ON a = b", "not supported yet: MERGE"),
            ("CREATE MODEL m", "not supported yet: CREATE MODEL"),
        ] as [(String, String)])
    func unsupported(text: String, problem: String) {
        let error = #expect(throws: StreamError.self) { try SQLParser(text: text).parseScript() }
        #expect(error?.code == .plan)
        #expect(error?.problem == problem)
    }

    @Test(
        "hostile nesting is refused, not run into the end of the stack",
        arguments: [
            "(", "SELECT (", "- ", "NOT ", "SELECT * FROM (", "CASE WHEN ", "f(", "ARRAY[", "SELECT * FROM (SELECT ", "CAST(NULL AS ROW<a ",
            "x IN (", "EXPLAIN ",
            "(SELECT 1 UNION ", "a[", "MAP[1, ", "EXISTS (SELECT ", "WITH a AS (",
        ])
    func nesting(piece: String) throws {
        for prefix in ["", "SELECT ", "SELECT CAST(NULL AS "] {
            for repeated in [piece, piece.replacing("SELECT ", with: ""), piece.replacing("CAST(NULL AS ", with: "")]
            where !repeated.isEmpty {
                let text = prefix + String(repeating: repeated, count: 5_000)
                #expect(throws: StreamError.self) { _ = try SQLParser(text: text).parseScript() }
            }
        }
    }

    @Test("long chains are refused", arguments: ["1 + ", "a.", "a[1] = ", "a || "])
    func chains(piece: String) {
        let text = "SELECT " + String(repeating: piece, count: 20_000) + "a"
        let error = #expect(throws: StreamError.self) { _ = try SQLParser(text: text).parseScript() }
        #expect(error?.code == .parse)
    }

    @Test("random bytes and tokens give an error or a tree", arguments: UInt64(0)..<8)
    func random(seed: UInt64) {
        var state = seed &+ 0x9E37_79B9_7F4A_7C15
        func next(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        let pieces =
            Array(Keywords.reserved).sorted() + [
                "(", ")", ",", ";", "'a'", "`b`", "c", "1", "1.5", "*", ".", "[", "]", "=", "<", "=>", "/*+", "*/", "-", "||", "X'00'",
            ]
        for _ in 0..<400 {
            let start = ["SELECT ", "CREATE TABLE t (", "SELECT * FROM ", "INSERT INTO t SELECT ", ""][next(5)]
            let text = start + (0..<next(30)).map { _ in pieces[next(pieces.count)] }.joined(separator: next(4) == 0 ? "" : " ")
            do {
                _ = try SQLParser(text: text).parseScript()
            } catch {
                #expect(error is StreamError, "seed \(seed): \(text)")
            }
            let bytes = (0..<next(40)).map { _ in UInt8(next(256)) }
            _ = try? SQLParser(text: String(decoding: bytes, as: UTF8.self)).parseScript()
        }
    }
}
