import Foundation
import HTTPServer
import StreamCore
import ViewConnector

/// Views over HTTP.
///
///     GET <prefix>                           {"views": [...]}
///     GET <prefix>/<name>?limit=&after=      {"name", "rows": [{"version", "key", "row"}], "next"}
///     GET <prefix>/<name>/<key>              {"version", "key", "row"}, with an ETag
///     GET <prefix>/<name>/changes?key=       server-sent events: `change` with a row, whose null means that it is gone, and `reset`:
///                                            what is known counts no more, the newest rows follow
///
/// A key of several columns has commas between them; within a column everything but letters, digits and `-._~:@` is percent-encoded.
/// The row with the key `changes` is at `%63hanges`. What fails is `{"errors": ["..."]}`.
public struct ViewHTTP: Sendable {
    private let reader: any ViewReader
    private let prefix: String
    private let keepAlive: Int

    /// - Parameter keepAlive: milliseconds between comments in a stream of changes to which nothing happens.
    public init(_ reader: any ViewReader, prefix: String = "/v1/views", keepAlive: Int = 15_000) {
        (self.reader, self.prefix, self.keepAlive) = (reader, prefix, keepAlive)
    }

    /// nil when the request is for something else.
    public func answer(_ request: HTTPRequest) -> HTTPResponse? {
        let path = request.path
        guard path == prefix || path.hasPrefix(prefix + "/") else { return nil }
        guard request.method == "GET" || request.method == "HEAD" else {
            return Self.failure(ViewError(405, "views are read with GET, not \(ViewError.shown(request.method))"), [("Allow", "GET, HEAD")])
        }
        do {
            var parts = path.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
            if parts.last == "" { parts.removeLast() }
            switch parts.count {
            case 0:
                _ = try Query(request.query, allowed: [])
                return Self.json(ViewLines.json(ViewLines.ListLine(views: try reader.list())))
            case 1: return try page(try Self.name(parts[0]), try Query(request.query, allowed: ["limit", "after"]))
            case 2 where parts[1] == "changes": return try changes(try Self.name(parts[0]), request)
            case 2: return try row(try Self.name(parts[0]), parts[1], request)
            default: throw ViewError(404, "there is nothing at \(ViewError.shown(path))", fix: "write a / inside of a key as %2F")
            }
        } catch {
            return Self.failure(ViewError(from: error))
        }
    }

    private static func name(_ part: String) throws -> String {
        guard let name = PercentCoding.decode(part) else { throw ViewError(400, "'\(ViewError.shown(part))' is not percent-encoded UTF-8", fix: "write a % as %25") }
        return name
    }

    // MARK: rows

    private func row(_ name: String, _ key: String, _ request: HTTPRequest) throws -> HTTPResponse {
        _ = try Query(request.query, allowed: [])
        guard let row = try reader.get(name, key: key) else {
            throw ViewError(404, "view \(ViewError.shown(name)) has no row with the key '\(ViewError.shown(key))'")
        }
        let tag = "\"\(row.version)\""
        let headers = [("ETag", tag), ("Cache-Control", "no-cache")]
        if let known = request.headers["If-None-Match"], Self.matches(known, tag) { return HTTPResponse(304, headers: headers) }
        return Self.json(ViewLines.line(row), headers)
    }

    private static func matches(_ known: String, _ tag: String) -> Bool {
        known.split(separator: ",").contains { one in
            let one = one.trimmingCharacters(in: .whitespaces)
            return one == "*" || one == tag || one == "W/" + tag
        }
    }

