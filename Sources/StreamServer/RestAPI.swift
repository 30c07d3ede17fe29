import Foundation
import HTTPServer
import StreamCore
import Synchronization

/// Answers HTTP requests about the daemon: who may ask, what is asked for, and how errors look.
package final class RestAPI: Sendable {
    package struct Options: Sendable {
        package var access = Access()
        package var version = ""
        /// Requests of one user, or of one address, per second; as many may come at once.
        package var requestsPerSecond = 500.0
        package var log: @Sendable (String) -> Void = { _ in }
        /// What the page in the browser consists of; nil = there is none.
        package var page: (@Sendable (HTTPRequest) -> HTTPResponse?)?
        /// The notebooks that the page shows; nil = none.
        package var studio: Studio?
        /// The process's own metrics and those of all jobs in Prometheus' text format.
        package var isSecure = false

        package init() {}
    }

    let service: Service
    let jobs: JobDirectory
    let options: Options
    private let limiter: RateLimiter
    let triggers = Triggers()
    private let streams = StreamCounter(each: 32)
    private let routes = Mutex([Route]())

    package init(_ service: Service, options: Options = Options()) {
        (self.service, self.options) = (service, options)
        jobs = JobDirectory(service)
        limiter = RateLimiter(perSecond: options.requestsPerSecond)
        let all = jobRoutes + flinkRoutes + topologyRoutes + dataRoutes + studioRoutes + daemonRoutes
        routes.withLock { $0 = all }
    }

    /// More of the API, from other parts of the program.
    package func add(_ method: String, _ path: String, summary: String, role: Role, parameters: [(name: String, text: String)] = [], isEvents: Bool = false,
                     answer: @escaping @Sendable (HTTPRequest) throws -> HTTPResponse) {
        let names = path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
        let declared = names.map { Route.Parameter(name: $0, place: .path, isRequired: true, text: $0) }
            + parameters.map { Route.Parameter(name: $0.name, place: .query, text: $0.text) }
        let route = Route(method: method, path: path, summary: summary, role: role, parameters: declared, answer: isEvents ? .events : .json) { try answer($0.http) }
        routes.withLock { $0.append(route) }
    }

    var allRoutes: [Route] { routes.withLock { $0 } }

    // MARK: Answering

    /// Answers a request's head, before its body is read; nil = go on.
    package func admit(_ request: HTTPRequest) -> HTTPResponse? {
        if let reason = options.access.refusal(request) { return secured(.failure(403, reason)) }
        let caller = options.access.caller(request)
        // Bodies take room: nobody without a token gets any.
        if caller == nil, !["GET", "HEAD"].contains(request.method) { return secured(unauthorized()) }
        guard limiter.take(caller.flatMap { options.access.hasTokens ? "user \($0.name)" : nil } ?? request.peer) else {
            var response = HTTPResponse.failure(429, "there are more than \(Int(options.requestsPerSecond)) requests a second; wait a moment")
            response.headers.append(("Retry-After", "1"))
            return secured(response)
        }
        return nil
    }

    package func answer(_ request: HTTPRequest) -> HTTPResponse {
        secured(route(request))
    }

    private func route(_ request: HTTPRequest) -> HTTPResponse {
        guard let parts = Self.parts(request.path) else { return .failure(400, "the path \(request.path.prefix(200)) is not well formed") }
        let routes = allRoutes
        let method = request.method == "HEAD" ? "GET" : request.method
        var matches: [(route: Route, path: [String: String])] = []
        for route in routes { if let path = route.match(parts) { matches.append((route, path)) } }
        // A name in the path gives way to the word itself.
        matches.sort { $0.path.count < $1.path.count }
        guard !matches.isEmpty else {
            if request.method == "GET" || request.method == "HEAD", let page = options.page?(request) { return page }
            return .failure(404, "there is nothing at \(request.path.prefix(200)); GET /openapi.json describes what there is")
        }
        guard let (route, path) = matches.first(where: { $0.route.method == method }) else {
            var response = HTTPResponse.failure(405, "\(request.method) is not for \(request.path.prefix(200))")
            response.headers.append(("Allow", Set(matches.map(\.route.method)).sorted().joined(separator: ", ")))
            return response
        }
        var caller = Access.Caller(name: "", role: .view)
        if let needed = route.role {
            guard let known = options.access.caller(request) else {
                return unauthorized()
            }
            guard known.role >= needed else {
                return audited(request, known, route, .failure(403, "\(known.name) has the role \(known.role.rawValue), and this needs \(needed.rawValue)"))
            }
            caller = known
        }
        guard let query = Self.query(request.query) else { return .failure(400, "the query is not well formed") }
        let response: HTTPResponse
        do {
            try check(route, query)
            response = try route.handler(APIRequest(http: request, caller: caller, path: path, query: query))
        } catch {
            response = failure(error, request)
        }
        return audited(request, caller, route, limited(response, by: options.access.hasTokens ? "user \(caller.name)" : request.peer))
    }

    /// Each answer that does not end holds a thread and a connection: one caller gets some of them, not all.
    private func limited(_ response: HTTPResponse, by caller: String) -> HTTPResponse {
        guard case .stream(let body) = response.body else { return response }
        guard let place = streams.take(caller) else {
            return .failure(429, "\(streams.each) answers that go on are open for \(caller == "" ? "this address" : caller) already; close one of them")
        }
        var response = response
        // The place is given back when the answer has gone, also one that is never begun.
        response.body = .stream { writer in withExtendedLifetime(place) { body(writer) } }
        return response
    }

    private func unauthorized() -> HTTPResponse {
        var response = HTTPResponse.failure(401, "a token is needed: send the header Authorization: Bearer TOKEN")
        response.headers.append(("WWW-Authenticate", "Bearer realm=\"swiftwater\""))
        return response
    }

    private func check(_ route: Route, _ query: [String: String]) throws {
        let known = route.parameters.filter { $0.place == .query }
        for name in query.keys where !known.contains(where: { $0.name == name }) {
            throw StreamError(.validate, "there is no parameter '\(name.prefix(100))' of \(route.method) \(route.path)",
                              fix: NearName.hint(for: name, in: known.map(\.name)) ?? "leave it out")
        }
        for parameter in known {
            guard let value = query[parameter.name] else {
                if parameter.isRequired { throw StreamError(.validate, "the parameter \(parameter.name) is missing", fix: parameter.text) }
                continue
            }
            switch parameter.kind {
            case .string: break
            case .flag: guard ["true", "false", "1", "0", ""].contains(value.lowercased()) else {
                throw StreamError(.validate, "the parameter \(parameter.name) is '\(value.prefix(100))'", fix: "give true or false")
            }
            case .number(let range): guard let n = Int(value), range.contains(n) else {
                throw StreamError(.validate, "the parameter \(parameter.name) is '\(value.prefix(100))'", fix: "give a number from \(range.lowerBound) to \(range.upperBound)")
            }
            case .choice(let choices): guard choices.contains(value) else {
                throw StreamError(.validate, "the parameter \(parameter.name) is '\(value.prefix(100))'", fix: "give \(choices.joined(separator: " or "))")
            }
            }
        }
    }

    private func failure(_ error: any Error, _ request: HTTPRequest) -> HTTPResponse {
        guard let error = error as? StreamError else {
            options.log("error: \(request.method) \(request.path): \(error)")
            return .failure(500, "\(error)")
        }
        if error.isNotFound { return .failure(404, error.description) }
        switch error.code {
        case .parse, .validate, .plan: return .failure(400, error.description)
        case .conflict: return .failure(409, error.description)
        default:
            options.log("error: \(request.method) \(request.path): \(error)")
            return .failure(500, error.description)
        }
    }

    private func audited(_ request: HTTPRequest, _ caller: Access.Caller, _ route: Route, _ response: HTTPResponse) -> HTTPResponse {
        guard !["GET", "HEAD"].contains(request.method), route.role != nil, route.role != .view || response.status == 403, response.status != 404 else { return response }
        let entry = AuditEntry(at: Clock.milliseconds(), who: caller.name, peer: request.peer, action: "\(route.method) \(route.path)",
                               target: String(request.path.prefix(500)), status: response.status)
        do { try service.store.note(entry) } catch { options.log("error: an entry of the audit log is not kept: \(error)") }
        return response
    }

    /// Headers that keep browsers from doing what no page of ours asks for.
    private func secured(_ response: HTTPResponse) -> HTTPResponse {
        var response = response
        func set(_ name: String, _ value: String) {
            if !response.headers.contains(where: { $0.0.lowercased() == name.lowercased() }) { response.headers.append((name, value)) }
        }
        set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'")
        set("X-Content-Type-Options", "nosniff")
        set("X-Frame-Options", "DENY")
        set("Referrer-Policy", "no-referrer")
        set("Cross-Origin-Opener-Policy", "same-origin")
        set("Cross-Origin-Resource-Policy", "same-origin")
        set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        set("Cache-Control", "no-store")
        if options.isSecure { set("Strict-Transport-Security", "max-age=31536000") }
        return response
    }

    /// The parts of a path, decoded; nil when it is not well formed, or tries to leave.
    static func parts(_ path: String) -> [String]? {
        var out: [String] = []
        for part in path.split(separator: "/") {
            guard let text = String(part).removingPercentEncoding, !text.contains("\0"), text != "..", text != "." else { return nil }
            out.append(text)
        }
        return out
    }

    static func query(_ text: String) -> [String: String]? {
        var out: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.replacingOccurrences(of: "+", with: " ").removingPercentEncoding }
            guard let name = halves[0], !name.isEmpty, out[name] == nil else { return nil }
            guard halves.count == 2 else {
                out[name] = ""
                continue
            }
            guard let value = halves[1], !value.contains("\0") else { return nil }
            out[name] = value
        }
        return out
    }
}

