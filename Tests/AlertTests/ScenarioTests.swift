import Alerts
import Foundation
import StreamCore
import TestScripts
import Testing
import Topology

/// Scenario 29, from topology files to what receivers got.
@Suite("scenario 29: throttled and routed alerts") struct ScenarioTests {
    /// A day of new monthly revenue, every quarter of an hour: five times it is below 300,000 for a while.
    static func day() -> String {
        (0..<96).map { quarter in
            let isLow = [8..<10, 24..<25, 40..<43, 60..<61, 80..<82].contains { $0.contains(quarter) }
            let hour = quarter / 4, minute = quarter % 4 * 15, value = isLow ? 299_000 - quarter * 100 : 301_000 + quarter * 37
            return "{\"updated\":\"2024-05-04 \(hour < 10 ? "0" : "")\(hour):\(minute < 10 ? "0" : "")\(minute):00\",\"revenue\":\(value)}"
        }.joined(separator: "\n") + "\n"
    }

    static func topology(_ folder: Folder, _ receiver: Receiver, throttle: [String], more: String = "") -> String {
        """
        name: revenue
        settings:
          alerts.database: \(folder.database)
        tables:
          revenue:
            columns: {updated: TIMESTAMP(3), revenue: "DECIMAL(18, 2)"}
            watermark: {column: updated, delay: 1 s}
            with: {connector: filesystem, path: \(folder.path)/day.json, format: json}
        notifications:
          hook:
            webhook:
              url: \(receiver.url)/hook
          mail:
            email: {host: 127.0.0.1, port: \(receiver.port("smtp")), tls: none, from: alerts@example.com, to: [cfo@example.com]}
        alerts:
        """ + throttle.enumerated().map { i, throttle in
            """

              - name: below-goal-\(i)
                query: SELECT updated, revenue FROM revenue
                time: updated
                value: revenue
                condition: below 300,000
                throttle: \(throttle)
                notify: \(i == 0 ? "hook" : "[hook, mail]")
            \(more)
            """
        }.joined()
    }

    @Test("five dips below 300,000 in a day notify five times as frequently as possible, and once weekly at most")
    func throttles() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        try folder.write("day.json", Self.day())
        let topology = try Jobs.topology(Self.topology(folder, receiver, throttle: ["as frequently as possible", "weekly at most", "hourly", "daily"]))
        #expect(topology.alerts.map(\.throttle) == [.asFrequentlyAsPossible, .weekly, .hourly, .daily])
        try Jobs.run(topology)
        let history = try AlertHistory(path: folder.database)
        func kinds(_ rule: Int) throws -> [String] { try history.entries(topology: "revenue", rule: "below-goal-\(rule)").map(\.kind).reversed() }
        func count(_ rule: Int, _ kind: String) throws -> Int { try kinds(rule).count { $0 == kind } }
        try eventually("deliveries") { try history.rules().allSatisfy { $0.waiting == 0 } }
        for rule in 0..<4 { #expect(try count(rule, "firing") == 5 && count(rule, "resolved") == 5) }
        let hooks = try receiver.received("http", path: "/hook").map { try JSONSerialization.jsonObject(with: Data(($0["body"] as! String).utf8)) as! [String: Any] }
        func hooked(_ rule: Int) -> [[String: Any]] { hooks.filter { $0["rule"] as? String == "below-goal-\(rule)" } }
        #expect(hooked(0).count == 5 && hooked(1).count == 1 && hooked(2).count == 5 && hooked(3).count == 1)
        #expect(hooked(0).map { $0["at"] as! String } == ["02:00", "06:00", "10:00", "15:00", "20:00"].map { "2024-05-04T\($0):00.000Z" })
        #expect(hooked(0).first?["value"] as? Double == 298_200 && hooked(1).first?["at"] as? String == "2024-05-04T02:00:00.000Z")
        let mails = try receiver.received("mail")
        #expect(mails.count == 1 + 5 + 1)
        #expect(mails.allSatisfy { ($0["defects"] as! [String]).isEmpty && $0["to"] as! [String] == ["cfo@example.com"] })
        #expect(mails.contains { $0["subject"] as? String == "[firing] below-goal-1: 298200.00" || $0["subject"] as? String == "[firing] below-goal-1: 298200" })
        #expect(try count(0, "notified") == 5 && count(0, "suppressed") == 0 && count(1, "notified") == 2 && count(1, "suppressed") == 4)
        #expect(try history.rules(topology: "revenue").map(\.state) == ["inactive", "inactive", "inactive", "inactive"])
    }

