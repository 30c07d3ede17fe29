import Foundation
import StreamCore
import Testing
@testable import StreamSQL

/// What ``SQLWriter`` makes of each piece of syntax.
@Suite("Text of syntax") struct SQLWriterTextTests {
    /// nil: as it is given.
    static let expressions: [(given: String, written: String?)] = [
        // Names
        ("a", nil), ("`a`", "a"), ("t.a", nil), ("`select`", nil), ("`value`", nil), ("`a b`", nil), ("`a``b`", nil), ("`1a`", nil), ("`été`", nil), ("été", "`été`"),
        ("`hash`", nil), ("hash", "`hash`"), ("`a$b`", nil), ("db.`table`.`x.y`", nil), ("`map`[1]", nil),
        // Literals
        ("1", nil), ("1.50", nil), ("1e3", nil), (".5", nil), ("-1", nil), ("+1", nil), ("'it''s'", nil), ("''", nil), ("'a\nb -- c /* d'", nil), ("U&'\\00e9\\4e2d'", "'é中'"),
        ("'😀 ü'", nil), ("x'0aFF'", "X'0AFF'"), ("X''", nil), ("true", "TRUE"), ("FALSE", nil), ("null", "NULL"), ("UNKNOWN", "CAST(NULL AS BOOLEAN)"),
        ("DATE '2024-02-29'", nil), ("time '10:00:00.5'", "TIME '10:00:00.5'"), ("TIMESTAMP '2024-01-01 00:00:00.123456789'", nil),
        ("INTERVAL '5' SECOND", nil), ("INTERVAL '5' SECONDS", "INTERVAL '5' SECOND"), ("INTERVAL -'1' DAY", nil), ("INTERVAL '-1' DAY", nil), ("INTERVAL '1-2' YEAR TO MONTH", nil),
        ("INTERVAL '1 10:00:00.123' DAY TO SECOND(3)", "INTERVAL '1 10:00:00.123' DAY TO SECOND"), ("INTERVAL '100' DAY(3)", nil), ("INTERVAL '0100' SECOND", "INTERVAL '0100' SECOND(3)"),
        ("INTERVAL '1000' SECOND", "INTERVAL '0 00:16:40' DAY TO SECOND"), ("INTERVAL -'100000:30.5' MINUTE TO SECOND", "INTERVAL -'69 10:40:30.5' DAY TO SECOND"),
        ("INTERVAL '-2400' HOUR", "INTERVAL '-100 00:00:00' DAY(3) TO SECOND"), ("INTERVAL '1.1234567' SECOND", "INTERVAL '1.1234567' SECOND(2, 7)"),
        ("INTERVAL '1 00:00:01.1234567' DAY TO SECOND", "INTERVAL '1 00:00:01.1234567' DAY TO SECOND(7)"), ("INTERVAL '1000' MONTH", "INTERVAL '1000' MONTH(4)"),
        ("INTERVAL '365 10' DAY(3) TO HOUR", nil), ("INTERVAL '1' WEEK", nil), ("INTERVAL '2' QUARTER", nil),
        // Operators: as few parentheses as there can be
        ("(a + b) * c", nil), ("a + (b * c)", "a + b * c"), ("a - (b - c)", nil), ("(a - b) - c", "a - b - c"), ("a / (b * c)", nil), ("a % b", nil), ("(a || b) || c", "a || b || c"),
        ("a || (b || c)", nil), ("a * b || c", nil), ("-(a + b)", nil), ("-(-a)", nil), ("- -1", "-(-1)"), ("a - -1", nil), ("-a * b", nil), ("-(a * b)", nil), ("-a[1]", nil),
        ("(a OR b) AND c", nil), ("(a AND b) OR c", "a AND b OR c"), ("a AND (b AND c)", "a AND b AND c"), ("NOT (a AND b)", nil), ("NOT (a = b)", "NOT a = b"),
        ("NOT NOT a", nil), ("NOT a OR b", nil), ("(NOT a) IS NULL", nil), ("NOT a IS NULL", nil), ("a = b", nil), ("a != b", "a <> b"), ("a <= b + 1", nil), ("(a = b) = c", nil),
        ("(a = b) IS TRUE", nil), ("(a AND b) IS NOT FALSE", nil), ("a IS UNKNOWN", nil), ("a IS NOT NULL", nil), ("a IS NOT DISTINCT FROM b", nil), ("(a IS NULL) = b", nil),
        ("a IS JSON", "a IS JSON VALUE"), ("a IS NOT JSON OBJECT", nil), ("a BETWEEN 1 AND b + 2", nil), ("a NOT BETWEEN ASYMMETRIC 1 AND 2", "a NOT BETWEEN 1 AND 2"),
        ("a BETWEEN SYMMETRIC 1 AND 2 AND c", nil), ("a BETWEEN (b = c) AND d", nil), ("a IN (1, 2, b = c)", nil), ("a NOT IN (1)", nil), ("(a, b) IN ((1, 2), (3, 4))", nil), ("ROW(a, b) = ROW(1, 2)", "(a, b) = (1, 2)"),
        ("a LIKE 'x%'", nil), ("a NOT LIKE b || '%' ESCAPE '\\'", nil), ("a SIMILAR TO '[a-z]+'", nil), ("a NOT SIMILAR TO b ESCAPE '!'", nil), ("(a LIKE b) = c", nil),
        ("(a, b) OVERLAPS (c, INTERVAL '1' DAY)", nil), ("((a, b) OVERLAPS (c, d)) IS TRUE", nil), ("(a - b) DAY", nil), ("(a - (b - c)) MONTH", nil),
        // Values with parts
        ("ARRAY[1, 2][1]", nil), ("MAP['a', 1]['a']", nil), ("ROW(1, 'a')", nil), ("(1, 'a')", "ROW(1, 'a')"), ("ROW(1)", nil), ("a[1].b.c[2]", nil), ("t.a[b + 1]", nil), ("(a.b).c", nil), ("f(a).b", "F(a).b"),
        ("(a + b)[1]", nil), ("CAST(a AS ARRAY<INT>)[1]", nil),
        // CASE, CAST
        ("CASE a WHEN 1 THEN 'x' ELSE 'y' END", nil), ("CASE WHEN a = 1 OR b THEN 1 WHEN c THEN 2 END", nil), ("CAST(a AS STRING)", nil), ("TRY_CAST(a + 1 AS VARCHAR(3))", nil),
        ("CAST(a AS VARCHAR)", "CAST(a AS STRING)"), ("CAST(a AS TIMESTAMP(3) WITH LOCAL TIME ZONE)", "CAST(a AS TIMESTAMP_LTZ(3))"), ("CAST(a AS TIMESTAMP)", "CAST(a AS TIMESTAMP(6))"),
        ("CAST(a AS DECIMAL(10, 2))", nil), ("CAST(a AS ROW<x INT, `value` STRING NOT NULL>)", nil), ("CAST(a AS MAP<STRING, ARRAY<DOUBLE>>)", nil), ("CAST(a AS BYTES)", nil),
        ("CAST(a AS INT MULTISET)", "CAST(a AS MAP<INT, INT>)"), ("CAST(a AS VARIANT)", nil), ("CAST(a AS TIME)", "CAST(a AS TIME(0))"), ("CAST(a AS CHAR(5))", nil), ("CAST(a AS INTERVAL DAY TO SECOND)", "CAST(a AS INTERVAL DAY TO SECOND(3))"),
        // Calls
        ("upper(a)", "UPPER(a)"), ("`upper`(a)", "UPPER(a)"), ("`my func`(a)", "`MY FUNC`(a)"), ("`value`(a)", "`VALUE`(a)"), ("if(a, b, c)", "IF(a, b, c)"), ("LEFT(a, 2)", nil), ("contains(a, b)", "`CONTAINS`(a, b)"), ("hash(a)", "`HASH`(a)"), ("current_timestamp", "CURRENT_TIMESTAMP"),
        ("CURRENT_DATE()", "CURRENT_DATE"), ("PI()", nil), ("CEILING(a)", "CEIL(a)"), ("FLOOR(a TO DAY)", nil), ("CEIL(a TO HOURS)", "CEIL(a TO HOUR)"), ("FLOOR(a)", nil),
        ("EXTRACT(EPOCH FROM a + b)", nil), ("TIMESTAMPADD(SQL_TSI_DAY, 1, a)", "TIMESTAMPADD(DAY, 1, a)"), ("TIMESTAMPDIFF(MINUTE, a, b)", nil), ("TRIM(a)", nil), ("TRIM(BOTH FROM a)", "TRIM(a)"),
        ("TRIM(LEADING FROM a)", "TRIM(LEADING ' ' FROM a)"), ("TRIM('x' FROM a)", "TRIM(BOTH 'x' FROM a)"), ("TRIM(TRAILING b FROM a)", nil), ("SUBSTRING(a FROM 2 FOR 3)", "SUBSTRING(a, 2, 3)"), ("POSITION('x' IN a)", nil),
        ("POSITION(a || b IN c)", "LOCATE(a || b, c)"), ("POSITION(UPPER(a) IN b || c)", nil), ("OVERLAY(a PLACING b FROM 1 FOR 2)", nil), ("OVERLAY(a, b, 1)", "OVERLAY(a PLACING b FROM 1)"),
        ("JSON_VALUE(a, '$.x')", nil), ("JSON_VALUE(a, 'lax $.x' RETURNING INT DEFAULT 1 + 2 ON EMPTY ERROR ON ERROR)", "JSON_VALUE(a, 'lax $.x' RETURNING INT DEFAULT 1 + 2 ON EMPTY ERROR ON ERROR)"),
        ("JSON_VALUE(a, '$.x' NULL ON EMPTY DEFAULT 'n' ON ERROR)", nil), ("JSON_QUERY(a, '$.x' WITH WRAPPER)", "JSON_QUERY(a, '$.x' WITH UNCONDITIONAL ARRAY WRAPPER)"),
        ("JSON_QUERY(a, '$.x' RETURNING ARRAY<STRING> WITH CONDITIONAL ARRAY WRAPPER EMPTY ARRAY ON EMPTY EMPTY OBJECT ON ERROR)", nil), ("JSON_QUERY(a, '$' WITHOUT WRAPPER NULL ON ERROR)", "JSON_QUERY(a, '$' WITHOUT ARRAY WRAPPER NULL ON ERROR)"),
        ("JSON_EXISTS(a, '$.x' TRUE ON ERROR)", nil), ("JSON_OBJECT('a' VALUE 1, 'b' : c ABSENT ON NULL)", "JSON_OBJECT(KEY 'a' VALUE 1, KEY 'b' VALUE c ABSENT ON NULL)"), ("JSON_OBJECT()", nil), ("JSON_OBJECT(KEY key VALUE b NULL ON NULL)", nil),
        ("JSON_ARRAY(1, 'a' NULL ON NULL)", nil), ("JSON_ARRAY()", nil), ("JSON_OBJECTAGG(KEY a VALUE b NULL ON NULL)", nil), ("JSON_ARRAYAGG(a ABSENT ON NULL)", nil),
        ("COUNT(*)", nil), ("COUNT(DISTINCT a, b)", nil), ("SUM(ALL a)", "SUM(a)"), ("SUM(a) FILTER (WHERE b > 1 AND c)", nil), ("LAST_VALUE(a IGNORE NULLS)", "LAST_VALUE(a) IGNORE NULLS"), ("FIRST_VALUE(a) RESPECT NULLS", "FIRST_VALUE(a)"),
        ("SUM(a) OVER ()", nil), ("SUM(a) OVER (PARTITION BY b, c ORDER BY d ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)", nil), ("ROW_NUMBER() OVER (ORDER BY a DESC NULLS LAST, b NULLS FIRST)", nil),
        ("SUM(a) FILTER (WHERE b) OVER (ORDER BY d RANGE INTERVAL '1' MINUTE PRECEDING)", "SUM(a) FILTER (WHERE b) OVER (ORDER BY d RANGE BETWEEN INTERVAL '1' MINUTE PRECEDING AND CURRENT ROW)"),
        ("LAST_VALUE(a) IGNORE NULLS OVER (ORDER BY d RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)", nil),
        ("SUM(a) OVER (ORDER BY d ROWS BETWEEN CURRENT ROW AND 3 FOLLOWING)", nil),
    ]

