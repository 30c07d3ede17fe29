import Alerts
import Foundation
import HTTPServer
import StreamCore
import struct StreamCore.Host
import StreamServer
import Synchronization

/// Alerts of all topologies under `/v1/alerts`. Jobs follow their rules by themselves; this reads what they keep.
enum DaemonAlerts {
    static func add(to rest: RestAPI, data: String) {
        let path = data + "/service/alerts.sqlite"
        let opened = Mutex<AlertHistory?>(nil)
        // The file is there once a topology has a rule.
        let history: @Sendable () throws -> AlertHistory? = {
            try opened.withLock { known in
                if known == nil, Host.exists(path) {
                    let history = try AlertHistory(path: path)
                    known = history
                    // What jobs left behind at their end is delivered from here.
                    AlertSender(history).start()
                }
                return known
            }
        }
        @Sendable func json(_ name: String, _ values: some Encodable & Sendable & SendableMetatype) throws -> HTTPResponse {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            return HTTPResponse(200, headers: [("Content-Type", "application/json; charset=utf-8")], body: Array("{\"\(name)\":".utf8) + [UInt8](try encoder.encode(values)) + Array("}".utf8))
        }
        @Sendable func rule(_ request: HTTPRequest) throws -> (history: AlertHistory, topology: String, rule: String) {
            let parts = request.path.split(separator: "/").map { String($0).removingPercentEncoding ?? "" }
            guard let history = try history(), parts.count >= 4, try !history.rules(topology: parts[2], rule: parts[3]).isEmpty else {
                throw StreamError(.validate, "there is no rule \(parts.dropFirst(2).prefix(2).joined(separator: "/"))", fix: "GET /v1/alerts lists them").notFound
            }
            return (history, parts[2], parts[3])
        }
        rest.add("GET", "/v1/alerts", summary: "Alert rules of all topologies, and what fires.", role: .view) { _ in try json("rules", try history()?.rules() ?? []) }
        rest.add("GET", "/v1/alerts/{topology}/{rule}/history", summary: "What a rule has done, the newest first.", role: .view) { request in
            let (history, topology, rule) = try rule(request)
            return try json("entries", try history.entries(topology: topology, rule: rule, limit: 500))
        }
        for (word, enables) in [("enable", true), ("disable", false)] {
            rest.add("POST", "/v1/alerts/{topology}/{rule}/\(word)", summary: "\(enables ? "Follow" : "Do not follow") a rule from now on.", role: .operate) { request in
                let (history, topology, rule) = try rule(request)
                try history.setEnabled(enables, topology: topology, rule: rule)
                return try json("rules", try history.rules(topology: topology, rule: rule))
            }
        }
    }
}