    private func page(_ name: String, _ query: Query) throws -> HTTPResponse {
        var limit = ViewLimits.defaultPage
        if let text = query["limit"] {
            guard let number = Int(text), (1...ViewLimits.page).contains(number) else {
                throw ViewError(400, "limit '\(ViewError.shown(text))' is not a number from 1 to \(ViewLimits.page)", fix: "ask for more pages with after=")
            }
            limit = number
        }
        let page = try reader.scan(name, limit: limit, after: query["after"])
        var out = Array("{\"name\":".utf8) + ViewLines.json(name) + Array(",\"rows\":[".utf8)
        for (i, row) in page.rows.enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            ViewLines.append(row, to: &out)
        }
        out += "],\"next\":".utf8
        out += page.next.map { "\"\($0)\"" }?.utf8 ?? "null".utf8
        out.append(UInt8(ascii: "}"))
        return Self.json(out, [("Cache-Control", "no-store")])
    }

    // MARK: changes

    private func changes(_ name: String, _ request: HTTPRequest) throws -> HTTPResponse {
        let query = try Query(request.query, allowed: ["key", "since", "snapshot"])
        var since: Int64?
        if let text = query["since"] {
            guard let number = Int64(text) else { throw ViewError(400, "since '\(ViewError.shown(text))' is not the id of an event", fix: "give the id of the last event that is known") }
            since = number
        }
        // A browser sends what it was sent; an id that is none of ours is one that is not known any more.
        if let last = request.headers["Last-Event-ID"], !last.isEmpty { since = Int64(last) ?? -1 }
        let snapshot: Bool
        switch query["snapshot"] {
        case nil, "false": snapshot = false
        case "true": snapshot = true
        case let text?: throw ViewError(400, "snapshot '\(ViewError.shown(text))' is neither true nor false")
        }
        let headers = [("Content-Type", "text/event-stream; charset=utf-8"), ("Cache-Control", "no-store"), ("X-Accel-Buffering", "no")]
        if request.method == "HEAD" { return HTTPResponse(200, headers: headers) }
        let subscription = try reader.subscribe(name, key: query["key"], since: since, snapshot: snapshot)
        let keepAlive = keepAlive
        return HTTPResponse(200, headers: headers, stream: { writer in
            defer { subscription.close() }
            // An error from here on can only end the stream; the client comes back with the last id.
            try? Self.follow(subscription, writer, keepAlive: keepAlive)
        })
    }

    private static func follow(_ subscription: any ViewSubscription, _ writer: any HTTPBodyWriter, keepAlive: Int) throws {
        try writer.write(Array("retry: 1000\n\n".utf8))
        var spokenAt = Clock.monotonicNanoseconds()
        while !writer.isClosed {
            guard let events = try subscription.next(milliseconds: min(keepAlive, 1_000)) else { return }
            let now = Clock.monotonicNanoseconds()
            if events.isEmpty {
                guard now - spokenAt >= UInt64(keepAlive) * 1_000_000 else { continue }
                try writer.write(Array(": keep-alive\n\n".utf8))
            } else {
                var out: [UInt8] = []
                for event in events { append(event, to: &out) }
                try writer.write(out)
            }
            spokenAt = now
        }
    }

    private static func append(_ event: ViewEvent, to out: inout [UInt8]) {
        switch event {
        case .reset(let id): out += "event: reset\nid: \(id)\ndata: {}\n\n".utf8
        case .change(let id, let row):
            out += "event: change\nid: \(id)\ndata: ".utf8
            ViewLines.append(row, to: &out)
            out += "\n\n".utf8
        }
    }

    // MARK: answers

    private static func json(_ body: [UInt8], _ headers: [(String, String)] = []) -> HTTPResponse {
        HTTPResponse(200, headers: [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff")] + headers, body: body)
    }

    private static func failure(_ error: ViewError, _ headers: [(String, String)] = []) -> HTTPResponse {
        struct Body: Encodable { var errors: [String] }
        var headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")] + headers
        if error.status == 503 { headers.append(("Retry-After", "1")) }
        return HTTPResponse(error.status, headers: headers, body: ViewLines.json(Body(errors: ["\(error)"])))
    }

    /// The parameters behind the `?`.
    private struct Query {
        private var values: [String: String] = [:]

        init(_ text: String, allowed: Set<String>) throws {
            for part in text.split(separator: "&") {
                let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.replacingOccurrences(of: "+", with: " ") }
                guard let name = PercentCoding.decode(sides[0]), let value = PercentCoding.decode(sides.count > 1 ? sides[1] : "") else {
                    throw ViewError(400, "the query is not percent-encoded UTF-8", fix: "write a % as %25")
                }
                guard allowed.contains(name) else {
                    throw ViewError(400, "parameter '\(ViewError.shown(name))' is not known here", fix: NearName.hint(for: name, in: allowed) ?? "leave it out")
                }
                guard values.updateValue(value, forKey: name) == nil else { throw ViewError(400, "parameter '\(name)' is given twice", fix: "give it once") }
            }
        }

        subscript(name: String) -> String? { values[name] }
    }
}

extension ViewError {
    /// Text of others for a message.
    static func shown(_ text: String) -> String {
        String(text.unicodeScalars.prefix(80).map { $0.properties.generalCategory == .control ? "." : Character($0) }) + (text.unicodeScalars.count > 80 ? "..." : "")
    }
}
