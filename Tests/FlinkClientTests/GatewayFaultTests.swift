import FlinkClient
import Foundation
import StreamCore
import Synchronization
import TestScripts
import Testing

@Suite("Faults between client and gateway", .serialized) struct GatewayFaultTests {
    private static func quick(_ seconds: Double = 60, _ change: (inout FlinkClientOptions) -> Void = { _ in }) -> FlinkClientOptions {
        GatewayTests.options(seconds) {
            $0.pauseSeconds = 0.01
            change(&$0)
        }
    }

    @Test("requests that may be repeated are, after a busy server and a broken connection", arguments: ["status", "drop", "take-and-drop"]) func repeated(fault: String) throws {
        let flink = try FlinkGateway(), told = Mutex<[String]>([])
        try flink.fail([
            ["match": "GET /api_versions", "do": fault, "status": 503, "times": 2], ["match": "POST /v4/sessions$", "do": "status", "status": 503], ["match": "/status$", "do": fault, "status": 503, "times": 3],
            ["match": "/result/0", "do": fault, "status": 503, "times": 2],
        ])
        let options = Self.quick { $0.report = { line in told.withLock { $0.append(line) } } }
        let rows = try SQLGateway(url: flink.url, options).withSession(name: "repeated") { try $0.execute("SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS t(x, y)").rows }
        #expect(rows.count == 3, "no page is lost or taken twice")
        #expect(told.withLock { $0.count } >= 3 && told.withLock { $0 }.allSatisfy { $0.contains("trying again") })
        #expect(try flink.log().requests.count { $0.hasSuffix("/statements") } == 1)
        #expect(try flink.log().problems == [])
    }

