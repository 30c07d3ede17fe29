import Alerts
import Foundation
import StreamCore
import StreamSQL
import Testing
import Topology

/// What topology files say about alerts, and what is said about mistakes in them.
@Suite("definitions of alerts") struct DefinitionTests {
    private static let head = """
        settings: {alerts.history.retention: 30 d}
        tables:
          t: {columns: {k: STRING, v: "DECIMAL(10, 2)", ts: TIMESTAMP(3)}, watermark: {column: ts, delay: 1 s}, with: {connector: datagen, number-of-rows: 10}}
        notifications:
          n: {command: {run: [true]}}
        alerts:

        """

    @Test("every key of a rule is read")
    func reads() throws {
        let topology = try Jobs.topology(Self.head + """
              - name: a
                description: too low
                query: SELECT * FROM t
                key: [k]
                value: v
                time: ts
                condition: between 1 and 2
                for: 5 min
                throttle: daily
                resolve: true
                severity: high
                labels: {team: ops}
                enabled: false
                notify: n
                route: [{pattern: {k: [{prefix: a}, {numeric: [">", 1]}, null, 3, true]}, notify: [n]}]
              - {name: b, metric: busyTimeMsPerSecond, match: {operator: "Join*"}, combine: max, key: operator, condition: above 900, notify: n}
            """)
        let rule = try #require(topology.alerts.first)
        #expect(rule.holdsFor == 300_000 && rule.throttle == .daily && rule.notifiesResolved && rule.severity == "high" && rule.labels == ["team": "ops"] && !rule.isEnabled)
        #expect(rule.retention == 30 * 86_400_000 && rule.topology == "alerts" && rule.description == "too low")
        #expect(rule.routes[0].pattern.text == #"{"k":[{"prefix":"a"},{"numeric":[">",1]},null,3,true]}"#)
        #expect(topology.alerts[1].isMetric && topology.alerts[1].comparison?.relation == .above)
        #expect(try AlertRule(json: rule.json) == rule)
        // It binds and plans.
        _ = try Jobs.graph(topology)
        #expect(topology.script.contains("SELECT *, (`v` BETWEEN 1 AND 2) AS `$condition` FROM (SELECT * FROM t) AS `$rows`"))
    }

    @Test("each mistake has its place and its message", arguments: [
        ("- {query: SELECT 1, notify: n}", "7:5", "alert 1 has no name"), ("- {name: a b, query: SELECT 1, notify: n}", "7:12", "cannot be the name"),
        ("- {name: a, notify: n}", "7:12", "neither query nor metric"), ("- {name: a, query: SELECT 1, notfy: n}", "7:32", "unknown key \"notfy\""),
        ("- {name: a, query: SELECT 1}", "7:12", "notifies nobody"), ("- {name: a, query: SELECT 1, notify: m}", "7:40", "not among the notifications"),
        ("- {name: a, query: SELEC 1, notify: n}", "7:22", "SELEC"), ("- {name: a, query: SELECT v FROM t, condition: below 3, notify: n}", "7:50", "does not say which column"),
        ("- {name: a, query: SELECT v FROM t, condition: v <, value: v, notify: n}", "7:53", "expected an expression"), ("- {name: a, query: SELECT 1, for: soon, condition: 1 = 1, notify: n}", "7:37", "not a length of time"),
        ("- {name: a, query: SELECT 1, for: 5 s, notify: n}", "7:37", "each row is an alert of its own"), ("- {name: a, query: SELECT 1, throttle: weakly, notify: n}", "7:42", "\"weekly\""),
        ("- {name: a, metric: m, notify: n}", "7:12", "has no condition"), ("- {name: a, metric: m, condition: v > 3, notify: n}", "7:37", "no condition of a metric"),
        ("- {name: a, metric: m, condition: above 3, time: ts, notify: n}", "7:52", "has no time"),
        ("- {name: a, query: SELECT 1, route: [{pattern: {a: [{prefx: b}]}, notify: n}]}", "7:63", "\"prefix\""),
        ("- {name: a, query: SELECT 1, route: [{pattern: '{a', notify: n}]}", "7:50", "no JSON"), ("- {name: a, query: SELECT 1, notify: n}\n  - {name: a, query: SELECT 1, notify: n}", "8:12", "two alerts"),
    ])
    func mistakes(text: String, place: String, says: String) throws {
        do {
            _ = try Jobs.topology(Self.head + "  " + text)
            Issue.record("\(text) is taken")
        } catch let error as StreamError {
            #expect("\(error)".contains(says) && error.location.map { "\($0.line):\($0.column)" } == place, "\(text): \(error)")
            #expect(error.location?.file == "alerts.yaml")
        }
    }