    @Test("of expressions", arguments: expressions)
    func expression(given: String, written: String?) throws {
        let expr = try SQLParser(text: given).parseExpression(), text = SQLWriter().text(expr)
        #expect(text == written ?? given)
        #expect(SQLWriter().text(try SQLParser(text: text).parseExpression()) == text)
    }

    /// Whole statements; nil: as it is given.
    static let statements: [(given: String, written: String?)] = [
        ("SELECT 1", nil), ("(SELECT 1)", "SELECT 1"), ("TABLE t", "SELECT *\nFROM t"), ("SELECT STATE_TTL FROM t", "SELECT STATE_TTL\nFROM t"),
        (
            "select /*+ STATE_TTL('t' = '1 d', 'u' = '2 d') */ distinct t.*, a as b, `order` from t where a = 1 group by distinct a, (b, c) having count(*) > 1 order by a desc, b limit 5 offset 2",
            """
            SELECT /*+ STATE_TTL('t' = '1 d', 'u' = '2 d') */ DISTINCT t.*, a AS b, `order`
            FROM t
            WHERE a = 1
            GROUP BY DISTINCT a, b, c
            HAVING COUNT(*) > 1
            ORDER BY a DESC, b
            LIMIT 5
            OFFSET 2
            """
        ),
        ("SELECT /*+ STATE_TTL('t'='1 d'), BROADCAST(t), LOOKUP('table'='t') */ a FROM t", "SELECT /*+ STATE_TTL('t' = '1 d'), BROADCAST(t), LOOKUP('table'='t') */ a\nFROM t"),
        ("SELECT /*+ SHUFFLE_HASH(t, u) */ a FROM t", "SELECT /*+ SHUFFLE_HASH(t, u) */ a\nFROM t"),
        ("SELECT a FROM t FETCH FIRST ROW ONLY", "SELECT a\nFROM t\nLIMIT 1"),
        ("SELECT 1 FROM t GROUP BY ()", "SELECT 1\nFROM t\nGROUP BY ()"),
        ("SELECT 1 FROM t GROUP BY GROUPING SETS ((a, b), (a), (), c), ROLLUP ((a, b), c), CUBE (a, b)", "SELECT 1\nFROM t\nGROUP BY GROUPING SETS ((a, b), a, (), c), ROLLUP ((a, b), c), CUBE (a, b)"),
        ("SELECT 1 FROM t GROUP BY ROW(a, b)", "SELECT 1\nFROM t\nGROUP BY ROW(a, b)"),
        (
            "SELECT COUNT(*) OVER w AS n, SUM(a) OVER (w ROWS 1 PRECEDING) FROM t WINDOW w AS (PARTITION BY k ORDER BY ts)",
            """
            SELECT
                COUNT(*) OVER (PARTITION BY k ORDER BY ts) AS n,
                SUM(a) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
            FROM t
            """
        ),
        (
            "SELECT a FROM t WHERE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1 AND bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb = 2 AND (cccccccccccccccccccccccccc = 3 OR d)",
            """
            SELECT a
            FROM t
            WHERE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa = 1
                AND bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb = 2
                AND (cccccccccccccccccccccccccc = 3 OR d)
            """
        ),
        (
            "SELECT CASE WHEN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa THEN 'one' WHEN bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb THEN 'two' ELSE 'three' END AS c FROM t",
            """
            SELECT
                CASE
                    WHEN aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa THEN 'one'
                    WHEN bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb THEN 'two'
                    ELSE 'three'
                END AS c
            FROM t
            """
        ),
        // Set operations
        (
            "SELECT 1 UNION ALL (SELECT 2 UNION SELECT 3) EXCEPT SELECT 4",
            "SELECT 1\nUNION ALL\n(\n    SELECT 2\n    UNION\n    SELECT 3\n)\nEXCEPT\nSELECT 4"
        ),
        ("(SELECT 1 UNION SELECT 2) INTERSECT ALL SELECT 3", "(\n    SELECT 1\n    UNION\n    SELECT 2\n)\nINTERSECT ALL\nSELECT 3"),
        ("SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 MINUS SELECT 4", "SELECT 1\nUNION\nSELECT 2\nINTERSECT\nSELECT 3\nEXCEPT\nSELECT 4"),
        ("(SELECT a FROM t ORDER BY a LIMIT 1) UNION ALL SELECT 2 LIMIT 3", "(\n    SELECT a\n    FROM t\n    ORDER BY a\n    LIMIT 1\n)\nUNION ALL\nSELECT 2\nLIMIT 3"),
        ("VALUES (1, 'a'), ROW (2, 'b'), 3", "VALUES (1, 'a'), (2, 'b'), (3)"),
        (
            "WITH a AS (SELECT 1 AS x), `b` (y, `z z`) AS (VALUES (1, 2)) SELECT * FROM a, b WHERE x IN (SELECT y FROM b) AND NOT EXISTS (SELECT 1 FROM a) AND x > ALL (SELECT 1) AND (SELECT 2) = SOME (SELECT 2)",
            """
            WITH a AS (
                SELECT 1 AS x
            ),
            b (y, `z z`) AS (
                VALUES (1, 2)
            )
            SELECT *
            FROM a
            CROSS JOIN b
            WHERE x IN (
                    SELECT y
                    FROM b
                )
                AND NOT EXISTS (
                    SELECT 1
                    FROM a
                )
                AND x > ALL (
                    SELECT 1
                )
                AND (
                    SELECT 2
                ) = ANY (
                    SELECT 2
                )
            """
        ),
        // FROM
        (
            "SELECT 1 FROM a x JOIN b AS y ON x.i = y.i LEFT OUTER JOIN c USING (i, j) RIGHT JOIN d ON TRUE FULL JOIN e ON x.i = e.i OR FALSE CROSS JOIN f NATURAL JOIN g NATURAL LEFT JOIN h",
            """
            SELECT 1
            FROM a AS x
            JOIN b AS y ON x.i = y.i
            LEFT JOIN c USING (i, j)
            RIGHT JOIN d ON TRUE
            FULL JOIN e ON x.i = e.i OR FALSE
            CROSS JOIN f
            NATURAL JOIN g
            NATURAL LEFT JOIN h
            """
        ),
        ("SELECT 1 FROM a JOIN (b JOIN c ON b.i = c.i) ON a.i = b.i", "SELECT 1\nFROM a\nJOIN (\n    b\n    JOIN c ON b.i = c.i\n) ON a.i = b.i"),
        ("SELECT 1 FROM a, b JOIN c ON b.i = c.i", "SELECT 1\nFROM a,\n    b\n    JOIN c ON b.i = c.i"),
        ("SELECT 1 FROM (a JOIN b ON a.i = b.i) AS x", "SELECT 1\nFROM (\n    SELECT *\n    FROM a\n    JOIN b ON a.i = b.i\n) AS x"),
        ("SELECT 1 FROM c.d.t /*+ OPTIONS('z' = '1', 'a' = 'it''s') */ AS x (p, q)", "SELECT 1\nFROM c.d.t /*+ OPTIONS('a' = 'it''s', 'z' = '1') */ AS x (p, q)"),
        ("SELECT 1 FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS x ON o.k = x.k", "SELECT 1\nFROM o\nJOIN r FOR SYSTEM_TIME AS OF o.ts AS x ON o.k = x.k"),
        ("SELECT 1 FROM t, LATERAL (SELECT t.a) AS x", "SELECT 1\nFROM t\nCROSS JOIN LATERAL (\n    SELECT t.a\n) AS x"),
        ("SELECT 1 FROM t LEFT JOIN LATERAL TABLE(split(a, ',')) AS x (w, n) ON TRUE", "SELECT 1\nFROM t\nLEFT JOIN LATERAL TABLE(SPLIT(a, ',')) AS x (w, n) ON TRUE"),
        ("SELECT 1 FROM t CROSS JOIN UNNEST(t.a) WITH ORDINALITY AS u (e, i)", "SELECT 1\nFROM t\nCROSS JOIN UNNEST(t.a) WITH ORDINALITY AS u (e, i)"),
        ("SELECT 1 FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' SECOND)) AS w", "SELECT 1\nFROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' SECOND)) AS w"),
        (
            "SELECT 1 FROM TABLE(HOP(TIMECOL => DESCRIPTOR(ts), DATA => TABLE a.t, SIZE => INTERVAL '2' MINUTE, SLIDE => INTERVAL '1' MINUTE))",
            "SELECT 1\nFROM TABLE(HOP(TABLE a.t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '2' MINUTE))"
        ),
        ("SELECT 1 FROM TABLE(CUMULATE((SELECT * FROM t), DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))",
         "SELECT 1\nFROM TABLE(CUMULATE((\n    SELECT *\n    FROM t\n), DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR))"),
        ("SELECT 1 FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "SELECT 1\nFROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE))"),
        ("SELECT 1 FROM TABLE(SESSION(TABLE t PARTITION BY (k, l), DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "SELECT 1\nFROM TABLE(SESSION(TABLE t PARTITION BY (k, l), DESCRIPTOR(ts), INTERVAL '1' MINUTE))"),
        (
            """
            SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES A.id AS first_id, LAST(B.v) AS v ONE ROW PER MATCH AFTER MATCH SKIP TO FIRST B
            PATTERN (A B+ C* D? E{2} F{,3} G{1,} H{2,5}? I*?) WITHIN INTERVAL '1' HOUR DEFINE A AS A.v > 1, B AS B.v < LAST(B.v, 1) OR C.v = 1) AS m
            """,
            """
            SELECT *
            FROM t MATCH_RECOGNIZE (
                PARTITION BY k
                ORDER BY ts
                MEASURES A.id AS first_id, LAST(B.v) AS v
                ONE ROW PER MATCH
                AFTER MATCH SKIP TO FIRST B
                PATTERN (A B+ C* D? E{2} F{,3} G+ H{2,5}? I*?) WITHIN INTERVAL '1' HOUR
                DEFINE A AS A.v > 1, B AS B.v < LAST(B.v, 1) OR C.v = 1
            ) AS m
            """
        ),
        ("SELECT 1 FROM t AS x MATCH_RECOGNIZE (ORDER BY ts PATTERN (A) DEFINE A AS TRUE)", "SELECT 1\nFROM t AS x MATCH_RECOGNIZE (\n    ORDER BY ts\n    ONE ROW PER MATCH\n    PATTERN (A)\n    DEFINE A AS TRUE\n)"),
        (
            "SELECT 1 FROM TABLE(TUMBLE(TABLE t /*+ OPTIONS('a' = 'b') */ PARTITION BY k, DESCRIPTOR(t.ts), INTERVAL '1' DAY))",
            "SELECT 1\nFROM TABLE(TUMBLE((\n    SELECT *\n    FROM t /*+ OPTIONS('a' = 'b') */\n) PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' DAY))"
        ),
        // INSERT
        ("INSERT INTO t VALUES (1), (2)", "INSERT INTO t\nVALUES (1), (2)"),
        ("INSERT OVERWRITE c.d.t /*+ OPTIONS('a' = 'b') */ PARTITION (p = 'x', q) (a, `b c`) SELECT 1, 2", "INSERT OVERWRITE c.d.t /*+ OPTIONS('a' = 'b') */ PARTITION (p = 'x', q) (a, `b c`)\nSELECT 1, 2"),
        ("INSERT INTO t (SELECT 1 ORDER BY 1) UNION ALL SELECT 2", "INSERT INTO t\n(\n    SELECT 1\n    ORDER BY 1\n)\nUNION ALL\nSELECT 2"),
        ("INSERT INTO t WITH a AS (SELECT 1) SELECT * FROM a", "INSERT INTO t\nWITH a AS (\n    SELECT 1\n)\nSELECT *\nFROM a"),
        ("EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT 1; INSERT INTO u SELECT 2; END", "EXECUTE STATEMENT SET\nBEGIN\nINSERT INTO t\nSELECT 1;\nINSERT INTO u\nSELECT 2;\nEND"),
        ("BEGIN STATEMENT SET; INSERT INTO t SELECT 1; END", "EXECUTE STATEMENT SET\nBEGIN\nINSERT INTO t\nSELECT 1;\nEND"),
        // EXPLAIN, settings
        ("EXPLAIN SELECT 1", "EXPLAIN\nSELECT 1"), ("EXPLAIN PLAN FOR SELECT 1", "EXPLAIN\nSELECT 1"),
        ("EXPLAIN CHANGELOG_MODE, ESTIMATED_COST INSERT INTO t SELECT 1", "EXPLAIN ESTIMATED_COST, CHANGELOG_MODE\nINSERT INTO t\nSELECT 1"),
        ("EXPLAIN STATEMENT SET BEGIN INSERT INTO t SELECT 1; END", "EXPLAIN STATEMENT SET\nBEGIN\nINSERT INTO t\nSELECT 1;\nEND"),
        ("SET 'a.b' = 'it''s'", nil), ("SET a.b = it's 1 -- so", "SET 'a.b' = 'it''s 1'"), ("SET", nil), ("RESET", nil), ("RESET 'a.b'", nil), ("help", "HELP"), ("exit", "QUIT"),
        // Tables and views
        (
            """
            create temporary table if not exists c.`d e`.t (a int primary key not enforced comment 'it''s', b string not null metadata from 'k' virtual, `c` AS a + ( 1 * 2 ), p as proctime(), ts timestamp(3),
              watermark for ts as ts - interval '5' seconds) comment 'x' partitioned by (a, ts) with ('connector' = 'print', 'b' = '') like u (including all overwriting options)
            """,
            """
            CREATE TEMPORARY TABLE IF NOT EXISTS c.`d e`.t (
                a INT COMMENT 'it''s',
                b STRING NOT NULL METADATA FROM 'k' VIRTUAL,
                c AS a + 1 * 2,
                p AS PROCTIME(),
                ts TIMESTAMP(3),
                WATERMARK FOR ts AS ts - INTERVAL '5' SECOND,
                PRIMARY KEY (a) NOT ENFORCED
            )
            COMMENT 'x'
            PARTITIONED BY (a, ts)
            WITH (
                'connector' = 'print',
                'b' = ''
            )
            LIKE u (
                INCLUDING ALL
                OVERWRITING OPTIONS
            )
            """
        ),
        ("CREATE TABLE t (a INT, CONSTRAINT `my key` PRIMARY KEY (a) NOT ENFORCED)", "CREATE TABLE t (\n    a INT,\n    CONSTRAINT `my key` PRIMARY KEY (a) NOT ENFORCED\n)"),
        ("CREATE TABLE t LIKE u", "CREATE TABLE t\nLIKE u"),
        ("CREATE TABLE t (b, a) WITH ('connector' = 'x') AS SELECT 1 AS a, 2 AS b", "CREATE TABLE t (b, a)\nWITH (\n    'connector' = 'x'\n)\nAS\nSELECT 1 AS a, 2 AS b"),
        ("CREATE OR REPLACE TABLE t WITH ('connector' = 'x') AS SELECT 1 AS a", "CREATE OR REPLACE TABLE t\nWITH (\n    'connector' = 'x'\n)\nAS\nSELECT 1 AS a"),
        ("REPLACE TABLE t WITH ('connector' = 'x') AS SELECT 1 AS a", "REPLACE TABLE t\nWITH (\n    'connector' = 'x'\n)\nAS\nSELECT 1 AS a"),
        ("CREATE TEMPORARY VIEW IF NOT EXISTS v (a, b) COMMENT 'c' AS SELECT 1, 2", "CREATE TEMPORARY VIEW IF NOT EXISTS v (a, b)\nCOMMENT 'c' AS\nSELECT 1, 2"),
        ("CREATE VIEW v AS WITH a AS (SELECT 1) SELECT * FROM a", "CREATE VIEW v AS\nWITH a AS (\n    SELECT 1\n)\nSELECT *\nFROM a"),
        ("DROP TEMPORARY TABLE IF EXISTS a.b", nil), ("DROP VIEW v", nil), ("DESC t", "DESCRIBE t"), ("DESCRIBE EXTENDED a.t", "DESCRIBE a.t"), ("DESCRIBE `catalog`", nil),
        // Catalogs
        ("CREATE CATALOG IF NOT EXISTS c COMMENT 'x' WITH ('type' = 'y')", "CREATE CATALOG IF NOT EXISTS c\nCOMMENT 'x'\nWITH (\n    'type' = 'y'\n)"),
        ("ALTER CATALOG c SET ('a' = 'b')", "ALTER CATALOG c SET (\n    'a' = 'b'\n)"), ("ALTER CATALOG c RESET ('a', 'b')", nil), ("ALTER CATALOG c COMMENT 'x'", nil), ("DROP CATALOG IF EXISTS c", nil),
        ("CREATE DATABASE c.d COMMENT 'x' WITH ('a' = 'b')", "CREATE DATABASE c.d\nCOMMENT 'x'\nWITH (\n    'a' = 'b'\n)"), ("ALTER DATABASE d SET ('a' = 'b')", "ALTER DATABASE d SET (\n    'a' = 'b'\n)"),
        ("DROP DATABASE IF EXISTS d RESTRICT", "DROP DATABASE IF EXISTS d"), ("DROP DATABASE d CASCADE", nil), ("USE CATALOG c", nil), ("USE a.b", nil),
        ("DESCRIBE CATALOG EXTENDED c", nil), ("DESC DATABASE d", "DESCRIBE DATABASE d"), ("DESCRIBE FUNCTION EXTENDED f", nil),
        ("ALTER TABLE t RENAME TO u", nil), ("ALTER TABLE IF EXISTS t RENAME a TO b", nil), ("ALTER TABLE t SET ('a' = 'b')", "ALTER TABLE t SET (\n    'a' = 'b'\n)"), ("ALTER TABLE t RESET ('a')", nil),
        ("ALTER TABLE t ADD a INT COMMENT 'x' FIRST", "ALTER TABLE t ADD (\n    a INT COMMENT 'x' FIRST\n)"),
        ("ALTER TABLE t ADD (a INT, b STRING AFTER a, WATERMARK FOR ts AS ts, PRIMARY KEY (a) NOT ENFORCED)", "ALTER TABLE t ADD (\n    a INT,\n    b STRING AFTER a,\n    WATERMARK FOR ts AS ts,\n    PRIMARY KEY (a) NOT ENFORCED\n)"),
        ("ALTER TABLE t MODIFY (a BIGINT NOT NULL)", "ALTER TABLE t MODIFY (\n    a BIGINT NOT NULL\n)"), ("ALTER TABLE t DROP a", "ALTER TABLE t DROP (a)"), ("ALTER TABLE t DROP (a, b)", nil),
        ("ALTER TABLE t DROP PRIMARY KEY", nil), ("ALTER TABLE t DROP CONSTRAINT c", nil), ("ALTER TABLE t DROP WATERMARK", nil),
        ("ALTER TABLE t ADD IF NOT EXISTS PARTITION (a = 1) PARTITION (a = 2, b = 'x')", nil), ("ALTER TABLE t DROP IF EXISTS PARTITION (a = 1), PARTITION (a = 2)", nil), ("ALTER TABLE t RECOVER PARTITIONS", nil),
        ("ALTER VIEW v RENAME TO w", nil), ("ALTER VIEW v AS SELECT 1", "ALTER VIEW v AS\nSELECT 1"),
        ("CREATE TEMPORARY SYSTEM FUNCTION IF NOT EXISTS f AS 'a.b' LANGUAGE PYTHON USING JAR '/a.jar', FILE '/b.py'", nil), ("CREATE FUNCTION d.f AS 'x'", nil), ("ALTER FUNCTION IF EXISTS f AS 'x' LANGUAGE JAVA", nil),
        ("DROP TEMPORARY SYSTEM FUNCTION IF EXISTS f", nil), ("DROP FUNCTION f", nil),
        ("TRUNCATE TABLE t", nil), ("DELETE FROM t", nil), ("DELETE FROM t WHERE a = 1 AND b", "DELETE FROM t\nWHERE a = 1 AND b"), ("UPDATE t SET a = a + 1, b = 'x' WHERE c", "UPDATE t\nSET a = a + 1, b = 'x'\nWHERE c"),
        ("ANALYZE TABLE t COMPUTE STATISTICS", nil),
        ("STOP JOB 'a' WITH SAVEPOINT WITH DRAIN", nil), ("ADD JAR '/a.jar'", nil), ("LOAD MODULE hive WITH ('a' = 'b')", nil), ("USE MODULES hive, core", nil),
        ("SHOW CATALOGS", nil), ("SHOW CURRENT CATALOG", nil), ("SHOW DATABASES IN c LIKE 'a%'", "SHOW DATABASES FROM c LIKE 'a%'"), ("SHOW CURRENT DATABASE", nil), ("SHOW TABLES FROM d NOT LIKE 'x'", nil), ("SHOW VIEWS", nil),
        ("SHOW COLUMNS FROM t", nil), ("SHOW PARTITIONS t PARTITION (a = 1)", nil), ("SHOW USER FUNCTIONS", nil), ("SHOW FUNCTIONS FROM d ILIKE 'x'", nil), ("SHOW FULL MODULES", nil), ("SHOW MODULES", nil), ("SHOW JARS", nil), ("SHOW JOBS", nil),
        ("SHOW CREATE TABLE t", nil), ("SHOW CREATE VIEW v", nil), ("SHOW CREATE CATALOG c", nil), ("SHOW CREATE DATABASE d", nil),
    ]