    @Test("high-severity events of the relational database reach both teams, others the default team or nobody")
    func routes() throws {
        let folder = try Folder(), receiver = try Receiver(folder)
        defer { receiver.end() }
        func insight(_ severity: String, _ namespaces: [String], type: String = "DevOps Guru New Insight Open") -> String {
            let anomalies = namespaces.map { "{\"sourceDetails\":[{\"dataIdentifiers\":{\"namespace\":\"\($0)\"}}]}" }.joined(separator: ",")
            return "{\"source\":\"aws.devops-guru\",\"detail-type\":\"\(type)\",\"detail\":{\"insightSeverity\":\"\(severity)\",\"anomalies\":[\(anomalies)]}}"
        }
        try folder.write("events.json", [
            insight("high", ["AWS/RDS"]), insight("high", ["AWS/Lambda", "AWS/RDS"]), insight("high", ["AWS/Lambda"]), insight("low", ["AWS/RDS"]),
            insight("high", ["AWS/RDS"], type: "DevOps Guru Insight Closed"),
        ].joined(separator: "\n") + "\n")
        let topology = try Jobs.topology("""
            name: insights
            settings: {alerts.database: "\(folder.database)"}
            tables:
              events:
                columns: {source: STRING, detail-type: STRING, detail: VARIANT}
                with: {connector: filesystem, path: "\(folder.path)/events.json", format: json}
            notifications:
              AIOps_Team: {webhook: {url: "\(receiver.url)/aiops", headers: {Authorization: "GenieKey {{ secret.key }}"}, secrets: {key: {env: ALERT_TEST_GENIE}},
                body: {message: "{{ row.detail.insightSeverity }} insight", alias: "{{ id }}", source: "{{ row.source }}", details: "{{ row.detail }}"}}}
              DBAOps_Team: {webhook: {url: "\(receiver.url)/dba"}}
            alerts:
              - name: insight
                query: SELECT source, `detail-type`, detail FROM events
                route:
                  - pattern: {source: [aws.devops-guru], detail-type: [DevOps Guru New Insight Open], detail: {insightSeverity: [high]}}
                    notify: AIOps_Team
                  - pattern: '{"source": ["aws.devops-guru"], "detail-type": ["DevOps Guru New Insight Open"],
                              "detail": {"insightSeverity": ["high"], "anomalies": {"sourceDetails": {"dataIdentifiers": {"namespace": ["AWS/RDS"]}}}}}'
                    notify: DBAOps_Team
            """)
        setting("ALERT_TEST_GENIE", "genie-0123456789")
        try Jobs.run(topology)
        let history = try AlertHistory(path: folder.database)
        try eventually("deliveries") { try history.rules().allSatisfy { $0.waiting == 0 } }
        let aiops = try receiver.received("http", path: "/aiops"), dba = try receiver.received("http", path: "/dba")
        #expect(aiops.count == 3 && dba.count == 2)
        #expect(Set(dba.map { $0["id"] as! String }).isSubset(of: Set(aiops.map { $0["id"] as! String })))
        #expect(aiops.allSatisfy { ($0["headers"] as! [String: String])["Authorization"] == "GenieKey genie-0123456789" })
        let body = try #require(try JSONSerialization.jsonObject(with: Data((aiops[0]["body"] as! String).utf8)) as? [String: Any])
        #expect(body["message"] as? String == "high insight" && (body["details"] as? [String: Any])?["insightSeverity"] as? String == "high" && body["alias"] as? String == aiops[0]["id"] as? String)
        let entries = try history.entries(topology: "insights", rule: "insight")
        #expect(entries.count { $0.kind == "firing" } == 5 && entries.count { $0.kind == "notified" } == 5 && entries.count { $0.kind == "suppressed" } == 2)
        #expect(entries.contains { $0.text?.contains("no route takes it") == true })
        // Nothing that is stored holds the secret.
        for name in try FileManager.default.contentsOfDirectory(atPath: folder.path + "/service") {
            let bytes = try Data(contentsOf: URL(filePath: folder.path + "/service/" + name))
            #expect(bytes.range(of: Data("genie-0123456789".utf8)) == nil, "\(name)")
        }
    }
}
