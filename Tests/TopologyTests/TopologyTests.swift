import Foundation
import StreamCore
import StreamSQL
import Testing

@testable import Topology

private func yaml(_ text: String, _ variables: [String: String] = [:]) throws -> Topology {
    try Topology.parse(yaml: text, file: "t.yaml", variables: variables)
}

private func failure(_ text: String, _ variables: [String: String] = [:]) -> String {
    do {
        return "no error: " + (try yaml(text, variables)).script
    } catch {
        return "\(error)"
    }
}

/// A file that is fine but for the pipeline or other lines added to it.
private let tables = """
    tables:
      a:
        columns: {id: INT, ts: TIMESTAMP(3), v: DOUBLE}
        watermark: {column: ts, delay: 5 s}
        with: {connector: datagen}
      b:
        columns: {id: INT}
        with: {connector: print}

    """

private let pipeline = "pipeline: [{sql: SELECT 1, into: b}]\n"

@Suite("Topology files") struct TopologyTests {
    @Test("a full file becomes SQL")
    func full() throws {
        let topology = try yaml(
            """
            name: all
            description: Everything at once.
            settings:
              parallelism: 2
              max-parallelism: 64
              checkpoint: {interval: 10 s, directory: /c}
              state: rocksdb
              time-zone: Europe/Oslo
              idle-timeout: 30 s
              table.exec.sink.not-null-enforcer: DROP
            tables:
              input:
                description: the 'input'
                columns:
                  id: INT NOT NULL
                  odd name: {type: "VARCHAR(6)", comment: it's}
                  cost: {as: price * 2 -- doubled}
                  moment: {type: TIMESTAMP_LTZ(3), metadata: timestamp, virtual: true}
                  offset: {type: BIGINT NOT NULL, metadata: true}
                key: [id, moment]
                watermark: {column: moment, as: moment - INTERVAL '1' SECOND}
                partitioned-by: id
                with:
                  connector: kinesis
                  rows: 5
                  flag: true
                  empty: ''
              other:
                columns:
                  - {name: id, type: INT}
                  - {name: ts, type: TIMESTAMP(3)}
                watermark: {column: ts, delay: 500 ms}
                with: {connector: print}
            views:
              v: SELECT id FROM input;
              w:
                columns: [x, y]
                sql: |
                  -- two columns
                  SELECT 1,
                         2
            pipeline:
              - name: first
                sql: SELECT id, ts FROM other WHERE id > 1
              - name: filtered
                transform: filter
                from: first
                where: id < 10 OR ts IS NULL
                into: [other, input]
              - transform: select
                from: filtered
                columns: {twice: id * 2, ts: ts}
                where: id > 0
                distinct: true
                into: other
              - name: windowed
                transform: aggregate
                from: other
                window: {type: hop, column: ts, slide: 10 s, size: 1 min}
                by: id
                columns: [COUNT(*) AS n, window_start]
                having: COUNT(*) > 1
              - name: both
                transform: union
                from: [first, filtered]
              - transform: aggregate
                from: both
                by: [id]
                columns: {n: COUNT(*)}
                where: id > 0
                into: other
            """)
        #expect(topology.name == "all")
        #expect(topology.description == "Everything at once.")
        let expected = """
            SET 'pipeline.name' = 'all';
            SET 'parallelism.default' = '2';
            SET 'pipeline.max-parallelism' = '64';
            SET 'execution.checkpointing.interval' = '10 s';
            SET 'execution.checkpointing.dir' = '/c';
            SET 'state.backend.type' = 'rocksdb';
            SET 'table.local-time-zone' = 'Europe/Oslo';
            SET 'table.exec.source.idle-timeout' = '30 s';
            SET 'table.exec.sink.not-null-enforcer' = 'DROP';
            CREATE TEMPORARY TABLE `input` (
              `id` INT NOT NULL,
              `odd name` VARCHAR(6) COMMENT 'it''s',
              `cost` AS price * 2,
              `moment` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
              `offset` BIGINT NOT NULL METADATA,
              WATERMARK FOR `moment` AS moment - INTERVAL '1' SECOND,
              PRIMARY KEY (`id`, `moment`) NOT ENFORCED
            ) COMMENT 'the ''input''' PARTITIONED BY (`id`) WITH (
              'connector' = 'kinesis',
              'rows' = '5',
              'flag' = 'true',
              'empty' = ''
            );
            CREATE TEMPORARY TABLE `other` (
              `id` INT,
              `ts` TIMESTAMP(3),
              WATERMARK FOR `ts` AS `ts` - INTERVAL '0.500' SECOND
            ) WITH (
              'connector' = 'print'
            );
            CREATE TEMPORARY VIEW `v` AS SELECT id FROM input;
            CREATE TEMPORARY VIEW `w` (`x`, `y`) AS SELECT 1,
                   2;
            CREATE TEMPORARY VIEW `first` AS SELECT id, ts FROM other WHERE id > 1;
            CREATE TEMPORARY VIEW `filtered` AS SELECT * FROM `first` WHERE id < 10 OR ts IS NULL;
            CREATE TEMPORARY VIEW `windowed` AS SELECT `id`, COUNT(*) AS n, window_start FROM \
            TABLE(HOP(TABLE `other`, DESCRIPTOR(`ts`), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)) \
            GROUP BY `id`, `window_start`, `window_end`, `window_time` HAVING COUNT(*) > 1;
            CREATE TEMPORARY VIEW `both` AS SELECT * FROM `first` UNION ALL SELECT * FROM `filtered`;
            EXECUTE STATEMENT SET BEGIN
            INSERT INTO `other` SELECT * FROM `filtered`;
            INSERT INTO `input` SELECT * FROM `filtered`;
            INSERT INTO `other` SELECT DISTINCT id * 2 AS `twice`, ts AS `ts` FROM `filtered` WHERE id > 0;
            INSERT INTO `other` SELECT `id`, COUNT(*) AS `n` FROM `both` WHERE id > 0 GROUP BY `id`;
            END;

            """
        #expect(topology.script == expected)
    }