    /// What Flink does not know.
    static let ours: [(given: String, written: String?)] = [
        ("SELECT 1 FROM t, t.items AS i AT n, t.a[1].b AS x", "SELECT 1\nFROM t\nCROSS JOIN t.items AS i AT n\nCROSS JOIN t.a[1].b AS x"),
        (
            "SELECT 1 FROM TABLE(RANDOM_CUT_FOREST(TABLE t PARTITION BY k, DESCRIPTOR(a, b), SHINGLE_SIZE => 2, NUMBER_OF_TREES => 50))",
            "SELECT 1\nFROM TABLE(RANDOM_CUT_FOREST(TABLE t PARTITION BY k, DESCRIPTOR(a, b), NUMBER_OF_TREES => 50, SHINGLE_SIZE => 2))"
        ),
        ("EXPLAIN DOT SELECT 1", "EXPLAIN DOT\nSELECT 1"), ("ANALYZE TABLES COMPUTE STATISTICS", nil),
    ]

    @Test("of statements", arguments: statements + ours)
    func statement(given: String, written: String?) throws {
        let text = SQLWriter().text(try SQLParser(text: given).parseStatement())
        #expect(text == written ?? given)
        #expect(SQLWriter().text(try SQLParser(text: text).parseStatement()) == text)
    }

