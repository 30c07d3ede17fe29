import Foundation
import HTTPServer
import Monitoring
import StreamCore
import StreamRuntime
import StreamSQL
import Topology

/// What tools for Flink ask for beside jobs and their vertices. This machine is the one task manager; its slots are its processors.
extension RestAPI {
    private static let machine = "localhost"
    private static let aggregate = Route.Parameter(name: "agg", place: .query, text: "Of min, max, sum and avg, with commas between; all by default.")
    private static let subtask = Route.Parameter(name: "subtask", place: .path, isRequired: true, text: "Number of a subtask, from 0.")
    private static let taskManager = Route.Parameter(name: "tmid", place: .path, isRequired: true, text: "Id of a task manager: localhost.")

    /// Values of the same metrics of several things, put together: names alone unless some are asked for.
    static func aggregated(_ each: [[(id: String, value: Double)]], _ request: APIRequest) throws -> HTTPResponse {
        var all: [String: [Double]] = [:]
        for samples in each { for sample in samples { all[sample.id, default: []].append(sample.value) } }
        let names = all.keys.sorted()
        guard let wanted = request.query["get"] else { return .json(.array(names.map { .object([.init("id", .string($0))]) })) }
        let modes = try request.query["agg"].map { text in
            try Set(text.split(separator: ",").map { name in
                guard ["min", "max", "sum", "avg"].contains(name) else { throw StreamError(.validate, "there is no aggregation '\(name.prefix(50))'", fix: "use min, max, sum or avg") }
                return String(name)
            })
        } ?? ["min", "max", "sum", "avg"]
        let chosen = Set(wanted.split(separator: ",").map(String.init))
        return .json(.array(names.filter { chosen.contains($0) }.map { name in
            let values = all[name]!, sum = values.reduce(0, +)
            let known: KeyValuePairs<String, Double> = ["min": values.min()!, "max": values.max()!, "avg": sum / Double(values.count), "sum": sum]
            return .object([.init("id", .string(name))] + known.filter { modes.contains($0.key) }.map { .init($0.key, .double($0.value)) })
        }))
    }

    /// Things that a request names, with commas between; all when it names none.
    private static func chosen(_ request: APIRequest, _ parameter: String) -> Set<String>? {
        request.query[parameter].map { Set($0.split(separator: ",").map(String.init)) }
    }

    private func subtaskOf(_ request: APIRequest) throws -> (job: KnownJob, vertex: JobReport.Vertex, subtask: JobReport.Subtask) {
        let (job, vertex) = try vertex(request)
        guard let found = vertex.subtasks.first(where: { "\($0.index)" == request.parameter("subtask") }) else {
            throw StreamError(.validate, "vertex \(vertex.name) has no subtask \(request.parameter("subtask").prefix(50))", fix: "give a number from 0 to \(max(0, vertex.subtasks.count - 1))").notFound
        }
        return (job, vertex, found)
    }

    private var slots: Int { ProcessInfo.processInfo.activeProcessorCount }

    private func taskManager(_ request: APIRequest) throws -> JSON {
        guard request.parameter("tmid") == Self.machine else {
            throw StreamError(.validate, "there is no task manager \(request.parameter("tmid").prefix(100))", fix: "this machine is the only one: \(Self.machine)").notFound
        }
        return taskManager
    }

    /// How Flink divides the memory of a virtual machine; here there is none.
    private static let memoryParts = ["frameworkHeap", "taskHeap", "frameworkOffHeap", "taskOffHeap", "networkMemory", "managedMemory", "jvmMetaspace", "jvmOverhead", "totalFlinkMemory", "totalProcessMemory"]

    private var taskManager: JSON {
        func resources(_ cores: Int) -> JSON {
            FlinkAnswers.object(["cpuCores": .double(Double(cores)), "taskHeapMemory": .int(0), "taskOffHeapMemory": .int(0), "managedMemory": .int(0), "networkMemory": .int(0), "extendedResources": .object([])])
        }
        let memory = Int64(clamping: ProcessInfo.processInfo.physicalMemory)
        return FlinkAnswers.object([
            "id": .string(Self.machine), "path": .string(Self.machine), "dataPort": .int(0), "jmxPort": .int(-1), "timeSinceLastHeartbeat": .int(Clock.milliseconds()),
            "slotsNumber": .int(Int64(slots)), "freeSlots": .int(0), "blocked": .bool(false), "totalResource": resources(slots), "freeResource": resources(0),
            "hardware": FlinkAnswers.object(["cpuCores": .int(Int64(slots)), "physicalMemory": .int(memory), "freeMemory": .int(0), "managedMemory": .int(0)]),
            "memoryConfiguration": .object(Self.memoryParts.map { .init($0, .null) }), "allocatedSlots": .array([]),
        ])
    }