    @Test("variables: value, default, empty, escape, comment")
    func variables() throws {
        let text = "# ${NOT_READ}\nname: ${NAME}-${KIND:-x y}-$${KEEP}-$HOME-$$\ndescription: '${EMPTY:-d}${EMPTY}'\n" + tables + pipeline
        let topology = try yaml(text, ["NAME": "n", "EMPTY": ""])
        #expect(topology.name == "n-x y-${KEEP}-$HOME-$$")
        #expect(topology.description == "d")
    }

    @Test("a script of SQL is a topology too, with variables")
    func script() throws {
        let text = "-- ${UNSET}\nSET 'a' = '${A:-b}';\nSELECT '$.x', $${c}"
        #expect(throws: StreamError.self) { try Topology.parse(sql: text, file: "s.sql", variables: [:]) }
        let topology = try Topology.parse(
            sql: "-- ${UNSET}\nSET 'a' = '${A:-b}';\nSELECT '$.x$${c}';", file: "dir/s.sql", variables: ["A": "1"])
        #expect(topology.name == "s")
        #expect(topology.statements.map(\.text) == ["SET 'a' = '1'", "SELECT '$.x${c}'"])
        let error = #expect(throws: StreamError.self) {
            try Topology.parse(sql: "SELECT '${A:-long default}', FROM t", file: "s.sql", variables: ["A": "1"])
        }
        #expect(
            error?.description
                == "s.sql:1:30: expected an expression, found \"FROM\"\n    SELECT '${A:-long default}', FROM t\n                                 ^"
        )
    }

    @Test("errors of statements that run later point into the file")
    func places() throws {
        let topology = try yaml(
            """
            \(tables)views:
              v: >-
                SELECT id
                FROM   nowhere
            pipeline:
              - name: s
                sql: "SELECT id,\\n  wrong FROM a"
              - sql: |-
                  SELECT id
                    FROM ${T:-a}  WHERE wrong > 1
                into: b
            """)
        func place(_ statement: Statement, _ word: String) throws -> String {
            let source = try #require(statement.source)
            let at = try #require(source.text.range(of: word, options: .backwards))
            let offset = source.text.utf8.distance(from: source.text.utf8.startIndex, to: at.lowerBound)
            return source.error(.validate, "x", at: source.span(offset, offset + 1)).description
        }
        let n = topology.statements.count
        #expect(try place(topology.statements[n - 3], "nowhere") == "t.yaml:12:12: x\n        FROM   nowhere\n               ^")
        #expect(
            try place(topology.statements[n - 2], "wrong")
                == "t.yaml:15:25: x\n        sql: \"SELECT id,\\n  wrong FROM a\"\n                            ^")
        #expect(
            try place(topology.statements[n - 1], "wrong")
                == "t.yaml:18:29: x\n            FROM ${T:-a}  WHERE wrong > 1\n                                ^")
        #expect(try place(topology.statements[n - 1], "`b`") == "t.yaml:19:11: x\n        into: b\n              ^")
        #expect(
            try place(topology.statements[0], "DOUBLE")
                == "t.yaml:3:45: x\n        columns: {id: INT, ts: TIMESTAMP(3), v: DOUBLE}\n                                                ^"
        )
        #expect(try place(topology.statements[1], "'connector'") == "t.yaml:8:12: x\n        with: {connector: print}\n               ^")
    }

    @Test(
        "each mistake has its message",
        arguments: [
            ("", "t.yaml:1:1: the topology is empty\n    \n    ^\nFix: write name, tables and pipeline."),
            (
                "name: x\n",
                "t.yaml:1:1: the topology has no pipeline\n    name: x\n    ^\nFix: add pipeline: with at least one step that has sql: and into:."
            ),
            ("nam: x\n", "t.yaml:1:1: unknown key \"nam\" in the topology\n    nam: x\n    ^\nFix: write \"name\"."),
            (
                "zzz: x\n",
                "t.yaml:1:1: unknown key \"zzz\" in the topology\n    zzz: x\n    ^\nFix: use one of name, description, settings, tables, views, pipeline, delivery-streams, replications, notifications, alerts."
            ),
            (
                "- a\n",
                "t.yaml:1:1: the topology is not a list of \"key: value\" lines\n    - a\n    ^\nFix: write one \"key: value\" in a line below it."
            ),
            (
                "name: [a\n",
                "t.yaml:1:10: this is not YAML: did not find expected ',' or ']' while parsing a flow sequence\n    name: [a\n             ^\nFix: mend the indentation or quotes at or above this place."
            ),
            (
                "name: ${A}\n",
                "t.yaml:1:7: the variable A is not set\n    name: ${A}\n          ^\nFix: set it, or give a default: ${A:-value}."
            ),
            (
                "name: ${A-b}\n",
                "t.yaml:1:7: \"${\" does not begin a variable\n    name: ${A-b}\n          ^\nFix: write ${NAME} or ${NAME:-default}, or $${ for a plain ${."
            ),
            (
                "name: ${A:-b\n",
                "t.yaml:1:7: \"${\" does not begin a variable\n    name: ${A:-b\n          ^\nFix: write ${NAME} or ${NAME:-default}, or $${ for a plain ${."
            ),
            ("name:\n", "t.yaml:1:6: name has no value\n    name:\n         ^\nFix: write a value, in quotes if it is meant as text."),
            (
                "settings: {paralelism: 2}\n",
                "t.yaml:1:12: unknown key \"paralelism\" in settings\n    settings: {paralelism: 2}\n               ^\nFix: write \"parallelism\"."
            ),
            (
                "settings: {foo.bar: 2}\n",
                "t.yaml:1:12: unknown key \"foo.bar\" in settings\n    settings: {foo.bar: 2}\n               ^\nFix: use one of parallelism, max-parallelism, checkpoint, state, time-zone, idle-timeout, alerts.history.retention, alerts.database, alerts.webhook.allow-private, alerts.webhook.allow-metadata, or a Flink key that begins with table., pipeline., execution., restart-strategy. or state.."
            ),
            (
                "settings: {parallelism: two}\n",
                "t.yaml:1:25: parallelism: two is not a whole number above 0\n    settings: {parallelism: two}\n                            ^\nFix: write for example parallelism: 2."
            ),
            (
                "settings: {state: rokcsdb}\n",
                "t.yaml:1:19: \"rokcsdb\" is not a state backend\n    settings: {state: rokcsdb}\n                      ^\nFix: write \"rocksdb\"."
            ),
            (
                "settings: {checkpoint: {intervall: 1 s}}\n",
                "t.yaml:1:25: unknown key \"intervall\" in checkpoint\n    settings: {checkpoint: {intervall: 1 s}}\n                            ^\nFix: write \"interval\"."
            ),
            (
                "tables: {t: {colums: {a: INT}}}\n",
                "t.yaml:1:14: unknown key \"colums\" in table t\n    tables: {t: {colums: {a: INT}}}\n                 ^\nFix: write \"columns\"."
            ),
            (
                "tables: {t: {with: {connector: print}}}\n",
                "t.yaml:1:10: table t has no columns\n    tables: {t: {with: {connector: print}}}\n             ^\nFix: add columns: with one \"name: TYPE\" in a line."
            ),
            (
                "tables: {t: {columns: {a: INT}}}\n",
                "t.yaml:1:10: table t has no with\n    tables: {t: {columns: {a: INT}}}\n             ^\nFix: add with: and connector: name."
            ),
            (
                "tables:\n  t:\n    columns:\n      a: INTT\n    with: {connector: print}\n",
                "t.yaml:4:10: there is no type INTT\n          a: INTT\n             ^\nFix: write \"INT\"."
            ),
            (
                "tables:\n  t:\n    columns: {a: 'INT, b STRING'}\n    with: {connector: print}\n",
                "t.yaml:3:22: expected the end of the statement, found \",\"\n        columns: {a: 'INT, b STRING'}\n                         ^"
            ),
            (
                "tables:\n  t:\n    columns:\n      a: {as: b +}\n    with: {connector: print}\n",
                "t.yaml:4:18: expected an expression, found the end of the text\n          a: {as: b +}\n                     ^"
            ),
            (
                "tables:\n  t:\n    columns:\n      a: {tpe: INT}\n    with: {connector: print}\n",
                "t.yaml:4:11: unknown key \"tpe\" in column a of table t\n          a: {tpe: INT}\n              ^\nFix: write \"type\"."
            ),
            (
                "tables:\n  t:\n    columns:\n      a: {comment: x}\n    with: {connector: print}\n",
                "t.yaml:4:7: column a of table t has neither type nor as\n          a: {comment: x}\n          ^\nFix: add type: with a SQL type."
            ),
            (
                "tables:\n  t:\n    columns:\n      a: {type: INT, as: b}\n    with: {connector: print}\n",
                "t.yaml:4:17: column a of table t has both as and type\n          a: {type: INT, as: b}\n                    ^\nFix: remove type: a computed column has the type of its expression."
            ),
            (
                "tables:\n  t:\n    columns:\n      a: {type: INT, virtual: yes}\n    with: {connector: print}\n",
                "t.yaml:4:31: column a of table t is virtual without metadata\n          a: {type: INT, virtual: yes}\n                                  ^\nFix: add metadata: true, or remove virtual."
            ),
            (
                "tables:\n  t:\n    columns: {a: INT}\n    watermark: {column: a}\n    with: {connector: print}\n",
                "t.yaml:4:16: watermark of table t needs exactly one of delay and as\n        watermark: {column: a}\n                   ^\nFix: write delay: 5 s, or as: with an expression."
            ),
            (
                "tables:\n  t:\n    columns: {a: INT}\n    watermark: {column: a, delay: soon}\n    with: {connector: print}\n",
                "t.yaml:4:35: delay: soon is not a length of time\n        watermark: {column: a, delay: soon}\n                                      ^\nFix: write for example 10 s, 500 ms, 1 min, 2 h or 1 d."
            ),
            (
                "tables:\n  t:\n    columns: {a: INT}\n    with:\n      connector: print\n      path: x\n      connector: kinesis\n",
                "t.yaml:7:7: the key \"connector\" is given twice, first in line 5\n          connector: kinesis\n          ^\nFix: keep one of them."
            ),
            (
                "tables:\n  t:\n    columns: {a: INT}\n    with: {connector: {a: b}}\n",
                "t.yaml:4:23: option 'connector' is not a single value\n        with: {connector: {a: b}}\n                          ^\nFix: write option 'connector': value."
            ),
            (
                "views: {a: SELECT 1}\ntables: {a: {columns: {x: INT}, with: {connector: print}}}\n",
                "t.yaml:1:9: there are two tables, views or steps named \"a\", the first in line 2\n    views: {a: SELECT 1}\n            ^\nFix: rename one."
            ),
            (
                "views:\n  v: |\n    SELECT 1\n    FORM t x\n",
                "t.yaml:4:5: \"FORM\" is not a keyword\n        FORM t x\n        ^\nFix: write \"FROM\"."
            ),
            (
                "views:\n  v: INSERT INTO b SELECT 1\n",
                "t.yaml:2:6: expected SELECT, WITH or VALUES, found \"INSERT\"\n      v: INSERT INTO b SELECT 1\n         ^\nFix: write `INSERT` in backticks if it is meant as a name."
            ),
            (
                "pipeline: x\n",
                "t.yaml:1:11: pipeline is not a list of steps\n    pipeline: x\n              ^\nFix: begin each step with \"- name: ...\"."
            ),
        ] as [(String, String)])
    func messages(text: String, message: String) { #expect(failure(text) == message) }

    @Test(
        "each mistake in a step has its message",
        arguments: [
            ("- {name: s, sql: SELECT 1}", "no step of the pipeline writes anything", "add into: with a table to a step"),
            ("- {sql: SELECT 1}", "step 1 has no name and no target", "give it a name"),
            ("- {sql: SELECT 1, into: [a, b]}", "step 1 has no name and more than one target", "give it a name"),
            (
                "- {name: s, into: b}", "step s has neither sql, transform nor mirror",
                "write either sql: SELECT ..., mirror: with two clusters, or transform: with one of aggregate, anomaly, deduplicate, encode, filter, flatten, quality, select, union"
            ),
            ("- {name: s, mirror: {to: {bootstrap.servers: b}}}", "mirror of step s has no from", "add from: with bootstrap.servers: host:9092"),
            (
                "- {name: s, mirror: {from: {bootstrap.servers: a}, to: {bootstrap.servers: b}, topic: x}}", "unknown key \"topic\" in mirror of step s",
                "write \"topics\""
            ),
            ("- {name: s, slq: SELECT 1, into: b}", "unknown key \"slq\" in step s", "write \"sql\""),
            (
                "- {name: s, sql: SELECT 1, transform: filter, into: b}", "step s has both sql and transform",
                "write either sql: SELECT ..., mirror: with two clusters, or transform: with one of aggregate, anomaly, deduplicate, encode, filter, flatten, quality, select, union"
            ),
            ("- {name: s, transform: fliter, from: a, into: b}", "there is no transform \"fliter\"", "write \"filter\""),
            ("- {name: s, transform: filter, from: a, were: v > 1, into: b}", "unknown key \"were\" in step s", "write \"where\""),
            ("- {name: s, transform: filter, from: a, into: b}", "step s has no where", "add where: to it"),
            ("- {name: s, transform: filter, where: v > 1, into: b}", "step s has no from", "add from: with a table, view or earlier step"),
            (
                "- {name: s, transform: filter, from: c, where: v > 1, into: b}",
                "step s reads \"c\", which is not a table, view or earlier step", "write \"a\""
            ),
            (
                "- {name: s, transform: filter, from: late, where: v > 1, into: b}\n  - {name: late, sql: SELECT 1}",
                "step s reads \"late\", which is a step that comes later",
                "move that step before this one"
            ),
            (
                "- {name: s, transform: filter, from: [a, b], where: v > 1, into: b}", "filter reads one table, not 2",
                "put a union step before it"
            ),
            ("- {name: s, transform: select, from: a, columns: [], into: b}", "columns of step s is empty", "name at least one column"),
            ("- {name: s, transform: select, from: a, columns: [1 x y], into: b}", "expected the end of the statement, found \"y\"", nil),
            (
                "- {name: s, transform: select, from: a, columns: ['1, 2'], into: b}", "an entry of columns of step s holds 2 columns",
                "give each a line of its own"
            ),
            (
                "- {name: s, transform: select, from: a, columns: {x: 1}, distinct: maybe, into: b}",
                "distinct: maybe is neither true nor false", "write true or false"
            ),
            (
                "- {name: s, transform: aggregate, from: a, columns: {n: COUNT(*)}, window: {type: hopp, column: ts}, into: b}",
                "there is no window type \"hopp\"", "write \"hop\""
            ),
            (
                "- {name: s, transform: aggregate, from: a, columns: {n: COUNT(*)}, window: {type: hop, column: ts, size: 1 s}, into: b}",
                "window of step s has no slide",
                "add slide: to it, for example slide: 10 s"
            ),
            (
                "- {name: s, transform: aggregate, from: a, columns: {n: COUNT(*)}, window: {type: tumble, column: ts, size: 1 s, slide: 2 s}, into: b}",
                "a tumble window has no slide", "remove it; tumble takes size, offset"
            ),
            ("- {name: s, sql: SELECT 1, into: c}", "step s writes into \"c\", which is not a table of this topology", "write \"a\""),
            (
                "- {name: s, sql: SELECT 1, into: nowhere}", "step s writes into \"nowhere\", which is not a table of this topology",
                "use one of a, b"
            ),
            ("- {name: s, sql: SELECT 1, into: []}", "into is empty", "name at least one, or remove the line"),
            ("- {name: a, sql: SELECT 1, into: b}", "there are two tables, views or steps named \"a\", the first in line 2", "rename one"),
            ("- {name: s, transform: flatten, from: a, into: b}", "step s has no column", "add column: to it"),
            ("- {name: s, transform: flatten, from: a, column: v, depth: 0, into: b}", "depth of step s is not a number of levels", "write how many names may be joined, at least 1"),
            ("- {name: s, transform: flatten, from: a, column: v, lists: jsn, into: b}", "lists: jsn is none of json, index, keep", "write \"json\""),
            ("- {name: s, transform: deduplicate, from: a, keys: id, into: b, columns: [id]}", "step s has no order-by", "add order-by: to it"),
            ("- {name: s, transform: deduplicate, from: a, keys: id, order-by: ts, into: b}", "step s has no columns", "add columns: to it"),
            ("- {name: s, transform: deduplicate, from: a, keys: id, order-by: ts, columns: [id], keep: all, into: b}", "keep: all is none of last, first", nil),
            (
                "- {name: s, sql: SELECT 1; DROP TABLE b, into: b}", "expected the end of the text, found \"DROP\"",
                "write one statement only"
            ),
        ] as [(String, String, String?)])
    func stepMessages(step: String, problem: String, fix: String?) {
        let error = #expect(throws: StreamError.self) { _ = try yaml(tables + "pipeline:\n  " + step + "\n") }
        #expect(error?.problem == problem)
        if let fix { #expect(error?.fix == fix) }
        #expect(error?.location?.line ?? 0 >= 2 && error?.location?.file == "t.yaml")
    }

    @Test("files that cannot be read")
    func unreadable() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "topology-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let missing = folder.appending(path: "x.yaml").path
        #expect(throws: StreamError.self) { try Topology.load(path: missing) }
        do { _ = try Topology.load(path: missing) } catch { #expect("\(error)" == "there is no file \(missing). Fix: check the path.") }
        do { _ = try Topology.load(path: "x.json") } catch {
            #expect("\(error)" == "x.json is not a topology. Fix: name a file that ends in .yaml, .yml or .sql.")
        }
        try Data([0xFF, 0xFE, 0x00]).write(to: folder.appending(path: "x.yaml"))
        do { _ = try Topology.load(path: missing) } catch { #expect("\(error)" == "\(missing) is not UTF-8 text. Fix: save it as UTF-8.") }
    }

    @Test("damaged files never crash")
    func damaged() throws {
        for name in ["sensors", "orders", "mirror"] {
            let text = try String(contentsOf: ShippedTopologies.folder.appending(path: "\(name).yaml"), encoding: .utf8)
            for cut in stride(from: 0, to: text.count, by: 13) {
                _ = try? yaml(String(text.prefix(cut)))
                _ = try? yaml(String(text.prefix(cut)) + "\"" + String(text.dropFirst(cut + 3)))
            }
        }
    }
}

enum ShippedTopologies {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Topologies")
}