/// Counts the answers under way that go on until their reader leaves, for each caller.
final class StreamCounter: Sendable {
    let each: Int
    private let open = Mutex([String: Int]())

    init(each: Int) { self.each = each }

    /// Is counted while it lives.
    final class Place: Sendable {
        private let counter: StreamCounter
        private let caller: String

        fileprivate init(_ counter: StreamCounter, _ caller: String) { (self.counter, self.caller) = (counter, caller) }

        deinit { counter.open.withLock { $0[caller] = $0[caller]! > 1 ? $0[caller]! - 1 : nil } }
    }

    /// nil when the caller has as many as one may have.
    func take(_ caller: String) -> Place? {
        let isFree = open.withLock { open in
            guard open[caller, default: 0] < each else { return false }
            open[caller, default: 0] += 1
            return true
        }
        return isFree ? Place(self, caller) : nil
    }
}

/// A bucket for each caller that fills with time.
final class RateLimiter: Sendable {
    private struct Bucket { var tokens: Double, at: UInt64 }
    private let buckets = Mutex([String: Bucket]())
    private let perSecond: Double

    init(perSecond: Double) { self.perSecond = perSecond }

    func take(_ caller: String) -> Bool {
        let now = Clock.monotonicNanoseconds()
        return buckets.withLock { buckets in
            // As many callers at once are no users; each gets a full bucket again.
            if buckets.count > 10_000 { buckets = [:] }
            var bucket = buckets[caller] ?? Bucket(tokens: perSecond, at: now)
            // Another request may have looked at the clock later and been here before.
            bucket.tokens = min(perSecond, bucket.tokens + Double(max(now, bucket.at) - bucket.at) / 1e9 * perSecond)
            bucket.at = max(now, bucket.at)
            defer { buckets[caller] = bucket }
            guard bucket.tokens >= 1 else { return false }
            bucket.tokens -= 1
            return true
        }
    }
}

/// Operations that go on after their request was answered, as Flink has them for savepoints.
final class Triggers: Sendable {
    struct Trigger: Sendable {
        var job: String
        var location: String?
        var failure: String?
        var isDone = false
    }
    private let all = Mutex((order: [String](), byID: [String: Trigger]()))

    /// - Returns: the id to ask by.
    func run(_ job: String, id: String?, _ body: @escaping @Sendable () throws -> String?) -> String {
        let id = id ?? Host.system.uuid().filter { $0 != "-" }
        let isNew = all.withLock { all in
            if all.byID[id] != nil { return false }
            all.byID[id] = Trigger(job: job)
            all.order.append(id)
            if all.order.count > 1_000 { all.byID[all.order.removeFirst()] = nil }
            return true
        }
        guard isNew else { return id }
        Thread.detachNewThread { [self] in
            var trigger = Trigger(job: job, isDone: true)
            do { trigger.location = try body() } catch { trigger.failure = "\(error)" }
            let done = trigger
            all.withLock { if $0.byID[id] != nil { $0.byID[id] = done } }
        }
        return id
    }

    func trigger(_ id: String, of job: String) -> Trigger? { all.withLock { $0.byID[id].flatMap { $0.job == job ? $0 : nil } } }
}
