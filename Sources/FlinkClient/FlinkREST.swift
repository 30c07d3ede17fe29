import Foundation
import HTTPServer
import StreamCore

/// A client of the JobManager's REST API.
package struct FlinkREST: Sendable {
    private(set) var endpoint: FlinkEndpoint
    private var options: FlinkClientOptions { endpoint.options }

    package var url: String { endpoint.origin.description }

    /// - Throws: `.validate` when the URL is none.
    package init(url: String, _ options: FlinkClientOptions) throws {
        endpoint = try FlinkEndpoint(
            "JobManager", url, remedy: "start the cluster, or name its JobManager with --rest", example: "http://127.0.0.1:8081", options)
    }

    /// The same, with time of its own, and deaf to being cancelled.
    func waiting(seconds: Double) -> FlinkREST {
        var other = self
        other.endpoint.options.deadline = Deadline(seconds: seconds)
        other.endpoint.options.isCancelled = { false }
        return other
    }

    /// Flink's version and the cluster's slots. Fails when something else answers.
    package func overview() throws -> (flinkVersion: String, taskManagers: Int64, slots: Int64, freeSlots: Int64) {
        let answer: JSON
        do { answer = try get("/v1/overview") } catch let refusal as FlinkEndpoint.Refusal { throw endpoint.error(refusal, "what answers at \(url) is no JobManager") }
        guard let version = answer["flink-version"]?.string else {
            throw StreamError(.validate, "what answers at \(url) is no JobManager of Flink", fix: "give the address of its REST API, port 8081 unless set")
        }
        return (version, answer["taskmanagers"]?.int ?? 0, answer["slots-total"]?.int ?? 0, answer["slots-available"]?.int ?? 0)
    }

    /// Settings of the web interface, the time zone of the cluster among them.
    package func configuration() throws -> JSON { try telling { try get("/v1/config") } }

    /// All that the JobManager knows of, also ended ones; the newest first.
    package func jobs() throws -> [FlinkJob] {
        try telling { try get("/v1/jobs/overview") }["jobs"]?.array?.map(FlinkJob.init).sorted { $0.startedAt > $1.startedAt } ?? []
    }

    /// - Parameter name: an id, the first six digits of one or more, or the name of one job only.
    /// - Throws: `.validate` when there is none, or more than one. Of several with a name, one that has not ended is meant.
    package func job(named name: String) throws -> FlinkJob {
        let all = try jobs()
        if let job = all.first(where: { $0.id == name }) { return job }
        let isPrefix = name.count >= 6 && name.allSatisfy { $0.isHexDigit && !$0.isUppercase }
        let byName = all.filter { $0.name == name }, byID = isPrefix ? all.filter { $0.id.hasPrefix(name) } : []
        let found = byName.isEmpty ? byID : byName, alive = found.filter { !$0.isEnded }
        if found.count == 1 { return found[0] }
        if alive.count == 1 { return alive[0] }
        guard found.isEmpty else {
            let list = (alive.isEmpty ? found : alive).prefix(8).map { "\($0.id) (\($0.name), \($0.state))" }.joined(separator: ", ")
            throw StreamError(.validate, "'\(name)' is \(alive.isEmpty ? found.count : alive.count) jobs of \(url): \(list)", fix: "name one by its id")
        }
        let near = all.filter { !$0.isEnded }.prefix(8).map { "\($0.name) (\($0.id.prefix(8)))" }.joined(separator: ", ")
        throw StreamError(.validate, "\(url) has no job '\(name)'", fix: near.isEmpty ? "no job runs there; see swiftwater list --engine flink" : "name one of: \(near)")
    }

    package func details(_ id: String) throws -> (job: FlinkJob, vertices: [FlinkVertex]) {
        let answer = try telling { try get("/v1/jobs/\(HTTPOrigin.encoded(id))") }
        return (FlinkJob(answer), answer["vertices"]?.array?.map(FlinkVertex.init) ?? [])
    }

    package func checkpoints(_ id: String) throws -> FlinkCheckpoints { FlinkCheckpoints(try telling { try get("/v1/jobs/\(HTTPOrigin.encoded(id))/checkpoints") }) }

    /// The newest first. Flink keeps 16 unless `web.exception-history-size` says otherwise.
    package func exceptions(_ id: String) throws -> [FlinkException] {
        let answer = try telling { try get("/v1/jobs/\(HTTPOrigin.encoded(id))/exceptions") }
        let entries = answer["exceptionHistory"]?["entries"]?.array ?? []
        return entries.map { FlinkException(at: $0["timestamp"]?.int ?? 0, task: $0["taskName"]?.string, trace: $0["stacktrace"]?.string ?? $0["exceptionName"]?.string ?? "") }.sorted { $0.at > $1.at }
    }

    // MARK: Ending jobs

    /// Ends a job at once, and waits for its end. State since its last checkpoint is lost.
    ///
    /// - Returns: the state that it ended in.
    @discardableResult
    package func cancel(_ id: String) throws -> String {
        _ = try telling { try endpoint.send("PATCH", "/v1/jobs/\(HTTPOrigin.encoded(id))?mode=cancel", .object([]), isRepeatable: true) }
        return try awaitEnd(id)
    }

    /// Stops a job with a savepoint, and waits for both.
    ///
    /// - Parameters:
    ///   - directory: that the savepoint's own directory is made in, as a URL that Flink knows; nil = `execution.checkpointing.savepoint-dir` of the cluster.
    ///   - drain: bring event time to its end first: windows that are open give their rows. Not for a job that is to go on later.
    /// - Returns: the savepoint's path.
    package func stop(_ id: String, savepointsIn directory: String?, drain: Bool) throws -> String {
        // An id of our own makes the request one that may be repeated: Flink knows it again.
        let trigger = (0..<4).map { _ in String(UInt32.random(in: 0...UInt32.max), radix: 16) }.map { String(repeating: "0", count: 8 - $0.count) + $0 }.joined()
        var members: [JSON.Member] = [.init("drain", .bool(drain)), .init("triggerId", .string(trigger))]
        if let directory { members.append(.init("targetDirectory", .string(directory))) }
        let path = "/v1/jobs/\(HTTPOrigin.encoded(id))"
        let request = try telling { try endpoint.send("POST", path + "/stop", .object(members), isRepeatable: true) }["request-id"]?.string ?? trigger
        var pause = PollPause()
        while true {
            let answer = try telling { try get("\(path)/savepoints/\(HTTPOrigin.encoded(request))") }
            if answer["status"]?["id"]?.string == "COMPLETED" {
                if let failure = answer["operation"]?["failure-cause"], failure != .null {
                    let text = failure["stack-trace"]?.string ?? failure["class"]?.string ?? failure.text(), trace = FlinkTrace(text)
                    throw StreamError(.runtime, "job \(id) is not stopped, its savepoint failed: \(trace.message)\(options.showsTraces ? "\n" + text : "")",
                                      fix: trace.fix ?? "it runs on; see swiftwater show \(id) --engine flink")
                }
                guard let location = answer["operation"]?["location"]?.string else { throw StreamError(.runtime, "Flink took a savepoint of job \(id) without saying where", fix: "look at the JobManager's log") }
                try awaitEnd(id)
                return location
            }
            try options.check("job \(id) has given no savepoint")
            options.pause(pause.next())
        }
    }

    @discardableResult
    private func awaitEnd(_ id: String) throws -> String {
        var pause = PollPause()
        while true {
            let state = try details(id).job.state
            if FlinkJob.endStates.contains(state) { return state }
            try options.check("job \(id) is \(state) and has not ended")
            options.pause(pause.next())
        }
    }

    // MARK: Waiting for a start

    /// Waits until all subtasks of each job run, or have come to their end.
    ///
    /// - Parameter meanwhile: called between looks.
    /// - Throws: with the exception that made a job fail, or with what a job still waits for at the deadline.
    package func awaitRunning(_ ids: [String], meanwhile: () throws -> Void = {}) throws {
        var pause = PollPause(), told: Set<String> = []
        for id in ids {
            while true {
                let found: (job: FlinkJob, vertices: [FlinkVertex])?
                do {
                    let answer = try get("/v1/jobs/\(HTTPOrigin.encoded(id))")
                    found = (FlinkJob(answer), answer["vertices"]?.array?.map(FlinkVertex.init) ?? [])
                } catch let refusal as FlinkEndpoint.Refusal {
                    // The job may be on its way from the gateway to the JobManager.
                    guard refusal.status == 404, !options.deadline.hasPassed else {
                        throw endpoint.error(refusal, "job \(id) is not at \(url)", fix: "name the JobManager of the cluster that the gateway submits to with --rest")
                    }
                    found = nil
                }
                if let (job, vertices) = found {
                    if job.state == "FINISHED" || job.state == "RUNNING" && !vertices.isEmpty && vertices.allSatisfy({ $0.state == "RUNNING" || $0.state == "FINISHED" }) { break }
                    if job.isEnded { throw try ended(job) }
                    if job.state == "RESTARTING" || job.state == "FAILING", let cause = try exceptions(id).first?.cause.message, told.insert("\(id) \(cause)").inserted {
                        options.report("job \(job.name) (\(id)) is \(job.state): \(cause)")
                    }
                    if options.deadline.hasPassed { throw try notRunning(job, vertices) }
                }
                if options.isCancelled() { throw CancellationError() }
                try meanwhile()
                options.pause(pause.next())
            }
        }
    }

    private func ended(_ job: FlinkJob) throws -> StreamError {
        let newest = try exceptions(job.id).first
        let trace = newest?.cause
        return StreamError(.runtime, "job \(job.name) (\(job.id)) is \(job.state)\(newest?.task.map { " in \($0)" } ?? ""): \(trace?.message ?? "Flink gives no reason")" + (options.showsTraces ? newest.map { "\n" + $0.trace } ?? "" : ""),
                           fix: trace?.fix)
    }

    /// Called after the deadline; asks with a little time of its own.
    private func notRunning(_ job: FlinkJob, _ vertices: [FlinkVertex]) throws -> StreamError {
        let grace = Deadline(seconds: 5)
        let counts = job.tasks.map { "\($0.count) \($0.state)" }.joined(separator: ", ")
        var error = options.late("job \(job.name) (\(job.id)) is \(job.state)\(counts.isEmpty ? "" : " with subtasks \(counts)") and does not run")
        if let history = try? endpoint.send("GET", "/v1/jobs/\(job.id)/exceptions", isRepeatable: true, deadline: grace)["exceptionHistory"]?["entries"]?.array,
            let newest = history.max(by: { ($0["timestamp"]?.int ?? 0) < ($1["timestamp"]?.int ?? 0) }), let text = newest["stacktrace"]?.string {
            let trace = FlinkTrace(text)
            error.problem += "; its newest exception: \(trace.message)"
            error.fix = trace.fix ?? "mend what the exception is about, or give it longer with --timeout"
        } else if job.tasks.contains(where: { $0.state == "scheduled" || $0.state == "created" }),
            let cluster = try? endpoint.send("GET", "/v1/overview", isRepeatable: true, deadline: grace), let free = cluster["slots-available"]?.int {
            error.problem += "; \(free) of the cluster's \(cluster["slots-total"]?.int ?? 0) slots are free"
            error.fix = "start more TaskManagers, give them more slots, or lower the parallelism"
        }
        return error
    }

    private func get(_ target: String) throws -> JSON { try endpoint.get(target) }

    private func telling(_ ask: () throws -> JSON) throws -> JSON {
        do { return try ask() } catch let refusal as FlinkEndpoint.Refusal { throw endpoint.error(refusal) }
    }
}