    /// For another engine to be asked: all texts, in the file $SWIFTWATER_WRITTEN_TEXTS, as JSON.
    @Test("are put into a file when one is named", .enabled(if: ProcessInfo.processInfo.environment["SWIFTWATER_WRITTEN_TEXTS"] != nil))
    func file() throws {
        let texts = Self.expressions.map { "SELECT \($0.written ?? $0.given) FROM t" } + Self.statements.map { $0.written ?? $0.given }
        try JSONEncoder().encode(texts).write(to: URL(fileURLWithPath: ProcessInfo.processInfo.environment["SWIFTWATER_WRITTEN_TEXTS"]!))
    }

    @Test("names of reserved words and of other signs are in backticks") func identifiers() {
        #expect(SQLWriter.identifier("a_1") == "a_1")
        #expect(SQLWriter.identifier("Select") == "`Select`")
        #expect(SQLWriter.identifier("prev") == "`prev`")
        #expect(SQLWriter.identifier("a-b") == "`a-b`")
        #expect(SQLWriter.identifier("") == "``")
        #expect(SQLWriter.quoted("it's") == "'it''s'")
        #expect(SQLWriter.type(.row([Field("time", .timestampLTZ(3), nullable: false), Field("b", .string)])) == "ROW<`time` TIMESTAMP_LTZ(3) NOT NULL, b STRING>")
    }

