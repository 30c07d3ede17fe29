import Foundation
import HTTPServer
import Monitoring
import StreamCore

extension RestAPI {
    var daemonRoutes: [Route] {
        [
            Route(method: "GET", path: "/healthz", summary: "Whether the daemon answers.", role: nil) { _ in .json(FlinkAnswers.object(["status": .string("ok")])) },
            Route(method: "GET", path: "/openapi.json", summary: "This description.", role: nil) { [self] _ in .json(OpenAPI.description(allRoutes, version: options.version, hasTokens: options.access.hasTokens)) },
            Route(method: "GET", path: "/metrics", summary: "Metrics of all jobs and of the daemon for Prometheus, under the names of Flink's own reporter.", role: .view, answer: .metrics) { [self] _ in
                var text = PrometheusText(labels: ["host": "localhost", "tm_id": "localhost"])
                for job in jobs.all() { text.add(job.report, rates: jobs.rates(of: job)) }
                for host in service.all {
                    let state = host.snapshot
                    let labels = [("topology", host.name)]
                    text.add("swiftwater_topology_up", .gauge, "1 while the topology's process runs.", labels, host.folder.isAlive ? 1 : 0)
                    text.add("swiftwater_topology_wanted", .gauge, "1 for a topology that should run.", labels, state.topology.desired == .running ? 1 : 0)
                    text.add("swiftwater_topology_restarts_total", .counter, "Starts of its process after failures, since it was deployed or started.", labels, Double(state.restarts))
                }
                text.add(ProcessMetrics.current())
                return HTTPResponse(200, headers: [("Content-Type", PrometheusText.contentType)], body: text.render())
            },
            Route(method: "GET", path: "/v1/events", summary: "What happened to topologies, the newest first.", role: .view, parameters: [
                .init(name: "topology", place: .query, text: "Of this one only."), .init(name: "limit", place: .query, kind: .number(1...1_000), text: "At most that many; 100 by default."),
            ]) { [self] r in
                let events = try service.store.events(of: r.query["topology"], limit: try r.number("limit", default: 100, in: 1...1_000))
                return .json(FlinkAnswers.object(["events": .array(events.map { e in
                    FlinkAnswers.object(["at": .int(e.at), "topology": .string(e.topology), "kind": .string(e.kind), "text": .string(e.text)])
                })]))
            },
            Route(method: "GET", path: "/v1/audit", summary: "Who changed what, the newest first.", role: .admin, parameters: [
                .init(name: "limit", place: .query, kind: .number(1...10_000), text: "At most that many; 100 by default."),
            ]) { [self] r in
                let entries = try service.store.audit(limit: try r.number("limit", default: 100, in: 1...10_000))
                return .json(FlinkAnswers.object(["entries": .array(entries.map { e in
                    FlinkAnswers.object([
                        "at": .int(e.at), "who": .string(e.who), "peer": .string(e.peer), "action": .string(e.action), "target": .string(e.target), "status": .int(Int64(e.status)),
                    ])
                })]))
            },
            Route(method: "GET", path: "/v1/stream", summary: "Server-sent events: an overview each second.", role: .view, answer: .events) { [self] _ in
                HTTPResponse(200, headers: [("Content-Type", "text/event-stream; charset=utf-8"), ("X-Accel-Buffering", "no")]) { [self] body in
                    // A page asks again by itself when it loses the connection.
                    try? body.write(Array("retry: 2000\n\n".utf8))
                    while !body.isClosed {
                        let overview = FlinkAnswers.object([
                            "at": .int(Clock.milliseconds()), "topologies": .array(service.all.map { topology($0) }),
                            "jobs": .array(jobs.all().map { FlinkAnswers.overview($0, now: Clock.milliseconds()) }),
                        ])
                        guard (try? body.write(Array("event: overview\ndata: \(overview.text())\n\n".utf8))) != nil else { return }
                        for _ in 0..<10 where !body.isClosed { usleep(100_000) }
                    }
                }
            },
        ]
    }
}

