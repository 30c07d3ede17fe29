import Foundation
import HTTPServer
import StreamCore
import Synchronization

/// Sends requests to one of Flink's REST endpoints, and again where that does no harm.
struct FlinkEndpoint: Sendable {
    /// "SQL gateway" or "JobManager".
    let name: String
    let origin: HTTPOrigin
    var options: FlinkClientOptions
    /// What to do when nobody answers.
    let remedy: String
    private let authorization: String?

    init(_ name: String, _ url: String, remedy: String, example: String, _ options: FlinkClientOptions) throws {
        guard let origin = HTTPOrigin(url, certificate: options.certificate) else {
            throw StreamError(.validate, "'\(url)' is no URL of a Flink \(name)", fix: "write for example \(example)")
        }
        authorization = options.token.map { "Bearer \($0)" } ?? origin.user.map { "Basic " + Data("\($0.name):\($0.password)".utf8).base64EncodedString() }
        if authorization != nil, !origin.isPrivate {
            throw StreamError(.validate, "a \(options.token == nil ? "password" : "token") is not sent to \(origin) in the clear", fix: "use https://")
        }
        (self.name, self.origin, self.remedy, self.options) = (name, origin, remedy, options)
    }

    /// What the endpoint says is wrong.
    struct Refusal: Error {
        var status: Int
        /// As it came: one or more messages, most of them Java stack traces.
        var text: String
        var cause: FlinkTrace { FlinkTrace(text) }
    }

    /// Who is asked for the answer to a request that nobody can say the fate of.
    struct Unknown: Error { var problem: String }

    /// - Parameters:
    ///   - target: path and query below the URL, encoded.
    ///   - isRepeatable: whether it may be carried out twice. One that may not is only sent again when no connection was made.
    ///   - deadline: nil = that of the options. A request that is begun has a second at least: callers look at the deadline between requests.
    /// - Returns: the answer; `.null` when it is empty.
    /// - Throws: ``Refusal``; ``Unknown`` when a request that may not be repeated was sent and not answered; `.io` when nobody answers; `CancellationError`.
    func send(_ method: String, _ target: String, _ body: JSON? = nil, isRepeatable: Bool, deadline: Deadline? = nil) throws -> JSON {
        let end = deadline ?? options.deadline
        var headers = [("User-Agent", options.userAgent), ("Accept", "application/json")]
        if let authorization { headers.append(("Authorization", authorization)) }
        if body != nil { headers.append(("Content-Type", "application/json")) }
        let bytes = body.map { Array($0.text().utf8) } ?? []
        var pause = options.pauseSeconds, attempt = 0
        while true {
            if deadline == nil, options.isCancelled() { throw CancellationError() }
            let problem: String
            do {
                let answer = Mutex([UInt8]())
                let exchange = HTTPExchange(origin, method, target, headers: headers, body: bytes, seconds: max(1, min(options.requestSeconds, end.left)))
                let status = try exchange.run { _, part in answer.withLock { $0 += part } }
                let taken = answer.withLock { $0 }
                guard status >= 300 else { return taken.isEmpty ? .null : try JSON.parse(taken, "an answer of the \(name) at \(origin)") }
                let refusal = Refusal(status: status, text: Self.text(of: taken, status))
                // These are answers of a proxy, or of a Flink whose leader is being elected: nothing was carried out that could be seen.
                guard isRepeatable, [429, 502, 503, 504].contains(status), attempt < options.retriesMax, !end.hasPassed else { throw refusal }
                problem = "status \(status), \(refusal.cause.message)"
            } catch let failure as HTTPExchange.Failure {
                guard isRepeatable || failure.kind == .notConnected else { throw Unknown(problem: failure.description) }
                guard attempt < options.retriesMax, !end.hasPassed else {
                    throw StreamError(.io, "no Flink \(name) answers at \(origin): \(failure)", fix: remedy)
                }
                problem = failure.description
            }
            attempt += 1
            if attempt == 1 { options.report("the \(name) at \(origin) does not answer (\(problem)), trying again") }
            options.pause(pause)
            pause = min(5, pause * 2)
        }
    }

    func get(_ target: String) throws -> JSON { try send("GET", target, isRepeatable: true) }

    /// An error in Flink's words.
    func error(_ refusal: Refusal, _ what: String? = nil, code: StreamError.Code? = nil, fix: String? = nil, at location: SourceLocation? = nil) -> StreamError {
        let trace = refusal.cause
        var problem = (what.map { "\($0): " } ?? "") + trace.message
        if options.showsTraces, trace.isTrace { problem += "\n" + refusal.text }
        let isForbidden = refusal.status == 401 || refusal.status == 403
        if isForbidden { problem = "the \(name) at \(origin) refuses access (status \(refusal.status)): \(trace.message)" }
        return StreamError(code ?? (refusal.status < 500 ? .validate : .runtime), problem,
                           fix: isForbidden ? "set FLINK_TOKEN, or write https://USER:PASSWORD@HOST into the URL" : fix ?? trace.fix, at: location)
    }

    private static func text(of answer: [UInt8], _ status: Int) -> String {
        let parsed = try? JSON.parse(answer, "an answer")
        let texts = parsed?["errors"]?.array?.compactMap(\.string) ?? []
        if !texts.isEmpty { return texts.joined(separator: "\n") }
        // A proxy answers with a page of its own.
        let plain = String(decoding: answer.prefix(300), as: UTF8.self).split(whereSeparator: \.isNewline).joined(separator: " ")
        return plain.isEmpty || plain.hasPrefix("<") ? "status \(status)" : plain
    }
}