    @Test("calls, hints and tables can be written in another way") func hooks() throws {
        var writer = SQLWriter()
        writer.call = { call, writer in call.name == "NVL" ? "COALESCE(\(call.arguments.map { writer.text($0) }.joined(separator: ", ")))" : nil }
        writer.hints = { name, hints in
            var hints = hints
            if name.text == "t" { hints["scan.startup.mode"] = "earliest" }
            hints["here"] = nil
            return hints
        }
        writer.table = { ref, _ in
            if case .unnest(_, _) = ref.node { "UNNEST_HERE" } else { nil }
        }
        func text(_ sql: String) throws -> String { writer.text(try SQLParser(text: sql).parseStatement()) }
        #expect(try text("SELECT NVL(a, NVL(b, 1) + 1) FROM t") == "SELECT COALESCE(a, COALESCE(b, 1) + 1)\nFROM t /*+ OPTIONS('scan.startup.mode' = 'earliest') */")
        #expect(try text("INSERT INTO t /*+ OPTIONS('here' = '1') */ SELECT 1 FROM u /*+ OPTIONS('here' = '1') */") == "INSERT INTO t /*+ OPTIONS('scan.startup.mode' = 'earliest') */\nSELECT 1\nFROM u")
        #expect(try text("SELECT 1 FROM u, UNNEST(a)") == "SELECT 1\nFROM u\nCROSS JOIN UNNEST_HERE")
        #expect(try text("SELECT 1 FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY))").contains("FROM t /*+ OPTIONS('scan.startup.mode' = 'earliest') */\n), DESCRIPTOR"))
        let query = try SQLParser(text: "SELECT a FROM t").parseQuery()
        #expect(SQLWriter().text(query, indent: 2) == "SELECT a\n  FROM t")
    }
}