    /// Of the daemon's own process.
    private static func processSamples() -> [(id: String, value: Double)] { ProcessMetrics.current().samples.map { ($0.name, $0.value) } }

    private func managerSamples() -> [(id: String, value: Double)] {
        let running = jobs.all().count { [.running, .initializing, .restarting].contains($0.report.state) }
        return [("numRunningJobs", Double(running)), ("taskSlotsTotal", Double(slots)), ("taskSlotsAvailable", 0), ("numRegisteredTaskManagers", 1)] + Self.processSamples()
    }

    private func logList() -> JSON { FlinkAnswers.object(["logs": .array([])]) }

    var flinkRoutes: [Route] {
        let jid = Self.jid, vid = Self.vid, get = Self.get, manager = Self.taskManager, subtask = Self.subtask
        return [
            Route(method: "GET", path: "/v1/taskmanagers", summary: "Where jobs run: this machine.", role: .view) { [self] _ in
                .json(FlinkAnswers.object(["taskmanagers": .array([taskManager])]))
            },
            Route(method: "GET", path: "/v1/taskmanagers/metrics", summary: "Metrics of the daemon's process.", role: .view, parameters: [
                get, Self.aggregate, .init(name: "taskmanagers", place: .query, text: "Of these; there is one."),
            ]) { r in
                try Self.aggregated(Self.chosen(r, "taskmanagers").map { $0.contains(Self.machine) } ?? true ? [Self.processSamples()] : [], r)
            },
            Route(method: "GET", path: "/v1/taskmanagers/{tmid}", summary: "This machine.", role: .view, parameters: [manager]) { [self] r in .json(try taskManager(r)) },
            Route(method: "GET", path: "/v1/taskmanagers/{tmid}/metrics", summary: "Metrics of the daemon's process.", role: .view, parameters: [manager, get]) { [self] r in
                _ = try taskManager(r)
                return Self.metrics(Self.processSamples(), r)
            },
            Route(method: "GET", path: "/v1/taskmanagers/{tmid}/logs", summary: "None: logs are those of topologies.", role: .view, parameters: [manager]) { [self] r in
                _ = try taskManager(r)
                return .json(logList())
            },
            Route(method: "GET", path: "/v1/jobmanager/config", summary: "Settings of the daemon.", role: .view) { [self] _ in
                let address = [("jobmanager.rpc.address", Self.machine), ("taskmanager.numberOfTaskSlots", "\(slots)"), ("state.checkpoints.dir", service.context.data + "/checkpoints"),
                               ("state.savepoints.dir", service.context.data + "/savepoints")]
                return .json(.array(address.map { FlinkAnswers.object(["key": .string($0.0), "value": .string($0.1)]) }))
            },
            Route(method: "GET", path: "/v1/jobmanager/metrics", summary: "Metrics of the daemon.", role: .view, parameters: [get]) { [self] r in Self.metrics(managerSamples(), r) },
            Route(method: "GET", path: "/v1/jobmanager/logs", summary: "None: logs are those of topologies.", role: .view) { [self] _ in .json(logList()) },
            Route(method: "GET", path: "/v1/datasets", summary: "None: results are tables.", role: .view) { _ in .json(FlinkAnswers.object(["dataSets": .array([])])) },
            Route(method: "GET", path: "/v1/jars", summary: "None: jobs come from topologies.", role: .view) { _ in .json(FlinkAnswers.object(["address": .string(""), "files": .array([])])) },
            Route(method: "GET", path: "/v1/jobs/metrics", summary: "Metrics of jobs, put together.", role: .view, parameters: [
                get, Self.aggregate, .init(name: "jobs", place: .query, text: "Ids of jobs, with commas between; all by default."),
            ]) { [self] r in
                let wanted = Self.chosen(r, "jobs")
                return try Self.aggregated(jobs.all().filter { wanted?.contains($0.id) ?? true }.map { Self.samples($0.report) }, r)
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/accumulators", summary: "None.", role: .view, parameters: [
                jid, .init(name: "includeSerializedValue", place: .query, kind: .flag, text: "Of no effect."),
            ]) { [self] r in
                _ = try jobs.job(r.parameter("jid"))
                return .json(FlinkAnswers.object(["job-accumulators": .array([]), "user-task-accumulators": .array([]), "serialized-user-task-accumulators": .object([])]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/execution-result", summary: "Whether a job has ended, and how.", role: .view, parameters: [jid]) { [self] r in
                let job = try jobs.job(r.parameter("jid")), hasEnded = job.endedAt != nil
                var members: [JSON.Member] = [.init("status", FlinkAnswers.object(["id": .string(hasEnded ? "COMPLETED" : "IN_PROGRESS")]))]
                if let end = job.endedAt {
                    let status = ["FINISHED": "SUCCEEDED", "CANCELED": "CANCELED", "FAILED": "FAILED"][job.state] ?? "UNKNOWN"
                    members.append(.init("job-execution-result", FlinkAnswers.object([
                        "id": .string(job.id), "application-status": .string(status), "accumulator-results": .object([]), "net-runtime": .int(max(0, end - job.report.startedAt)),
                    ])))
                }
                return .json(.object(members))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/checkpoints/config", summary: "How a job takes checkpoints.", role: .view, parameters: [jid]) { [self] r in
                .json(try checkpointConfig(try jobs.job(r.parameter("jid"))))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/rescaling/{trigger}", summary: "What has become of a rescaling.", role: .view,
                  parameters: [jid, .init(name: "trigger", place: .path, isRequired: true, text: "The id of the request.")]) { [self] r in .json(try operation(r)) },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasktimes", summary: "Since when its subtasks are in which state.", role: .view, parameters: [jid, vid]) { [self] r in
                let (job, vertex) = try vertex(r), now = Clock.milliseconds()
                return .json(FlinkAnswers.object([
                    "id": .string(FlinkAnswers.vertexID(vertex)), "name": .string(vertex.name), "now": .int(now),
                    "subtasks": .array(vertex.subtasks.map { FlinkAnswers.subtaskTimes($0, of: job, now: now) }),
                ]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/taskmanagers", summary: "Where its subtasks run: on this machine.", role: .view, parameters: [jid, vid]) { [self] r in
                let (job, vertex) = try vertex(r), now = Clock.milliseconds()
                guard case .object(let members) = FlinkAnswers.vertex(vertex, of: job, now: now) else { return .json(.null) }
                let kept = members.filter { ["status", "start-time", "end-time", "duration", "metrics"].contains($0.name) }
                return .json(FlinkAnswers.object([
                    "id": .string(FlinkAnswers.vertexID(vertex)), "name": .string(vertex.name), "now": .int(now),
                    "taskmanagers": .array([.object([
                        .init("host", .string(Self.machine)), .init("endpoint", .string(Self.machine)), .init("taskmanager-id", .string(Self.machine)),
                        .init("status-counts", members.first { $0.name == "tasks" }?.value ?? .object([])),
                    ] + kept)]),
                ]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/accumulators", summary: "None.", role: .view, parameters: [jid, vid]) { [self] r in
                .json(FlinkAnswers.object(["id": .string(FlinkAnswers.vertexID(try vertex(r).vertex)), "user-accumulators": .array([])]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasks/accumulators", summary: "None: the subtasks there are.", role: .view, parameters: [jid, vid]) { [self] r in
                let vertex = try vertex(r).vertex
                return .json(FlinkAnswers.object([
                    "id": .string(FlinkAnswers.vertexID(vertex)), "parallelism": .int(Int64(vertex.parallelism)),
                    "subtasks": .array(vertex.subtasks.map { s in
                        FlinkAnswers.object(["subtask": .int(Int64(s.index)), "attempt": .int(0), "endpoint": .string(Self.machine), "user-accumulators": .array([])])
                    }),
                ]))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasks/metrics", summary: "Metrics of its subtasks, put together.", role: .view, parameters: [
                jid, vid, get, Self.aggregate, .init(name: "subtasks", place: .query, text: "Numbers of subtasks, with commas between; all by default."),
            ]) { [self] r in
                let wanted = Self.chosen(r, "subtasks")
                return try Self.aggregated(try vertex(r).vertex.subtasks.filter { wanted?.contains("\($0.index)") ?? true }.map(Self.samples), r)
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasks/{subtask}", summary: "A subtask.", role: .view, parameters: [jid, vid, subtask]) { [self] r in
                let (job, _, subtask) = try subtaskOf(r)
                return .json(FlinkAnswers.subtask(subtask, of: job, now: Clock.milliseconds()))
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasks/{subtask}/metrics", summary: "Metrics of a subtask.", role: .view, parameters: [jid, vid, subtask, get]) { [self] r in
                Self.metrics(Self.samples(try subtaskOf(r).subtask), r)
            },
            Route(method: "GET", path: "/v1/jobs/{jid}/vertices/{vid}/subtasks/{subtask}/attempts/{attempt}", summary: "An attempt of a subtask: the one that runs.", role: .view,
                  parameters: [jid, vid, subtask, .init(name: "attempt", place: .path, isRequired: true, text: "Its number, from 0.")]) { [self] r in
                let (job, _, subtask) = try subtaskOf(r), now = job.report.attempt - 1
                guard r.parameter("attempt") == "\(now)" else {
                    throw StreamError(.validate, "of attempt \(r.parameter("attempt").prefix(50)) nothing is known any more", fix: "ask for the one that runs, which is \(now)").notFound
                }
                return .json(FlinkAnswers.subtask(subtask, of: job, now: Clock.milliseconds()))
            },
        ]
    }

    /// What has become of something that went on after its request.
    func operation(_ r: APIRequest) throws -> JSON {
        guard let trigger = triggers.trigger(r.parameter("trigger"), of: r.parameter("jid")) else {
            throw StreamError(.validate, "there is no operation \(r.parameter("trigger").prefix(100)) of job \(r.parameter("jid").prefix(100))").notFound
        }
        var members: [JSON.Member] = [.init("status", FlinkAnswers.object(["id": .string(trigger.isDone ? "COMPLETED" : "IN_PROGRESS")]))]
        guard trigger.isDone else { return .object(members) }
        var operation: [JSON.Member] = []
        if let location = trigger.location { operation.append(.init("location", .string(location))) }
        if let failure = trigger.failure {
            operation.append(.init("failure-cause", FlinkAnswers.object(["class": .string("StreamError"), "stack-trace": .string(failure)])))
        }
        members.append(.init("operation", .object(operation)))
        return .object(members)
    }

    /// As the topology's settings have it, with the defaults of a job.
    private func checkpointConfig(_ job: KnownJob) throws -> JSON {
        let topology = try service.parsed(service.host(job.topology).snapshot.topology)
        var settings: [String: String] = [:]
        for statement in topology.statements { if case .set(let key, let value) = statement.node { settings[key] = value } }
        func length(_ name: String, _ otherwise: Duration?) -> JSON {
            let value = settings["execution.checkpointing." + name].flatMap { Durations.parse($0) } ?? otherwise
            return value.map { .int(Int64($0 / .milliseconds(1))) } ?? .null
        }
        func number(_ name: String, _ otherwise: Int) -> JSON { .int(settings["execution.checkpointing." + name].flatMap { Int64($0) } ?? Int64(otherwise)) }
        let defaults = CheckpointOptions()
        return FlinkAnswers.object([
            "mode": .string("exactly_once"), "interval": length("interval", CheckpointOptions.defaultInterval), "timeout": length("timeout", defaults.timeout),
            "min_pause": length("min-pause", defaults.minPause), "max_concurrent": number("max-concurrent-checkpoints", defaults.maxConcurrent),
            "externalization": FlinkAnswers.object(["enabled": .bool(true), "delete_on_cancellation": .bool(false)]),
            "state_backend": .string(settings["state.backend.type"] ?? settings["state.backend"] ?? "hashmap"), "checkpoint_storage": .string("FileSystemCheckpointStorage"),
            "unaligned_checkpoints": .bool(settings["execution.checkpointing.unaligned.enabled"] == "true" || settings["execution.checkpointing.unaligned"] == "true"),
            "tolerable_failed_checkpoints": number("tolerable-failed-checkpoints", defaults.tolerableFailures), "aligned_checkpoint_timeout": length("aligned-checkpoint-timeout", .zero),
            "checkpoints_after_tasks_finish": .bool(true), "state_changelog_enabled": .bool(false), "changelog_storage": .string(""), "changelog_periodic_materialization_interval": .int(0),
        ])
    }
}
