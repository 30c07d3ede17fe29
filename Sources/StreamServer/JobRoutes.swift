import Foundation
import HTTPServer
import StreamCore
import StreamRuntime

extension RestAPI {
    static let jid = Route.Parameter(name: "jid", place: .path, isRequired: true, text: "Id of a job, 32 hexadecimal digits.")
    static let vid = Route.Parameter(name: "vid", place: .path, isRequired: true, text: "Id of a vertex, from the job's details.")
    static let get = Route.Parameter(name: "get", place: .query, text: "Names of metrics, with commas between; without it the names there are.")

    func vertex(_ request: APIRequest) throws -> (job: KnownJob, vertex: JobReport.Vertex) {
        let job = try jobs.job(request.parameter("jid")), wanted = request.parameter("vid")
        guard let vertex = job.report.vertices.first(where: { FlinkAnswers.vertexID($0) == wanted || "\($0.id)" == wanted }) else {
            throw StreamError(.validate, "job \(job.report.name) has no vertex \(wanted)", fix: "GET /v1/jobs/\(job.id) lists them").notFound
        }
        return (job, vertex)
    }

    /// Metrics as Flink lists them: names without values, or the values of those that are named.
    static func metrics(_ samples: [(id: String, value: Double)], _ request: APIRequest) -> HTTPResponse {
        guard let wanted = request.query["get"] else { return .json(.array(samples.map { .object([.init("id", .string($0.id))]) })) }
        let names = Set(wanted.split(separator: ",").map(String.init))
        return .json(.array(samples.filter { names.contains($0.id) }.map { .object([.init("id", .string($0.id)), .init("value", .string(number($0.value)))]) }))
    }

    private static func number(_ value: Double) -> String { value == value.rounded() && abs(value) < 9e15 ? "\(Int64(value))" : "\(value)" }

    static func samples(_ s: JobReport.Subtask) -> [(id: String, value: Double)] {
        var out: [(id: String, value: Double)] = [
            ("numRecordsIn", Double(s.rowsIn)), ("numRecordsOut", Double(s.rowsOut)), ("numBytesIn", Double(s.bytesIn)), ("numBytesOut", Double(s.bytesOut)),
            ("numLateRecordsDropped", Double(s.lateRows)), ("numRecordsInErrors", Double(s.badRecords)), ("accumulateBusyTimeMs", Double(s.busy)),
            ("accumulateBackPressuredTimeMs", Double(s.backPressured)), ("accumulateIdleTimeMs", Double(s.idle)),
        ]
        if let watermark = s.watermark { out.append(("currentInputWatermark", Double(watermark))) }
        if let lag = s.lag { out.append(("pendingRecords", Double(lag))) }
        if let queued = s.queued { out.append(("inputQueueLength", Double(queued))) }
        return out + s.gauges.sorted { $0.key < $1.key }.map { ($0.key, Double($0.value)) }
    }

    /// What Flink tells of a job.
    static func samples(_ report: JobReport) -> [(id: String, value: Double)] {
        let last = report.checkpoints.history.last { $0.status == .completed }
        return [
            ("uptime", Double(max(0, Clock.milliseconds() - report.startedAt))), ("numRestarts", Double(report.attempt - 1)), ("fullRestarts", Double(report.attempt - 1)),
            ("numberOfCompletedCheckpoints", Double(report.checkpoints.completed)), ("numberOfFailedCheckpoints", Double(report.checkpoints.failed)),
            ("numberOfInProgressCheckpoints", Double(report.checkpoints.inProgress)), ("totalNumberOfCheckpoints", Double(report.checkpoints.completed + report.checkpoints.failed + report.checkpoints.inProgress)),
            ("lastCheckpointDuration", Double(last?.duration ?? -1)), ("lastCheckpointSize", Double(last?.bytes ?? -1)),
        ]
    }

