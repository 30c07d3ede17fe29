import Foundation
import HTTPServer
import StreamCore

/// A request to a route, its path taken apart.
struct APIRequest: Sendable {
    var http: HTTPRequest
    var caller: Access.Caller
    /// By the names in the route's path, decoded.
    var path: [String: String]
    var query: [String: String]

    func parameter(_ name: String) -> String { path[name] ?? "" }

    func flag(_ name: String) throws -> Bool {
        guard let text = query[name] else { return false }
        switch text.lowercased() {
        case "true", "1", "": return true
        case "false", "0": return false
        default: throw StreamError(.validate, "the parameter \(name) is '\(text)'", fix: "give true or false")
        }
    }

    func number(_ name: String, default fallback: Int? = nil, in range: ClosedRange<Int>) throws -> Int {
        guard let text = query[name] else {
            if let fallback { return fallback }
            throw StreamError(.validate, "the parameter \(name) is missing", fix: "give a number from \(range.lowerBound) to \(range.upperBound)")
        }
        guard let n = Int(text), range.contains(n) else {
            throw StreamError(.validate, "the parameter \(name) is '\(text)'", fix: "give a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return n
    }

    /// The body as a JSON object; an empty body is an empty one.
    func body() throws -> JSON {
        if http.body.isEmpty { return .object([]) }
        let body: JSON
        do { body = try JSON.parse(http.body, "the body") } catch let error as StreamError { throw StreamError(.validate, error.problem, fix: "send a JSON object") }
        guard body.members != nil else { throw StreamError(.validate, "the body is no JSON object", fix: "send a JSON object") }
        return body
    }
}

/// One operation of the API, with what its description says of it.
struct Route: Sendable {
    struct Parameter: Sendable {
        enum Place: String, Sendable { case path, query }
        enum Kind: Sendable { case string, flag, number(ClosedRange<Int>), choice([String]) }
        var name: String
        var place: Place
        var kind = Kind.string
        var isRequired = false
        var text: String
    }

    enum Content: String, Sendable {
        case json = "application/json", text = "text/plain", events = "text/event-stream", metrics = "text/plain; version=0.0.4", any = "application/octet-stream"
    }

    var method: String
    /// `/v1/jobs/{jid}`
    var path: String
    var summary: String
    var role: Role?
    var parameters: [Parameter] = []
    /// A JSON Schema of the body, or text; nil = none.
    var body: JSON?
    var bodyIsText = false
    var answer = Content.json
    var status = 200
    var handler: @Sendable (APIRequest) throws -> HTTPResponse

    var segments: [Substring] { path.split(separator: "/") }

    /// Values of the names in the path; nil when the path is another one.
    func match(_ parts: [String]) -> [String: String]? {
        let segments = segments
        guard segments.count == parts.count else { return nil }
        var out: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            if segment.hasPrefix("{") { out[String(segment.dropFirst().dropLast())] = part } else if segment != part { return nil }
        }
        return out
    }
}

extension HTTPResponse {
    static func json(_ value: JSON) -> HTTPResponse { json(200, value) }

    static func json(_ status: Int, _ value: JSON) -> HTTPResponse {
        HTTPResponse(status, headers: [("Content-Type", "application/json; charset=utf-8")], body: Array(value.text().utf8))
    }

    /// As Flink answers what went wrong.
    static func failure(_ status: Int, _ message: String) -> HTTPResponse {
        .json(status, .object([.init("errors", .array([.string(message)]))]))
    }
}
