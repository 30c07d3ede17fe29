import Foundation
import HTTPServer
import StreamCore
import Synchronization

/// A client of Flink's SQL gateway, for versions 2 to 4 of its REST API.
///
///     connect ─ session ─ statement ─ operation: status … status ─ result 0 ─ result 1 … EOS ─ close
///                    └ close, whatever happened
package struct SQLGateway: Sendable {
    package static let versions = 2...4

    let endpoint: FlinkEndpoint
    /// The newest version that both sides speak.
    package let version: Int
    /// For example "2.3.0".
    package let flinkVersion: String

    package var url: String { endpoint.origin.description }

    /// Asks the gateway which versions it speaks.
    ///
    /// - Throws: `.validate` when the URL is none, or leads to something else; `.io` when nobody answers.
    package init(url: String, _ options: FlinkClientOptions) throws {
        endpoint = try FlinkEndpoint(
            "SQL gateway", url, remedy: "start it with bin/sql-gateway.sh start, or name it with --gateway", example: "http://127.0.0.1:8083", options)
        do {
            let spoken = (try endpoint.get("/api_versions")["versions"]?.array ?? []).compactMap { $0.string.flatMap { Int($0.drop { !$0.isNumber }) } }
            guard let version = spoken.filter(Self.versions.contains).max() else {
                let list = spoken.isEmpty ? "no version" : spoken.sorted().map { "v\($0)" }.joined(separator: ", ")
                throw StreamError(.validate, "the SQL gateway at \(endpoint.origin) speaks \(list) of its API; v\(Self.versions.lowerBound) to v\(Self.versions.upperBound) are known here", fix: "use Flink 1.20 or later")
            }
            self.version = version
            flinkVersion = try endpoint.get("/v\(version)/info")["version"]?.string ?? "unknown"
        } catch let refusal as FlinkEndpoint.Refusal where refusal.status == 404 {
            throw StreamError(.validate, "what answers at \(endpoint.origin) is no SQL gateway: it has no /api_versions",
                              fix: "give the gateway's address, port 8083 unless set; the JobManager's, port 8081, is for --rest")
        } catch let refusal as FlinkEndpoint.Refusal {
            throw endpoint.error(refusal)
        } catch let error as StreamError where error.code == .corrupt {
            throw StreamError(.validate, "what answers at \(endpoint.origin) is no SQL gateway: its answer is not JSON", fix: "give the gateway's address, port 8083 unless set")
        }
    }

    /// Opens a session, and closes it when `body` is through, also after an error.
    ///
    /// - Parameter properties: settings of the session, over the gateway's own.
    package func withSession<Result>(name: String, properties: [(String, String)] = [], _ body: (GatewaySession) throws -> Result) throws -> Result {
        let session = try GatewaySession(self, name: name, properties: properties)
        defer { session.close() }
        return try body(session)
    }
}

/// What a statement gave.
package struct StatementResult: Sendable {
    /// Rows come from a query; otherwise they tell what a command did.
    package var isQuery = false
    /// The job that a query or an INSERT runs in: 32 hexadecimal digits.
    package var jobID: String?
    package var columns: [(name: String, type: String)] = []
    /// `kind` is INSERT, UPDATE_BEFORE, UPDATE_AFTER or DELETE.
    package var rows: [(kind: String, fields: [JSON])] = []
}