/// The API's description as OpenAPI 3.0 has it, made of the routes themselves.
enum OpenAPI {
    static func description(_ routes: [Route], version: String, hasTokens: Bool) -> JSON {
        var paths: [(String, [JSON.Member])] = []
        for route in routes {
            let at = paths.firstIndex { $0.0 == route.path } ?? paths.count
            if at == paths.count { paths.append((route.path, [])) }
            paths[at].1.append(.init(route.method.lowercased(), operation(route)))
        }
        var members: [JSON.Member] = [
            .init("openapi", .string("3.0.3")),
            .init("info", FlinkAnswers.object([
                "title": .string("Swiftwater"), "version": .string(version.isEmpty ? "0" : version),
                "description": .string("Topologies and their jobs. What Flink's REST API has too answers in its shapes."),
            ])),
            .init("paths", .object(paths.map { .init($0.0, .object($0.1)) })),
            .init("components", FlinkAnswers.object([
                "securitySchemes": FlinkAnswers.object(["token": FlinkAnswers.object(["type": .string("http"), "scheme": .string("bearer")])]),
                "schemas": FlinkAnswers.object(["Errors": FlinkAnswers.object([
                    "type": .string("object"), "required": .array([.string("errors")]),
                    "properties": FlinkAnswers.object(["errors": FlinkAnswers.object(["type": .string("array"), "items": FlinkAnswers.object(["type": .string("string")])])]),
                ])]),
            ])),
        ]
        if hasTokens { members.append(.init("security", .array([FlinkAnswers.object(["token": .array([])])]))) }
        return .object(members)
    }

    private static func operation(_ route: Route) -> JSON {
        var members: [JSON.Member] = [
            .init("operationId", .string(route.method.lowercased() + route.path.map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined())), .init("summary", .string(route.summary)),
        ]
        if !route.parameters.isEmpty { members.append(.init("parameters", .array(route.parameters.map(parameter)))) }
        if route.bodyIsText {
            members.append(.init("requestBody", FlinkAnswers.object([
                "required": .bool(true), "content": FlinkAnswers.object(["text/plain": FlinkAnswers.object(["schema": FlinkAnswers.object(["type": .string("string"), "minLength": .int(1)])])]),
            ])))
        } else if let body = route.body {
            members.append(.init("requestBody", FlinkAnswers.object([
                "required": .bool(false), "content": FlinkAnswers.object(["application/json": FlinkAnswers.object(["schema": body])]),
            ])))
        }
        let media = route.answer.rawValue.prefix { $0 != ";" }
        let kind: JSON = .object(route.answer == .json ? [] : [.init("type", .string("string"))])
        let good = FlinkAnswers.object(["description": .string("Done."), "content": .object([.init(String(media), FlinkAnswers.object(["schema": kind]))])])
        var answers: [JSON.Member] = [.init("\(route.status)", good)]
        if route.status != 200 { answers.append(.init("200", good)) }
        let failure = FlinkAnswers.object([
            "description": .string("What is wrong, and what to do."),
            "content": FlinkAnswers.object(["application/json": FlinkAnswers.object(["schema": FlinkAnswers.object(["$ref": .string("#/components/schemas/Errors")])])]),
        ])
        for status in ["400", "401", "403", "404", "405", "408", "409", "413", "429", "500", "503"] { answers.append(.init(status, failure)) }
        members.append(.init("responses", .object(answers)))
        if route.role == nil { members.append(.init("security", .array([]))) }
        return .object(members)
    }

    private static func parameter(_ p: Route.Parameter) -> JSON {
        var schema: [JSON.Member]
        switch p.kind {
        case .string: schema = [.init("type", .string("string"))] + (p.place == .path ? [.init("minLength", .int(1))] : [])
        case .flag: schema = [.init("type", .string("boolean"))]
        case .number(let range): schema = [.init("type", .string("integer")), .init("minimum", .int(Int64(range.lowerBound))), .init("maximum", .int(Int64(range.upperBound)))]
        case .choice(let choices): schema = [.init("type", .string("string")), .init("enum", .array(choices.map { .string($0) }))]
        }
        return FlinkAnswers.object([
            "name": .string(p.name), "in": .string(p.place.rawValue), "required": .bool(p.isRequired || p.place == .path), "description": .string(p.text), "schema": .object(schema),
        ])
    }
}