    @Test("a statement that may have been taken is never sent again", arguments: ["drop", "take-and-drop", "status"]) func taken(fault: String) throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/statements$", "do": fault, "status": 503]])
        let error = try GatewayTests.failure { try FlinkSubmission(SQLGateway(url: flink.url, Self.quick()), rest: flink.rest, Self.quick()).run(GatewayTests.statements(GatewayTests.source), name: "taken") }
        #expect(error.location?.line == 1 && error.problem.contains(fault == "status" ? "temporarily unavailable" : "it may have taken the statement"), "\(error)")
        #expect(try flink.log().requests.count { $0.hasSuffix("/statements") } == 1)
        try GatewayTests.expectClean(flink)
    }

    @Test("a stop that is sent again is the same stop") func stopped() throws {
        let flink = try FlinkGateway(), rest = try FlinkREST(url: flink.rest, Self.quick())
        let started = try FlinkSubmission(SQLGateway(url: flink.url, Self.quick()), rest: flink.rest, Self.quick()).run(
            GatewayTests.statements(GatewayTests.source, GatewayTests.sink, "INSERT INTO nowhere SELECT * FROM numbers"), name: "stopped")
        try flink.fail([["match": "POST .*/stop", "do": "take-and-drop"]])
        #expect(try rest.stop(started[0].id, savepointsIn: "file:///savepoints", drain: false).hasPrefix("file:///savepoints/savepoint-"))
        let polls = try flink.log().requests.filter { $0.contains("/savepoints/") }
        #expect(Set(polls).count == 1 && polls.count == 3)
        let error = try GatewayTests.failure { try rest.stop(started[0].id, savepointsIn: nil, drain: false) }
        #expect(error.problem.contains("targetDirectory") && error.fix?.contains("--target") == true, "\(error)")
    }

    @Test("results that are not ready are asked for again") func notReady() throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/result/0", "do": "replace", "times": 3, "answer": ["resultType": "NOT_READY"] as [String: String]]])
        let rows = try SQLGateway(url: flink.url, Self.quick()).withSession(name: "not ready") { try $0.execute("SELECT * FROM (VALUES (1, 'a')) AS t(x, y)").rows }
        #expect(rows.count == 1)
        #expect(try flink.log().requests.count { $0.contains("/result/0") } == 4)
    }

    @Test("at the deadline the operation is cancelled and the session closed") func late() throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/status$", "do": "replace", "times": 1_000_000, "answer": ["status": "RUNNING"] as [String: String]]])
        let error = try GatewayTests.failure { try SQLGateway(url: flink.url, Self.quick(1)).withSession(name: "late") { try $0.execute("SET 'a' = 'b'") } }
        #expect(error.problem == "the statement has not been carried out within 1 s" && error.fix?.contains("--timeout") == true, "\(error)")
        let last = try flink.log().requests.suffix(3).map { $0.split(separator: "/").last.map(String.init) ?? "" }
        #expect(last[0] == "cancel" && last[1] == "close" && last[2].count == 36, "\(last)")
        try GatewayTests.expectClean(flink)
    }

    @Test("an answer that takes too long is asked for again until the deadline") func slow() throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/status$", "do": "slow", "seconds": 3.0]])
        let options = Self.quick { $0.requestSeconds = 1 }
        #expect(try SQLGateway(url: flink.url, options).withSession(name: "slow") { try $0.execute("SET 'a' = 'b'") }.jobID == nil)
        #expect(try flink.log().requests.count { $0.hasSuffix("/status") } >= 2)
    }

    @Test("Ctrl-C cancels what runs, and closes the session") func cancelled() throws {
        let flink = try FlinkGateway(), flag = Flag()
        try flink.fail([["match": "/status$", "do": "replace", "times": 1_000_000, "answer": ["status": "RUNNING"] as [String: String]]])
        let options = Self.quick { $0.isCancelled = { flag.isRaised } }
        let gateway = try SQLGateway(url: flink.url, options)
        Thread.detachNewThread {
            let end = Deadline(seconds: 60)
            while !end.hasPassed, (try? flink.log().requests.contains { $0.hasSuffix("/status") }) != true { Thread.sleep(forTimeInterval: 0.02) }
            flag.raise()
        }
        #expect(throws: CancellationError.self) { try gateway.withSession(name: "cancelled") { try $0.execute("SET 'a' = 'b'") } }
        #expect(try flink.log().requests.contains { $0.hasSuffix("/cancel") })
        try GatewayTests.expectClean(flink)
    }

    /// Deploys a job, raises Ctrl-C once the requests are what `isTime` waits for, and gives the error.
    private static func interrupted(_ flink: FlinkGateway, at isTime: @escaping @Sendable ([String]) -> Bool, told: (FlinkSubmission.Started) -> Void = { _ in }) throws -> (any Error)? {
        let flag = Flag(), options = quick { $0.isCancelled = { flag.isRaised } }
        let gateway = try SQLGateway(url: flink.url, options)
        Thread.detachNewThread {
            let end = Deadline(seconds: 60)
            while !end.hasPassed, (try? isTime(flink.log().requests)) != true { Thread.sleep(forTimeInterval: 0.02) }
            flag.raise()
        }
        do {
            _ = try FlinkSubmission(gateway, rest: flink.rest, options).run(
                GatewayTests.statements(GatewayTests.source, GatewayTests.sink, "INSERT INTO nowhere SELECT * FROM numbers"), name: "interrupted", started: told)
        } catch { return error }
        return nil
    }

    @Test("Ctrl-C between an INSERT and its result cancels the job that it started") func interruptedInsert() throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/statements$", "skip": 2, "do": "slow", "seconds": 3.0]])
        var ids: [String] = []
        let error = try Self.interrupted(flink, at: { requests in requests.count { $0.hasSuffix("/statements") } == 3 }) { ids.append($0.id) }
        #expect(error is CancellationError, "\(String(describing: error))")
        let jobs = try FlinkREST(url: flink.rest, Self.quick()).jobs()
        #expect(jobs.count == 1 && jobs.map(\.id) == ids && jobs.map(\.state) == ["CANCELED"], "\(jobs)")
        try GatewayTests.expectClean(flink)
    }

    @Test("a job of an INSERT whose fate nobody tells is named as unknown", arguments: [false, true]) func unknownInsert(isLate: Bool) throws {
        let flink = try FlinkGateway()
        let expected = "it is not known whether a job of statement 1 of 1 (statement 1) runs", see = "see swiftwater list --engine flink"
        try flink.fail([["match": "/status$", "do": "replace", "times": 1_000_000, "answer": ["status": "RUNNING"] as [String: String]]])
        let flag = Flag(), options = Self.quick(isLate ? 1 : 60) { $0.isCancelled = { flag.isRaised } }, gateway = try SQLGateway(url: flink.url, options)
        if !isLate {
            Thread.detachNewThread {
                let end = Deadline(seconds: 60)
                while !end.hasPassed, (try? flink.log().requests.contains { $0.hasSuffix("/status") }) != true { Thread.sleep(forTimeInterval: 0.02) }
                flag.raise()
            }
        }
        do {
            _ = try FlinkSubmission(gateway, rest: flink.rest, options).run(GatewayTests.statements("INSERT INTO nowhere SELECT * FROM numbers"), name: "unknown")
            Issue.record("nothing was thrown")
        } catch let error as StreamError {
            #expect(isLate && error.problem.contains(expected) && error.fix?.contains(see) == true, "\(error)")
        } catch let error as FlinkSubmission.Stopped {
            #expect(!isLate && error.left.isEmpty && error.description == "\(expected): \(see)", "\(error)")
        }
        #expect(try flink.log().requests.contains { $0.hasSuffix("/cancel") })
        try GatewayTests.expectClean(flink)
    }

    @Test("an INSERT that was sent and not answered may have started a job") func unanswered() throws {
        let flink = try FlinkGateway()
        try flink.fail([["match": "/statements$", "skip": 2, "do": "take-and-drop"]])
        let error = try GatewayTests.failure {
            try FlinkSubmission(SQLGateway(url: flink.url, Self.quick()), rest: flink.rest, Self.quick()).run(
                GatewayTests.statements(GatewayTests.source, GatewayTests.sink, "INSERT INTO nowhere SELECT * FROM numbers"), name: "unanswered")
        }
        #expect(error.problem.contains("it is not known whether a job of statement 3 of 3") && error.fix?.contains("swiftwater list --engine flink") == true, "\(error)")
    }

    @Test("Ctrl-C names the jobs that could not be cancelled") func notCancelled() throws {
        let flink = try FlinkGateway()
        let created: [String: any Sendable] = ["jid": "x", "name": "n", "state": "CREATED", "vertices": [String]()]
        try flink.fail([
            ["match": "^PATCH", "times": 100, "do": "status", "status": 500, "errors": ["no"] as [String]], ["match": "GET /v1/jobs/[0-9a-f]+$", "times": 100_000, "do": "replace", "answer": created],
        ])
        var ids: [String] = []
        let error = try Self.interrupted(flink, at: { requests in requests.contains { $0.hasPrefix("GET /v1/jobs/") } }) { ids.append($0.id) }
        let stopped = try #require(error as? FlinkSubmission.Stopped, "\(String(describing: error))")
        #expect(ids.count == 1 && stopped.left.map(\.id) == ids && stopped.unknown == nil)
        #expect(stopped.description.contains("\(ids[0]) (no); end them with swiftwater cancel ID --engine flink"), "\(stopped)")
    }

    private final class Flag: Sendable {
        private let state = Mutex(false)
        var isRaised: Bool { state.withLock { $0 } }
        func raise() { state.withLock { $0 = true } }
    }

    @Test("a job that restarts is told while it is waited for, and with its exception at the deadline") func restarting() throws {
        let flink = try FlinkGateway(), told = Mutex<[String]>([])
        let options = Self.quick(2) { $0.report = { line in told.withLock { $0.append(line) } } }
        let statements = GatewayTests.statements("SET 'restart-strategy.type' = 'fixed-delay'", GatewayTests.source, GatewayTests.sink, "INSERT INTO nowhere SELECT x / 0, y FROM numbers")
        let error = try GatewayTests.failure { try FlinkSubmission(SQLGateway(url: flink.url, options), options).run(statements, name: "restarting") }
        #expect(error.problem.contains("is RESTARTING") && error.problem.contains("/ by zero") && error.problem.contains("cancelled now"), "\(error)")
        #expect(told.withLock { $0.count } == 1 && told.withLock { $0[0].contains("is RESTARTING: ArithmeticException: / by zero") })
        try GatewayTests.expectClean(flink)
    }

    @Test("the newest version that both speak is used", arguments: [("V1,V2", "/v2/"), ("V1,V2,V3", "/v3/"), ("V2,V3,V4,V5", "/v4/")]) func versions(spoken: String, prefix: String) throws {
        let flink = try FlinkGateway(versions: spoken)
        try SQLGateway(url: flink.url, Self.quick()).withSession(name: "versions") { _ = try $0.execute("SET 'a' = 'b'") }
        #expect(try flink.log().requests.dropFirst().allSatisfy { $0.contains(" \(prefix)") })
        try GatewayTests.expectClean(flink)
    }

    @Test("a gateway of another time is refused") func oldVersion() throws {
        let flink = try FlinkGateway(versions: "V1")
        let error = try GatewayTests.failure { try SQLGateway(url: flink.url, Self.quick()) }
        #expect(error.problem.contains("speaks v1 of its API") && error.fix == "use Flink 1.20 or later", "\(error)")
    }

    @Test("tokens and passwords are sent as such, and never in the clear to another machine") func access() throws {
        let flink = try FlinkGateway()
        _ = try SQLGateway(url: flink.url, Self.quick { $0.token = "abc" })
        #expect(try flink.log().headers["Authorization"] == "Bearer abc")
        let gateway = try SQLGateway(url: flink.url.replacingOccurrences(of: "//", with: "//ann:secret@"), Self.quick())
        #expect(try flink.log().headers["Authorization"] == "Basic " + Data("ann:secret".utf8).base64EncodedString())
        #expect(!gateway.url.contains("secret"))
        #expect(try GatewayTests.failure { try SQLGateway(url: "http://flink.example:8083", Self.quick { $0.token = "abc" }) }.problem.contains("not sent to http://flink.example:8083 in the clear"))
        try flink.fail([["match": "api_versions", "do": "status", "status": 401, "errors": ["who are you"] as [String]]])
        let error = try GatewayTests.failure { try SQLGateway(url: flink.url, Self.quick()) }
        #expect(error.problem.contains("refuses access (status 401)") && error.fix?.contains("FLINK_TOKEN") == true, "\(error)")
    }

    @Test("nobody there, and no URL at all") func nobody() throws {
        let error = try GatewayTests.failure { try SQLGateway(url: "http://127.0.0.1:1", Self.quick()) }
        #expect(error.code == .io && error.problem.contains("no Flink SQL gateway answers at http://127.0.0.1:1") && error.fix?.contains("sql-gateway.sh") == true, "\(error)")
        #expect(try GatewayTests.failure { try FlinkREST(url: "flink", Self.quick()) }.problem.contains("'flink' is no URL of a Flink JobManager"))
    }
}