/// A session at a gateway: its tables, views and settings end with it; its INSERTs go on.
package final class GatewaySession: Sendable {
    package enum RowFormat: String, Sendable {
        case json = "JSON"
        /// Every field is text, as CAST AS STRING gives it.
        case plainText = "PLAIN_TEXT"
    }

    private let endpoint: FlinkEndpoint
    private let path: String
    package let handle: String
    private let usedAt = Mutex(ContinuousClock.now)
    private var options: FlinkClientOptions { endpoint.options }

    init(_ gateway: SQLGateway, name: String, properties: [(String, String)]) throws {
        endpoint = gateway.endpoint
        let body = JSON.object([.init("sessionName", .string(name)), .init("properties", .object(properties.map { .init($0.0, .string($0.1)) }))])
        do {
            // A session that was opened without our hearing of it does nothing, and the gateway ends it.
            guard let handle = try endpoint.send("POST", "/v\(gateway.version)/sessions", body, isRepeatable: true)["sessionHandle"]?.string else {
                throw StreamError(.runtime, "the SQL gateway at \(endpoint.origin) opened a session without a handle", fix: "look at the gateway's log")
            }
            (self.handle, path) = (handle, "/v\(gateway.version)/sessions/\(HTTPOrigin.encoded(handle))")
        } catch let refusal as FlinkEndpoint.Refusal {
            throw endpoint.error(refusal, "the SQL gateway at \(endpoint.origin) opens no session")
        }
    }

    /// The settings that hold in it.
    package func configuration() throws -> [String: String] {
        let members = try answer { try send("GET", "", isRepeatable: true) }["properties"]?.members ?? []
        return Dictionary(members.compactMap { member in member.value.string.map { (member.name, $0) } }) { $1 }
    }

    /// Runs a statement to the end of its result.
    ///
    /// - Parameters:
    ///   - rowsMax: rows of a query that are fetched; it is cancelled after that many. 0 = a query is an error.
    ///   - graceSeconds: how long, after the deadline or Ctrl-C, a statement that starts a job may take to say which.
    ///   - leftover: called before an error is thrown after which a job of the statement runs, or may run.
    /// - Throws: Flink's reason when it refuses the statement; `.io`, saying so, when it may have been taken without an answer.
    package func execute(_ statement: String, rowFormat: RowFormat = .json, rowsMax: Int = .max, graceSeconds: Double = 10, leftover: (Leftover) -> Void = { _ in }) throws -> StatementResult {
        let startsJob = Self.startsJob(statement)
        // There is no execution timeout in the request: gateways to 2.3 refuse every one but 0. The operation is cancelled at the deadline instead.
        let taken = try answer { try send("POST", "/statements", .object([.init("statement", .string(statement))]), isRepeatable: false) } unknown: { if startsJob { leftover(.unknown) } }
        guard let operation = taken["operationHandle"]?.string else {
            if startsJob { leftover(.unknown) }
            throw StreamError(.runtime, "the SQL gateway took a statement without giving an operation", fix: "look at the gateway's log")
        }
        let at = "/operations/\(HTTPOrigin.encoded(operation))"
        var isEnded = false, isSettled = !startsJob
        defer {
            if !isSettled, let left = settle(at, isEnded: &isEnded, Deadline(seconds: graceSeconds)) { leftover(left) }
            let grace = Deadline(seconds: 5)
            if !isEnded { _ = try? send("POST", at + "/cancel", isRepeatable: true, deadline: grace) }
            _ = try? send("DELETE", at + "/close", isRepeatable: true, deadline: grace)
        }
        var pause = PollPause(), status = ""
        while true {
            status = try answer { try send("GET", at + "/status", isRepeatable: true) }["status"]?.string ?? ""
            guard ["INITIALIZED", "PENDING", "RUNNING"].contains(status) else { break }
            try options.check("the statement has not been carried out")
            options.pause(pause.next())
        }
        isEnded = true
        // The reason of an error comes instead of its result.
        guard ["FINISHED", "ERROR"].contains(status) else { throw StreamError(.runtime, "the statement was ended by the gateway: its operation is \(status)", fix: "look at the gateway's log") }
        var result = StatementResult(), next: String? = at + "/result/0?rowFormat=\(rowFormat.rawValue)"
        isEnded = false
        pause = PollPause()
        while let target = next {
            let part = try answer { try send("GET", target, isRepeatable: true) }
            if part["resultType"]?.string == "NOT_READY" {
                try options.check("the statement has given no result")
                options.pause(pause.next())
                if let again = part["nextResultUri"]?.string { next = below(again) }
                continue
            }
            result.isQuery = (part["isQueryResult"] ?? part["queryResult"])?.bool ?? result.isQuery
            result.jobID = part["jobID"]?.string ?? result.jobID
            if let columns = (part["results"]?["columns"] ?? part["results"]?["columnInfos"])?.array {
                result.columns = columns.map { ($0["name"]?.string ?? "", ($0["logicalType"]?["type"] ?? $0["logicalType"]?["typeRoot"])?.string ?? "") }
            }
            let rows = (part["results"]?["data"]?.array ?? []).map { ($0["kind"]?.string ?? "INSERT", $0["fields"]?.array ?? []) }
            result.rows += rows
            next = part["resultType"]?.string == "EOS" ? nil : part["nextResultUri"]?.string.map(below)
            // Cancelling ends the job of a query.
            if result.isQuery { isSettled = true }
            if result.isQuery, rowsMax == 0 { throw StreamError(.validate, "the statement is a query whose rows go nowhere", fix: "write INSERT INTO a table before it") }
            if result.isQuery, result.rows.count >= rowsMax {
                result.rows.removeLast(result.rows.count - rowsMax)
                return result
            }
            if next != nil {
                try options.check("the statement has not given its whole result")
                // A query that goes on answers with no rows as long as there are none.
                if rows.isEmpty { options.pause(pause.next()) } else { pause = PollPause() }
            }
        }
        (isEnded, isSettled) = (true, true)
        return result
    }

    /// What a statement that was not waited for leaves running.
    package enum Leftover: Sendable, Equatable {
        /// The id of its job, which goes on without the operation and the session.
        case job(String)
        /// Nobody said whether it has started one.
        case unknown
    }

    /// Finds the job of an operation that is given up. A cancelled operation does not tell its job any more, and may have started one: it is waited for first.
    private func settle(_ at: String, isEnded: inout Bool, _ grace: Deadline) -> Leftover? {
        var pause = PollPause()
        while !grace.hasPassed {
            do {
                let status = try send("GET", at + "/status", isRepeatable: true, deadline: grace)["status"]?.string ?? ""
                if !["INITIALIZED", "PENDING", "RUNNING"].contains(status) {
                    isEnded = true
                    // What fails, fails before its job is there.
                    if status == "ERROR" { return nil }
                    let part = try send("GET", at + "/result/0?rowFormat=\(RowFormat.json.rawValue)", isRepeatable: true, deadline: grace)
                    if let id = part["jobID"]?.string { return .job(id) }
                    if part["resultType"]?.string != "NOT_READY" { return nil }
                }
            } catch { return .unknown }
            Thread.sleep(forTimeInterval: min(pause.next(), grace.left))
        }
        return .unknown
    }

    /// Whether a job of a statement may go on once its session is closed. A query's ends with it, and what defines or sets something has none.
    static func startsJob(_ statement: String) -> Bool {
        let statement = statement.trimmingCharacters(in: .whitespacesAndNewlines), words = statement.prefix(2000).uppercased().split { !$0.isLetter && $0 != "_" }
        guard let first = words.first, !statement.hasPrefix("--"), !statement.hasPrefix("/*") else { return true }
        if first == "CREATE" {
            // CREATE TABLE … AS SELECT fills the table.
            let kind = words.dropFirst().first { !["OR", "REPLACE", "TEMPORARY", "SYSTEM"].contains($0) }
            return kind == "MATERIALIZED" || kind == "TABLE" && statement.uppercased().contains(#/\bAS[\s(]+(SELECT|WITH|VALUES|TABLE)\b/#)
        }
        return !["SET", "RESET", "USE", "LOAD", "UNLOAD", "DROP", "ADD", "REMOVE", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "SELECT", "VALUES", "WITH"].contains(first)
    }

    /// Runs a statement that defines or chooses something (CREATE, DROP, ALTER, USE, LOAD MODULE, ADD JAR), in one request.
    package func configure(_ statement: String) throws {
        _ = try answer { try send("POST", "/configure-session", .object([.init("statement", .string(statement))]), isRepeatable: false) }
    }

    /// Tells the gateway that the session is in use, when that is due. To be called while waiting for something else.
    package func keepAlive() throws {
        guard usedAt.withLock({ $0 + .seconds(options.heartbeatSeconds) <= ContinuousClock.now }) else { return }
        _ = try answer { try send("POST", "/heartbeat", .object([]), isRepeatable: true) }
    }

    /// Ends the session. An error is none of the caller's: the gateway ends sessions that nobody uses.
    package func close() { _ = try? send("DELETE", "", isRepeatable: true, deadline: Deadline(seconds: 5)) }

    private func send(_ method: String, _ target: String, _ body: JSON? = nil, isRepeatable: Bool, deadline: Deadline? = nil) throws -> JSON {
        usedAt.withLock { $0 = .now }
        return try endpoint.send(method, path + target, body, isRepeatable: isRepeatable, deadline: deadline)
    }

    /// A path of the gateway's, from the session on.
    private func below(_ uri: String) -> String { uri.range(of: path).map { String(uri[$0.upperBound...]) } ?? uri }

    /// - Parameter unknown: called when nobody can say whether the request was carried out.
    private func answer(_ ask: () throws -> JSON, unknown: () -> Void = {}) throws -> JSON {
        do { return try ask() } catch let refusal as FlinkEndpoint.Refusal {
            if refusal.cause.message.contains("Session '\(handle)' does not exist") {
                throw StreamError(.runtime, "the SQL gateway at \(endpoint.origin) has no session \(handle) any more: it was idle for too long, or the gateway was started again",
                                  fix: "run the command again; sql-gateway.session.idle-timeout is how long a session may be idle")
            }
            throw endpoint.error(refusal)
        } catch let lost as FlinkEndpoint.Unknown {
            unknown()
            throw StreamError(.io, "the SQL gateway at \(endpoint.origin) did not answer (\(lost.problem)): it may have taken the statement",
                              fix: "look at what runs with swiftwater list --engine flink, before the statement is sent again")
        }
    }
}