@Suite("Walks over syntax") struct SyntaxWalkTests {
    private let statement: Statement
    init() throws {
        statement = try SQLParser(
            text: """
                INSERT INTO sink /*+ OPTIONS('o' = '1') */
                WITH c AS (SELECT F1(a) FROM t1), d AS (SELECT * FROM c)
                SELECT /*+ STATE_TTL('x' = '1 d') */ CAST(F2(b) AS INT), JSON_VALUE(j, '$' RETURNING BIGINT DEFAULT F3(c) ON EMPTY), SUM(F4(x)) FILTER (WHERE F5(y)) OVER (PARTITION BY F6(z) ORDER BY F7(ts))
                FROM d JOIN t2 /*+ OPTIONS('p' = '2') */ FOR SYSTEM_TIME AS OF F8(d.ts) AS x ON F9(x.k) = 1, x.items AS i, db.t3 AS t3, LATERAL TABLE(F10(F11(a))) AS l,
                    UNNEST(F12(q)) AS u, TABLE(TUMBLE(TABLE t4, DESCRIPTOR(ts), F13(1)))
                WHERE a IN (SELECT c FROM c) AND EXISTS (SELECT 1 FROM t5 MATCH_RECOGNIZE (ORDER BY ts MEASURES F14(A.v) AS v PATTERN (A) DEFINE A AS F15(A.v) > 1))
                GROUP BY ROLLUP (F16(k)) HAVING F17(k) BETWEEN 1 AND (SELECT MAX(m) FROM (VALUES (F18(1))) AS v (m))
                ORDER BY CASE F19(k) WHEN TRY_CAST(1 AS STRING) THEN ARRAY[F20(1)] END
                """
        ).parseStatement()
    }

