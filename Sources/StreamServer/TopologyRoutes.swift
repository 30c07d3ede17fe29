import Foundation
import HTTPServer
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension RestAPI {
    private static let name = Route.Parameter(name: "name", place: .path, isRequired: true, text: "Name of a topology.")

    func topology(_ host: TopologyHost) -> JSON {
        let known = jobs.jobs(of: host)
        let state = host.snapshot, t = state.topology
        return FlinkAnswers.object([
            "name": .string(t.name), "kind": .string(t.kind.rawValue), "state": .string(state.phase.rawValue), "desired": .string(t.desired.rawValue), "version": .int(Int64(t.version)),
            "parallelism": t.options.parallelism.map { .int(Int64($0)) } ?? .null, "jobs": .array(known.map { .string($0.id) }), "deployedAt": .int(t.deployedAt),
            "startedAt": state.startedAt.map { .int($0) } ?? .null, "restarts": .int(Int64(state.restarts)),
            "error": (state.error ?? known.compactMap { $0.report.failures.last?.message }.last).map { .string($0) } ?? .null,
            "process": host.folder.process.map { .int(Int64($0)) } ?? .null, "savepoint": t.startFrom.map { .string($0) } ?? .null,
            "memory": t.options.memory.map { .int(Int64($0)) } ?? .null, "cpuWeight": t.options.cpuWeight.map { .int(Int64($0)) } ?? .null,
            "limits": state.limits.map { .string($0) } ?? .null,
            "rowsPerSecond": .double(known.reduce(0) { $0 + $1.rowsPerSecond }),
        ])
    }

    private func deployment(_ d: Service.Deployment) throws -> HTTPResponse {
        guard case .object(let members) = topology(try service.host(d.name)) else { return .json(.null) }
        return .json(d.isNew ? 201 : 200, .object(members + [
            .init("isNew", .bool(d.isNew)), .init("isUnchanged", .bool(d.isUnchanged)), .init("startedFrom", d.savepoint.map { .string($0) } ?? .null),
        ]))
    }

    private static func options(_ r: APIRequest) throws -> DeployOptions {
        var options = DeployOptions()
        if r.query["parallelism"] != nil { options.parallelism = try r.number("parallelism", in: 1...1_024) }
        if r.query["workers"] != nil { options.workers = try r.number("workers", in: 1...1_024) }
        if r.query["cpuWeight"] != nil { options.cpuWeight = try r.number("cpuWeight", in: 1...10_000) }
        if r.query["memory"] != nil { options.memory = try r.number("memory", in: (64 << 20)...(1 << 50)) }
        options.allowsNonRestoredState = try r.flag("allowNonRestoredState")
        if let text = r.query["variables"] {
            guard let members = (try? JSON.parse(Array(text.utf8), "variables"))?.members else {
                throw StreamError(.validate, "the parameter variables is no JSON object", fix: "write for example {\"START\":\"LATEST\"}")
            }
            for member in members {
                guard let value = member.value.string, !member.name.isEmpty, !member.name.contains("="), !member.name.contains("\0"), !value.contains("\0") else {
                    throw StreamError(.validate, "the variable \(member.name) is no text", fix: "write for example {\"START\":\"LATEST\"}")
                }
                options.variables[member.name] = value
            }
        }
        return options
    }

    var topologyRoutes: [Route] {
        let name = Self.name
        let deployParameters: [Route.Parameter] = [
            name, .init(name: "kind", place: .query, kind: .choice(["yaml", "sql"]), text: "What the text is; yaml by default."),
            .init(name: "parallelism", place: .query, kind: .number(1...1_024), text: "Subtasks per operator; by default what the file says."),
            .init(name: "workers", place: .query, kind: .number(1...1_024), text: "Worker threads; by default one for each core."),
            .init(name: "memory", place: .query, kind: .number((64 << 20)...(1 << 50)), text: "Bytes of memory that the process may take."),
            .init(name: "cpuWeight", place: .query, kind: .number(1...10_000), text: "Share of the processor when there is not enough; 100 is the usual one."),
            .init(name: "allowNonRestoredState", place: .query, kind: .flag, text: "Leave state behind that belongs to operators which the new version does not have."),
            .init(name: "variables", place: .query, text: "A JSON object: what ${NAME} in the text stands for. No place for secrets."),
        ]
        @Sendable func target(_ body: JSON) -> String? { body["targetDirectory"]?.string ?? body["target-directory"]?.string }
        return [
            Route(method: "GET", path: "/v1/topologies", summary: "All topologies.", role: .view) { [self] _ in
                .json(FlinkAnswers.object(["topologies": .array(service.all.map { topology($0) })]))
            },
            Route(method: "GET", path: "/v1/topologies/{name}", summary: "A topology with its text.", role: .view, parameters: [name]) { [self] r in
                let host = try service.host(r.parameter("name"))
                guard case .object(let members) = topology(host) else { return .json(.null) }
                return .json(.object(members + [.init("text", .string(host.snapshot.topology.text))]))
            },
            Route(method: "PUT", path: "/v1/topologies/{name}", summary: "Deploy a topology, or a new version of it: stopped with a savepoint, started from it, put back when the new version does not come up.",
                  role: .admin, parameters: deployParameters, bodyIsText: true, status: 201) { [self] r in
                guard let text = String(validating: r.http.body, as: UTF8.self) else { throw StreamError(.validate, "the text is not UTF-8", fix: "send it as UTF-8") }
                guard text.contains(where: { !$0.isWhitespace }) else { throw StreamError(.validate, "there is no text", fix: "send the topology's text as the body") }
                let kind = DeployedTopology.Kind(rawValue: r.query["kind"] ?? "yaml") ?? .yaml
                return try deployment(try service.deploy(r.parameter("name"), kind: kind, text: text, options: try Self.options(r)))
            },
            Route(method: "DELETE", path: "/v1/topologies/{name}", summary: "Stop a topology and forget it; checkpoints, savepoints and tables stay.", role: .admin, parameters: [name]) { [self] r in
                try service.remove(r.parameter("name"))
                return .json(.object([]))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/start", summary: "Run a topology that is stopped.", role: .operate, parameters: [name]) { [self] r in
                try service.start(r.parameter("name"))
                return .json(topology(try service.host(r.parameter("name"))))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/stop", summary: "Stop; what was read is committed.", role: .operate, parameters: [
                name, .init(name: "savepoint", place: .query, kind: .flag, text: "Take a savepoint at the end."), .init(name: "drain", place: .query, kind: .flag, text: "Bring event time to its end first."),
            ], body: Self.schema(["targetDirectory": "string"])) { [self] r in
                let path = try service.stop(r.parameter("name"), savepoint: try r.flag("savepoint"), directory: target(try r.body()), drain: try r.flag("drain"))
                return .json(FlinkAnswers.object(["savepoint": path.map { .string($0) } ?? .null]))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/cancel", summary: "End at once; the next run goes on from the newest checkpoint.", role: .operate, parameters: [name]) { [self] r in
                try service.cancel(r.parameter("name"))
                return .json(topology(try service.host(r.parameter("name"))))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/restart", summary: "Stop and start again.", role: .operate, parameters: [name]) { [self] r in
                try service.restart(r.parameter("name"))
                return .json(topology(try service.host(r.parameter("name"))))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/savepoint", summary: "Take a savepoint of a topology that goes on.", role: .operate, parameters: [name],
                  body: Self.schema(["targetDirectory": "string"])) { [self] r in
                .json(FlinkAnswers.object(["savepoint": .string(try service.savepoint(r.parameter("name"), directory: target(try r.body())))]))
            },
            Route(method: "POST", path: "/v1/topologies/{name}/rescale", summary: "Run with another parallelism, from a savepoint.", role: .operate,
                  parameters: [name, .init(name: "parallelism", place: .query, kind: .number(1...1_024), isRequired: true, text: "Subtasks per operator.")]) { [self] r in
                try deployment(try service.rescale(r.parameter("name"), parallelism: try r.number("parallelism", in: 1...1_024)))
            },
            Route(method: "GET", path: "/v1/topologies/{name}/logs", summary: "The end of a topology's log, and what follows.", role: .view, parameters: [
                name, .init(name: "lines", place: .query, kind: .number(0...100_000), text: "Lines from the end; 200 by default."),
                .init(name: "follow", place: .query, kind: .flag, text: "Go on with what is written from now on."),
            ], answer: .text) { [self] r in
                let host = try service.host(r.parameter("name"))
                return try LogTail(path: host.folder.log).answer(lines: try r.number("lines", default: 200, in: 0...100_000), follows: try r.flag("follow"))
            },
        ]
    }
}