    @Test("mistakes that only the tables tell name the file too", arguments: [
        ("- {name: a, query: SELECT v FROM t, condition: w > 3, notify: n}", "7:50", "w"), ("- {name: a, query: SELECT v FROM t, value: w, condition: below 3, notify: n}", "7:46", "w"),
        ("- {name: a, query: SELECT v FROM t, key: w, condition: v > 3, notify: n}", "", "no column \"w\", which key names"),
        ("- {name: a, query: SELECT k FROM t, time: k, condition: k > 'a', notify: n}", "", "which is no time"),
        ("- {name: a, query: SELECT v FROM t, condition: v + 1, notify: n}", "", "not true or false"),
    ])
    func laterMistakes(text: String, place: String, says: String) throws {
        let topology = try Jobs.topology(Self.head + "  " + text)
        do {
            _ = try Jobs.graph(topology)
            Issue.record("\(text) is taken")
        } catch let error as StreamError {
            #expect("\(error)".contains(says) && error.location?.line == 7 && (place.isEmpty || "\(error.location!.line):\(error.location!.column)" == place), "\(text): \(error)")
        }
    }

    @Test("notifications: mistakes in addresses, templates and secrets", arguments: [
        ("webhook: {url: ftp://x}", "no HTTP address"), ("webhook: {url: \"http://{{ row.host }}/x\"}", "placeholders after the host only"), ("webhook: {url: \"http://a/{{ vlaue }}\"}", "\"value\""),
        ("webhook: {url: \"http://a/\", headers: {X: \"{{ secret.k }}\"}}", "no secret \"k\""), ("webhook: {url: \"http://a/\", headers: {Host: b}}", "follows from the request"),
        ("webhook: {url: \"http://a/\", body: {a: [\"{{ state\"]}}", "has no \"}}\""), ("webhook: {url: \"http://a/\", timeout: 2 min}", "at most 30 s"),
        ("webhook: {url: \"{{ row.url }}\"}", "no HTTP address"), ("webhook: {url: \"http://user:pw@host/\"}", "no HTTP address"),
        ("email: {host: h, from: a@b, to: x, tls: none}", "no mail address"), ("email: {host: h, from: a@b, to: c@d, password: hunter2}", "stands in the file"),
        ("email: {host: h, from: a@b, to: c@d, user: u}", "a user but no password"), ("email: {host: h, from: a@b, to: c@d, tls: ssl}", "tls is ssl"),
        ("command: {run: [\"{{ rule }}\"]}", "the program is a placeholder"), ("pager: {}", "unknown key"), ("{}", "no kind"),
    ])
    func receivers(text: String, says: String) throws {
        #expect { try Jobs.topology("notifications:\n  n: {\(text)}\npipeline: [{sql: SELECT 1}]".replacing("{{}}", with: "{}")) } throws: {
            let error = $0 as? StreamError
            return "\($0)".contains(says) && error?.location?.line == 2 && !"\(error?.problem ?? "")\(error?.fix ?? "")".contains("hunter2")
        }
    }

    @Test("the shipped topology tells of warnings and of sensors that stay hot")
    func shipped() throws {
        let folder = try Folder(), file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Topologies/alerts.yaml")
        var lines: [String] = []
        for second in 0..<180 {
            let time = "2024-05-04T10:0\(second / 60):\(second % 60 < 10 ? "0" : "")\(second % 60)"
            let isHot = (60..<80).contains(second), isWarning = second >= 60 && second < 120 && second % 8 == 0
            lines.append("{\"sensor_id\":1,\"current_temperature\":\(isHot ? 95 : 40),\"status\":\"\(isWarning ? "WARNING" : "OK")\",\"event_time\":\"\(time)\"}")
        }
        try folder.write("readings.json", lines.joined(separator: "\n") + "\n")
        var text = try String(contentsOf: file, encoding: .utf8)
        let from = try #require(text.range(of: "      connector: kinesis")), to = try #require(text.range(of: "      format: json"))
        text.replaceSubrange(from.lowerBound..<to.lowerBound, with: "      connector: filesystem\n      path: \(folder.path)/readings.json\n")
        let topology = try Topology.parse(yaml: text.replacing("settings:\n", with: "settings:\n  alerts.database: \(folder.database)\n"), file: "alerts.yaml", variables: ["LOG": folder.path + "/alerts.log"])
        try Jobs.run(topology)
        let log = try String(contentsOfFile: folder.path + "/alerts.log", encoding: .utf8).split(separator: "\n").map { try JSONValue(json: String($0)) }
        func found(_ rule: String) -> [String] { log.filter { $0["rule"] == .string(rule) }.map { "\($0["state"]!.text) \($0["at"]!.text) \($0["value"]!.text)" } }
        #expect(found("many-warnings") == [#""firing" "2024-05-04T10:02:00.000Z" 7"#])
        #expect(found("hot-sensor") == [#""firing" "2024-05-04T10:01:10.000Z" 95"#, #""resolved" "2024-05-04T10:01:20.000Z" 40"#])
    }
}