    @Test("find every call") func calls() throws {
        let calls = SyntaxWalk.calls(in: statement), names = calls.map(\.call.name)
        for i in 1...20 { #expect(names.filter { $0 == "F\(i)" }.count == 1, "F\(i)") }
        #expect(Set(names).isSuperset(of: ["SUM", "MAX", "JSON_VALUE"]) && !names.contains("ROLLUP"))
        #expect(calls.filter(\.isTable).map(\.call.name) == ["F10"])
        let first = try #require(calls.first)
        #expect(first.call.name == "F1" && first.span.line == 2)
    }

    @Test("find tables, types and hints") func others() {
        #expect(SyntaxWalk.tables(in: statement).map(\.text) == ["t1", "t2", "db.t3", "t4", "t5"])
        #expect(SyntaxWalk.types(in: statement).map(\.type) == [.int, .bigint, .string])
        let hints = SyntaxWalk.hints(in: statement)
        #expect(hints.map(\.values) == [["o": "1"], ["x": "1 d"], ["p": "2"]])
        #expect(hints.map(\.isWritten) == [true, false, false] && hints.map { $0.table?.text } == ["sink", nil, "t2"])
        #expect(SyntaxWalk.sources(in: statement).contains { if case .windowFunction("TUMBLE", _, _, _) = $0.node { true } else { false } })
    }

    @Test("a name of WITH is a table where it cannot be seen") func scopes() throws {
        func tables(_ sql: String) throws -> [String] { SyntaxWalk.tables(in: try SQLParser(text: sql).parseStatement()).map(\.text) }
        #expect(try tables("SELECT * FROM (WITH a AS (SELECT * FROM a) SELECT * FROM a) AS x, a") == ["a", "a"])
        #expect(try tables("CREATE VIEW v AS SELECT * FROM a UNION ALL SELECT * FROM b.c") == ["a", "b.c"])
        #expect(try tables("CREATE TABLE t (x AS F(y)) WITH ('a' = 'b') AS SELECT * FROM s") == ["s"])
        #expect(try tables("EXECUTE STATEMENT SET BEGIN INSERT INTO t SELECT * FROM a; INSERT INTO u SELECT * FROM b; END") == ["a", "b"])
    }
}
