import HTTPServer
import StreamCore
import Synchronization

/// Sends requests to a daemon, one connection for each.
struct ServiceClient {
    private let origin: HTTPOrigin
    private let token: String?

    init(url: String, token: String?, certificate: String?) throws {
        guard let origin = HTTPOrigin(url, certificate: certificate) else {
            throw StreamError(.validate, "'\(url)' is no URL of a daemon", fix: "write for example http://127.0.0.1:8081")
        }
        (self.origin, self.token) = (origin, token)
        if token != nil, !origin.isPrivate { throw StreamError(.validate, "a token is not sent to \(url) in the clear", fix: "use https://") }
    }

    /// - Returns: the answer, which is JSON.
    /// - Throws: what the daemon says is wrong; `.io` when it does not answer.
    func send(_ method: String, _ path: [String], query: [(String, String)] = [], body: [UInt8] = [], type: String = "application/json", seconds: Double = 60) throws -> JSON {
        let bytes = Mutex([UInt8]())
        try exchange(method, path, query, body, type, seconds: seconds) { part in bytes.withLock { $0 += part } }
        return try JSON.parse(bytes.withLock { $0 }, "the daemon's answer")
    }

    /// Hands on a long answer as it comes.
    func stream(_ path: [String], query: [(String, String)], _ take: @escaping @Sendable (String) -> Void) throws {
        try exchange("GET", path, query, [], "application/json", seconds: nil) { take(String(decoding: $0, as: UTF8.self)) }
    }

    private func exchange(_ method: String, _ path: [String], _ query: [(String, String)], _ body: [UInt8], _ type: String, seconds: Double?,
                          _ take: @escaping @Sendable ([UInt8]) -> Void) throws {
        var headers = [("User-Agent", "swiftwater/\(swiftwaterVersion)")]
        if let token { headers.append(("Authorization", "Bearer \(token)")) }
        if method != "GET" { headers.append(("Content-Type", type)) }
        let target = "/" + path.map(HTTPOrigin.encoded).joined(separator: "/") + HTTPOrigin.query(query)
        let problem = Mutex([UInt8]()), status: Int
        do {
            status = try HTTPExchange(origin, method, target, headers: headers, body: body, seconds: seconds).run { status, part in
                if status < 300 { take(part) } else { problem.withLock { if $0.count < 1 << 20 { $0 += part } } }
            }
        } catch let failure as HTTPExchange.Failure where failure.kind == .late {
            throw StreamError(.io, "the daemon has not answered within \(Int(seconds ?? 0)) s", fix: "look at its own output")
        } catch {
            throw StreamError(.io, "no daemon answers at \(origin): \(error)", fix: "start one with swiftwater serve --listen, or name it with --url")
        }
        guard status >= 300 else { return }
        let texts = (try? JSON.parse(problem.withLock { $0 }, "an answer"))?["errors"]?.array?.compactMap(\.string) ?? []
        let text = texts.isEmpty ? "the daemon answers with status \(status)" : texts.joined(separator: "; ")
        throw StreamError(status == 409 ? .conflict : status < 500 ? .validate : .runtime, text, fix: status == 401 ? "set SWIFTWATER_TOKEN, or give --token-file" : nil)
    }
}
