import Foundation
import StreamCore
import StreamTesting
import Testing

/// Flow-log records of which some the index refuses: the good ones are found by a search, the others are in the backup.
@Suite("flow logs in an index") struct FlowLogTests {
    @Test("scenario 25: counts, percentage of rejected traffic, top talkers, failed data only in the backup")
    func flowLogs() throws {
        let server = try SearchServer()
        try server.plan(["integer": ["bytes"]])
        var random = SeededRandom(25)
        try FileManager.default.createDirectory(atPath: server.directory + "/in", withIntermediateDirectories: true)
        var text = "", accepted = 0, rejected = 0, bad = 0
        var bytesBySource: [String: Int] = [:]
        for i in 0..<3_000 {
            let source = "10.0.0.\(Int.random(in: 1...9, using: &random))", target = "10.0.1.\(Int.random(in: 1...4, using: &random))"
            let isRejected = Int.random(in: 0..<4, using: &random) == 0, bytes = Int.random(in: 40...1_500, using: &random)
            // Intervals without data have dashes for numbers.
            let hasData = i % 50 != 7
            text += "2,123456789010,eni-0a1b2c3d,\(source),\(target),443,49152,6,10,\(hasData ? "\(bytes)" : "-"),1418530010,1418530070,\(isRejected ? "REJECT" : "ACCEPT"),\(hasData ? "OK" : "NODATA")\n"
            guard hasData else { bad += 1; continue }
            if isRejected { rejected += 1 } else { accepted += 1 }
            bytesBySource[source, default: 0] += bytes
        }
        try text.write(toFile: server.directory + "/in/flow.csv", atomically: true, encoding: .utf8)
        let columns = """
            version INT, account_id STRING, interface_id STRING, srcaddr STRING, dstaddr STRING, srcport INT, dstport INT, protocol INT,
            packets INT, `bytes` STRING, `start` BIGINT, `end` BIGINT, action STRING, log_status STRING
            """
        try server.run("""
            CREATE TABLE flow (\(columns)) WITH ('connector' = 'filesystem', 'path' = '\(server.directory)/in', 'format' = 'csv');
            CREATE TABLE indexed (\(columns)) WITH ('connector' = 'opensearch', 'hosts' = '\(server.address)', 'index' = 'vpc-flow-logs',
                'sink.bulk-flush.max-actions' = '500', 'sink.backup.path' = '\(server.directory)/backup', 'sink.backup.mode' = 'failed');
            INSERT INTO indexed SELECT * FROM flow;
            """)
        #expect(try server.count("vpc-flow-logs") == accepted + rejected)
        let answer = try #require(try server.ask("/vpc-flow-logs/_search", [
            "query": ["match_all": [String: String]()], "size": 1,
            "aggs": ["actions": ["terms": ["field": "action"]], "talkers": ["terms": ["field": "srcaddr"], "aggs": ["documents": ["terms": ["field": "dstaddr"]]]]],
        ]) as? [String: Any])
        let hits = try #require(answer["hits"] as? [String: Any])
        #expect((hits["total"] as? [String: Any])?["value"] as? Int == accepted + rejected)
        func buckets(_ name: String) -> [String: Int] {
            let all = ((answer["aggregations"] as? [String: Any])?[name] as? [String: Any])?["buckets"] as? [[String: Any]] ?? []
            return Dictionary(uniqueKeysWithValues: all.map { ($0["key"] as! String, $0["doc_count"] as! Int) })
        }
        #expect(buckets("actions") == ["ACCEPT": accepted, "REJECT": rejected])
        #expect(Set(buckets("talkers").keys) == Set(bytesBySource.keys))
        let found = try server.documents("vpc-flow-logs").values
        var seen: [String: Int] = [:]
        for document in found { seen[document["srcaddr"] as! String, default: 0] += Int(document["bytes"] as! String)! }
        #expect(seen == bytesBySource)
        var copy = server.directory
        copy += "/backup"
        let lines = try FileManager.default.contentsOfDirectory(atPath: copy).flatMap { try String(contentsOfFile: copy + "/" + $0, encoding: .utf8).split(separator: "\n").map(String.init) }
        #expect(lines.count == bad && lines.allSatisfy { $0.contains("\"bytes\":\"-\"") && $0.contains("mapper_parsing_exception") })
    }
}