    var jobRoutes: [Route] {
        let jid = Self.jid, vid = Self.vid
        return [
            Route(method: "GET", path: "/v1/overview", summary: "How many jobs run, and on how much.", role: .view) { [self] _ in
                let all = jobs.all()
                func count(_ state: JobReport.State...) -> JSON { .int(Int64(all.count { state.contains($0.report.state) })) }
                return .json(FlinkAnswers.object([
                    "taskmanagers": .int(1), "slots-total": .int(Int64(ProcessInfo.processInfo.activeProcessorCount)), "slots-available": .int(0),
                    "jobs-running": count(.running, .initializing, .restarting), "jobs-finished": count(.finished), "jobs-cancelled": count(.canceled), "jobs-failed": count(.failed),
                    "flink-version": .string("swiftwater-" + options.version), "flink-commit": .string(""), "started-at": .int(service.startedAt),
                    "topologies": .int(Int64(service.all.count)),
                ]))
            },
            Route(method: "GET", path: "/v1/config", summary: "Settings of the daemon that pages need.", role: .view) { [self] request in
                .json(FlinkAnswers.object([
                    "refresh-interval": .int(1_000), "timezone-name": .string("UTC"), "timezone-offset": .int(0), "flink-version": .string("swiftwater-" + options.version),
                    "flink-revision": .string(""), "features": FlinkAnswers.object(["web-submit": .bool(false), "web-cancel": .bool(true), "web-rescale": .bool(true), "web-history": .bool(false), "job-history": .bool(true)]),
                    "user": .string(request.caller.name), "role": .string(request.caller.role.rawValue),
                ]))
            },
            Route(method: "GET", path: "/v1/jobs", summary: "Ids and states of all jobs.", role: .view) { [self] _ in
                .json(FlinkAnswers.object(["jobs": .array(jobs.all().map { FlinkAnswers.object(["id": .string($0.id), "status": .string($0.state)]) })]))
            },
            Route(method: "GET", path: "/v1/jobs/overview", summary: "All jobs, with their times and tasks.", role: .view) { [self] _ in
                let now = Clock.milliseconds()
                return .json(FlinkAnswers.object(["jobs": .array(jobs.all().map { FlinkAnswers.overview($0, now: now) })]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}", summary: "A job: its vertices, plan and times.", role: .view, parameters: [jid]) { [self] r in
                .json(FlinkAnswers.details(try jobs.job(r.parameter("jid")), now: Clock.milliseconds()))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/plan", summary: "A job's plan.", role: .view, parameters: [jid]) { [self] r in
                .json(FlinkAnswers.object(["plan": FlinkAnswers.plan(try jobs.job(r.parameter("jid")))]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/report", summary: "All that is measured of a job, in one answer.", role: .view, parameters: [jid]) { [self] r in
                let job = try jobs.job(r.parameter("jid"))
                return HTTPResponse(200, headers: [("Content-Type", "application/json; charset=utf-8")], body: [UInt8](try JSONEncoder().encode(job.report)))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/history", summary: "What a job did over the last minutes: rates, shares of time and checkpoints, a point each five seconds.", role: .view,
                  parameters: [jid, .init(name: "seconds", place: .query, kind: .number(1...86_400), text: "So far back; 600 by default, which is what is kept.")]) { [self] r in
                let job = try jobs.job(r.parameter("jid"))
                let points = try jobs.history(of: job, seconds: try r.number("seconds", default: 600, in: 1...86_400))
                return .json(HistoryAnswer.json(job.id, points))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/status", summary: "A job's state.", role: .view, parameters: [jid]) { [self] r in
                .json(FlinkAnswers.object(["status": .string(try jobs.job(r.parameter("jid")).state)]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/config", summary: "How a job was deployed.", role: .view, parameters: [jid]) { [self] r in
                let job = try jobs.job(r.parameter("jid")), topology = try service.host(job.topology).snapshot.topology
                return .json(FlinkAnswers.object([
                    "jid": .string(job.id), "name": .string(job.report.name),
                    "execution-config": FlinkAnswers.object([
                        "execution-mode": .string("PIPELINED"), "restart-strategy": .string("from the newest checkpoint"),
                        "job-parallelism": .int(Int64(topology.options.parallelism ?? job.report.vertices.map(\.parallelism).max() ?? 1)), "object-reuse-mode": .bool(false),
                        "user-config": .object([]),
                    ]),
                ]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/metrics", summary: "Metrics of a job.", role: .view, parameters: [jid, Self.get]) { [self] r in
                Self.metrics(Self.samples(try jobs.job(r.parameter("jid")).report), r)
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/checkpoints", summary: "A job's checkpoints and savepoints.", role: .view, parameters: [jid]) { [self] r in
                .json(FlinkAnswers.checkpoints(try jobs.job(r.parameter("jid")).report))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/checkpoints/details/{checkpoint}", summary: "One checkpoint.", role: .view,
                  parameters: [jid, .init(name: "checkpoint", place: .path, isRequired: true, text: "Its number.")]) { [self] r in
                let report = try jobs.job(r.parameter("jid")).report
                guard let checkpoint = report.checkpoints.history.last(where: { "\($0.id)" == r.parameter("checkpoint") }) else {
                    throw StreamError(.validate, "there is no checkpoint \(r.parameter("checkpoint")) among the newest ones").notFound
                }
                return .json(FlinkAnswers.checkpoint(checkpoint))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/exceptions", summary: "What a job failed with.", role: .view,
                  parameters: [jid, .init(name: "maxExceptions", place: .query, kind: .number(1...1_000), text: "At most that many.")]) { [self] r in
                .json(FlinkAnswers.exceptions(try jobs.job(r.parameter("jid")).report, limit: try r.number("maxExceptions", default: 20, in: 1...1_000)))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}", summary: "A vertex with its subtasks.", role: .view, parameters: [jid, vid]) { [self] r in
                let (job, vertex) = try vertex(r)
                return .json(FlinkAnswers.vertexDetails(vertex, of: job, now: Clock.milliseconds()))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/backpressure", summary: "How busy, idle and held back its subtasks are.", role: .view, parameters: [jid, vid]) { [self] r in
                let (job, vertex) = try vertex(r)
                return .json(FlinkAnswers.backPressure(vertex, attempt: job.report.attempt - 1))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/watermarks", summary: "Watermarks of its subtasks.", role: .view, parameters: [jid, vid]) { [self] r in
                .json(FlinkAnswers.watermarks(try vertex(r).vertex))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/metrics", summary: "Metrics of its subtasks.", role: .view, parameters: [jid, vid, Self.get]) { [self] r in
                let subtasks = try vertex(r).vertex.subtasks
                return Self.metrics(subtasks.flatMap { s in Self.samples(s).map { ("\(s.index).\($0.id)", $0.value) } }, r)
            },
            Route(method: "POST", path: "/v1/jobs/{jid}/savepoints", summary: "Take a savepoint; answers at once with an id to ask by.", role: .operate, parameters: [jid],
                  body: Self.savepointBody, status: 202) { [self] r in
                let job = try jobs.job(r.parameter("jid")), body = try r.body(), service = service
                let directory = body["target-directory"]?.string, cancels = body["cancel-job"]?.bool ?? false
                let id = triggers.run(job.id, id: try Self.triggerID(body)) {
                    cancels ? try service.stop(job.topology, savepoint: true, directory: directory) : try service.savepoint(job.topology, directory: directory)
                }
                return .json(202, FlinkAnswers.object(["request-id": .string(id)]))
            },
            Route(method: "POST", path: "/v1/jobs/{jid}/stop", summary: "Stop with a savepoint; answers at once with an id to ask by.", role: .operate, parameters: [jid],
                  body: Self.stopBody, status: 202) { [self] r in
                let job = try jobs.job(r.parameter("jid")), body = try r.body(), service = service
                let directory = body["targetDirectory"]?.string, drains = body["drain"]?.bool ?? false
                let id = triggers.run(job.id, id: try Self.triggerID(body)) { try service.stop(job.topology, savepoint: true, directory: directory, drain: drains) }
                return .json(202, FlinkAnswers.object(["request-id": .string(id)]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/savepoints/{trigger}", summary: "What has become of a savepoint.", role: .view,
                  parameters: [jid, .init(name: "trigger", place: .path, isRequired: true, text: "The id of the request.")]) { [self] r in
                .json(try operation(r))
            },
            Route(method: "PATCH", path: "/v1/jobs/{jid}", summary: "End a job at once.", role: .operate,
                  parameters: [jid, .init(name: "mode", place: .query, kind: .choice(["cancel", "stop"]), text: "cancel, which is the default, or stop, which commits what was read.")], status: 202) { [self] r in
                let job = try jobs.job(r.parameter("jid"))
                if r.query["mode"] == "stop" { _ = try service.stop(job.topology, savepoint: false) } else { try service.cancel(job.topology) }
                return .json(202, .object([]))
            },
            Route(method: "PATCH", path: "/v1/jobs/{jid}/rescaling", summary: "Run a job with another parallelism, from a savepoint.", role: .operate,
                  parameters: [jid, .init(name: "parallelism", place: .query, kind: .number(1...1_024), isRequired: true, text: "Subtasks per operator.")], status: 202) { [self] r in
                let job = try jobs.job(r.parameter("jid")), service = service, parallelism = try r.number("parallelism", in: 1...1_024)
                let id = triggers.run(job.id, id: nil) { try service.rescale(job.topology, parallelism: parallelism).savepoint }
                return .json(202, FlinkAnswers.object(["request-id": .string(id)]))
            },
        ]
    }

    private static func triggerID(_ body: JSON) throws -> String? {
        guard let id = body["triggerId"]?.string else { return nil }
        guard id.count == 32, id.allSatisfy(\.isHexDigit) else { throw StreamError(.validate, "the triggerId is not 32 hexadecimal digits", fix: "leave it out, or make it an id of that form") }
        return id.lowercased()
    }

    static func schema(_ properties: KeyValuePairs<String, String>) -> JSON {
        .object([.init("type", .string("object")), .init("properties", .object(properties.map { .init($0.key, .object([.init("type", .string($0.value))])) }))])
    }
    private static let savepointBody = schema(["target-directory": "string", "cancel-job": "boolean", "triggerId": "string"])
    private static let stopBody = schema(["targetDirectory": "string", "drain": "boolean", "triggerId": "string"])
}