/// The end of a log file.
struct LogTail: Sendable {
    let path: String

    func answer(lines: Int, follows: Bool) throws -> HTTPResponse {
        let (text, end) = try tail(lines)
        let headers = [("Content-Type", "text/plain; charset=utf-8")]
        guard follows else { return HTTPResponse(200, headers: headers, body: text) }
        let path = path
        return HTTPResponse(200, headers: headers) { body in
            do {
                if !text.isEmpty { try body.write(text) }
                var at = end
                while !body.isClosed {
                    var status = stat()
                    guard stat(path, &status) == 0 else { return }
                    let size = Int(status.st_size)
                    // It was cut: what is left begins anew.
                    if size < at { at = 0 }
                    if size > at {
                        let more = try Self.read(path, from: at, count: min(size - at, 1 << 20))
                        if !more.isEmpty { try body.write(more) }
                        at += more.count
                    } else {
                        usleep(100_000)
                    }
                }
            } catch {
                // The reader has gone, or the file: there is nobody to tell.
                return
            }
        }
    }

    private func tail(_ lines: Int) throws -> ([UInt8], end: Int) {
        var status = stat()
        guard stat(path, &status) == 0 else { return ([], 0) }
        let size = Int(status.st_size)
        if lines == 0 { return ([], size) }
        // Lines are short: that many bytes hold them, or as much as an answer should.
        let from = max(0, size - min(lines * 1_024 + 65_536, 8 << 20))
        let bytes = try Self.read(path, from: from, count: size - from)
        var seen = 0, start = 0
        for i in stride(from: bytes.count - 1, through: 0, by: -1) where bytes[i] == 10 && i != bytes.count - 1 {
            seen += 1
            if seen == lines {
                start = i + 1
                break
            }
        }
        return (Array(bytes[start...]), size)
    }

    private static func read(_ path: String, from: Int, count: Int) throws -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw Host.failure("read", path) }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: count)
        let n = pread(fd, &bytes, count, off_t(from))
        guard n >= 0 else { throw Host.failure("read", path) }
        return Array(bytes[..<n])
    }
}
