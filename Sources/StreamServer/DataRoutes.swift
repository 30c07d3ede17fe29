import Foundation
import HTTPServer
import StreamCore
import struct StreamCore.Host
import StreamSQL
import Topology

/// A lake table that a topology names.
private struct LakeTableName: Sendable {
    var name: String, topology: String, format: String, path: String
    var isWritten: Bool
}

extension RestAPI {
    private var tool: Tool { Tool(executable: service.context.executable, data: service.context.data) }

    /// Tables of all topologies that lie in a directory, and what is wrong with topologies whose text is not understood any more: a
    /// variable that was set when they were deployed may have gone.
    private func lakeTables() -> (tables: [LakeTableName], problems: [(topology: String, problem: String)]) {
        var out: [LakeTableName] = [], problems: [(topology: String, problem: String)] = []
        for host in service.all {
            let topology: Topology
            do { topology = try service.parsed(host.snapshot.topology) } catch {
                problems.append((host.name, "\(error)"))
                continue
            }
            var written: Set<String> = []
            for statement in topology.statements {
                switch statement.node {
                case .insert(let insert): written.insert(insert.target.parts.last ?? "")
                case .statementSet(let inserts): for insert in inserts { written.insert(insert.target.parts.last ?? "") }
                default: break
                }
            }
            for statement in topology.statements {
                guard case .createTable(let table) = statement.node else { continue }
                let options = Dictionary(table.options.map { ($0.key, $0.value) }) { $1 }
                guard let format = options["connector"], ["hudi", "delta", "iceberg"].contains(format), let path = options["path"] else { continue }
                let name = table.name.parts.last ?? ""
                out.append(.init(name: name, topology: host.name, format: format, path: path, isWritten: written.contains(name)))
            }
        }
        return (out, problems)
    }

    private func lakeTable(_ name: String) throws -> LakeTableName {
        let (all, problems) = lakeTables()
        let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
        if let table = all.first(where: { $0.name == name }) ?? all.first(where: { parts.count == 2 && $0.topology == parts[0] && $0.name == parts[1] }) { return table }
        let unknown = problems.isEmpty ? "" : "; what \(problems.map(\.topology).joined(separator: ", ")) has is not known, as its text is not understood any more"
        throw StreamError(.validate, "no topology has a lake table '\(name)'\(unknown)", fix: NearName.hint(for: name, in: all.map(\.name)) ?? "GET /v1/tables lists them").notFound
    }

    private func described(_ table: LakeTableName) -> [JSON.Member] {
        [.init("name", .string(table.name)), .init("topology", .string(table.topology)), .init("format", .string(table.format)), .init("path", .string(table.path)),
         .init("isWritten", .bool(table.isWritten))]
    }

    var dataRoutes: [Route] {
        let table = Route.Parameter(name: "name", place: .path, isRequired: true, text: "Name of a table, or TOPOLOGY.TABLE.")
        let stream = Route.Parameter(name: "name", place: .path, isRequired: true, text: "Name of a stream.")
        return [
            Route(method: "GET", path: "/v1/tables", summary: "Lake tables of all topologies.", role: .view) { [self] _ in
                let (tables, problems) = lakeTables()
                return .json(FlinkAnswers.object([
                    "tables": .array(tables.map { .object(described($0)) }),
                    "problems": .array(problems.map { FlinkAnswers.object(["topology": .string($0.topology), "problem": .string($0.problem)]) }),
                ]))
            },
            Route(method: "GET", path: "/v1/tables/{name}", summary: "A lake table: columns, partitions, files, timeline.", role: .view, parameters: [table]) { [self] r in
                let table = try lakeTable(r.parameter("name"))
                var members = described(table)
                if let shown = try tool.lines(["table", "show", table.path, "--output", "json"]).first?.members {
                    members += shown.filter { $0.name != "name" && $0.name != "path" && $0.name != "format" }
                }
                members.append(.init("timeline", .array(try tool.lines(["table", "timeline", table.path, "--output", "json"]).suffix(200))))
                let files = try tool.lines(["table", "files", table.path, "--output", "json"])
                members.append(.init("fileSizes", .array(files.prefix(10_000).compactMap { $0["bytes"] })))
                return .json(.object(members))
            },
            Route(method: "GET", path: "/v1/tables/{name}/rows", summary: "Some rows of a lake table.", role: .view,
                  parameters: [table, .init(name: "limit", place: .query, kind: .number(1...1_000), text: "At most that many; 50 by default.")]) { [self] r in
                let table = try lakeTable(r.parameter("name")), limit = try r.number("limit", default: 50, in: 1...1_000)
                let path = table.path.replacingOccurrences(of: "'", with: "''")
                let statement = "CREATE TABLE shown WITH ('connector' = '\(table.format)', 'path' = '\(path)'); SELECT * FROM shown LIMIT \(limit);"
                return .json(try rows(statement, limit: limit, seconds: 20))
            },
            Route(method: "GET", path: "/v1/streams", summary: "Streams of the shard log.", role: .view) { [self] _ in
                let streams = try tool.lines(["stream", "list", "--output", "json"]).map { stream -> JSON in
                    var stream = stream
                    stream["name"] = stream["stream"]
                    return stream
                }
                return .json(FlinkAnswers.object(["streams": .array(streams)]))
            },
            Route(method: "GET", path: "/v1/streams/{name}", summary: "A stream's shards.", role: .view, parameters: [stream]) { [self] r in
                let name = try streamName(r)
                guard let found = try tool.lines(["stream", "describe", name, "--output", "json"]).first else { throw StreamError(.runtime, "stream \(name) was not described") }
                let shards = (found["shards"]?.array ?? []).map { shard in
                    FlinkAnswers.object([
                        "id": shard["shard"] ?? .null, "parent": shard["parents"]?.array?.first ?? .null, "parents": shard["parents"] ?? .array([]),
                        "range": .array([shard["first_hash_key"] ?? .null, shard["last_hash_key"] ?? .null]), "open": .bool(shard["closed"]?.int == nil),
                        "first": shard["earliest"] ?? .null, "last": shard["latest"] ?? .null, "records": shard["records"] ?? .int(0), "bytes": shard["bytes"] ?? .int(0),
                    ])
                }
                return .json(FlinkAnswers.object(["name": .string(name), "created": found["created"] ?? .null, "shards": .array(shards)]))
            },
            Route(method: "GET", path: "/v1/streams/{name}/tail", summary: "The newest records of a stream.", role: .view, parameters: [
                stream, .init(name: "shard", place: .query, text: "Of this shard only."), .init(name: "limit", place: .query, kind: .number(1...1_000), text: "At most that many; 50 by default."),
            ]) { [self] r in
                let name = try streamName(r), limit = try r.number("limit", default: 50, in: 1...1_000)
                var arguments = ["stream", "get", name, "--metadata", "--last", "\(limit)"]
                if let text = r.query["shard"] {
                    guard let shard = Int(text.hasPrefix("shardId-") ? String(text.dropFirst(8)) : text), shard >= 0 else {
                        throw StreamError(.validate, "'\(text.prefix(100))' is no shard", fix: "give its number, or its name such as shardId-000000000000")
                    }
                    arguments += ["--shard", "\(shard)"]
                }
                let records = try tool.lines(arguments).map { record in
                    FlinkAnswers.object([
                        "shard": record["shard"] ?? .null, "sequence": record["sequence_number"] ?? .null, "partitionKey": record["partition_key"] ?? .null,
                        "arrival": record["timestamp"] ?? .null, "text": record["data"] ?? .null,
                    ])
                }.sorted { ($0["arrival"]?.int ?? 0) < ($1["arrival"]?.int ?? 0) }
                return .json(FlinkAnswers.object(["records": .array(Array(records.suffix(limit)))]))
            },
            Route(method: "POST", path: "/v1/sql", summary: "Run statements, and show the rows of the last query. Statements that bring a program need the role admin.", role: .operate,
                  body: Self.schema(["statement": "string", "limit": "integer", "timeout": "integer", "topology": "string"])) { [self] r in
                let body = try r.body()
                guard let statement = body["statement"]?.string, statement.contains(where: { !$0.isWhitespace }) else {
                    throw StreamError(.validate, "there is no statement", fix: "send {\"statement\": \"SELECT 1\"}")
                }
                if let refusal = Self.refusal(ofPrograms: statement, r.caller) { return refusal }
                let limit = try Self.number(body, "limit", default: 100, in: 1...10_000), seconds = try Self.number(body, "timeout", default: 10, in: 1...300)
                var definitions = ""
                if let name = body["topology"]?.string {
                    let topology = try service.parsed(service.host(name).snapshot.topology)
                    for statement in topology.statements {
                        switch statement.node {
                        case .createTable, .createView, .set: definitions += statement.text + ";\n"
                        default: break
                        }
                    }
                }
                return .json(try rows(statement, definitions: definitions, limit: limit, seconds: Double(seconds)))
            },
        ]
    }

    private static func number(_ body: JSON, _ name: String, default fallback: Int, in range: ClosedRange<Int>) throws -> Int {
        guard let value = body[name] else { return fallback }
        guard let n = value.int, range.contains(Int(n)) else {
            throw StreamError(.validate, "\(name) is not a number from \(range.lowerBound) to \(range.upperBound)", fix: "leave it out, or give one")
        }
        return Int(n)
    }

    private func streamName(_ r: APIRequest) throws -> String {
        let name = r.parameter("name")
        guard !name.isEmpty, name.utf8.count <= 128, name.utf8.allSatisfy({ ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || ($0 >= 0x30 && $0 <= 0x39) || "_.-".utf8.contains($0) }), !name.hasPrefix("-")
        else { throw StreamError(.validate, "'\(name.prefix(150))' is no name of a stream", fix: "use letters, digits and _.-") }
        let known = try tool.lines(["stream", "list", "--output", "json"]).compactMap { $0["stream"]?.string }
        guard known.contains(name) else {
            throw StreamError(.validate, "there is no stream '\(name)'", fix: NearName.hint(for: name, in: known) ?? "GET /v1/streams lists them").notFound
        }
        return name
    }

    /// The rows of a query, a JSON object each.
    private func rows(_ statement: String, definitions: String = "", limit: Int, seconds: Double) throws -> JSON {
        var arguments = ["sql", "--output", "json", "--schema-line"]
        let prelude = service.context.directory + "/checks/" + Host.system.uuid() + ".sql"
        if !definitions.isEmpty {
            try Host.system.createDirectories(service.context.directory + "/checks")
            try Host.system.replaceFile(prelude, Array(definitions.utf8))
            arguments += ["--prelude", prelude]
        }
        defer { if !definitions.isEmpty { try? Host.system.remove(prelude) } }
        let (output, isCut) = try tool.run(arguments, seconds: seconds, lines: limit + 1, input: statement, toleratesEnd: true)
        var columns: [JSON] = [], rows: [JSON] = [], isChangelog = false
        for line in output.split(separator: 10) {
            guard let row = try? JSON.parse(Array(line), "a row"), let members = row.members else { continue }
            // Each query begins with what its rows are; the rows of the last one count.
            if let schema = row["columns"]?.array, let kind = row["changelog"]?.bool {
                (columns, rows, isChangelog) = (schema, [], kind)
                continue
            }
            rows.append(.array(members.map(\.value)))
        }
        if isChangelog { columns.insert(FlinkAnswers.object(["name": .string("op"), "type": .string("STRING")]), at: 0) }
        return FlinkAnswers.object([
            "columns": .array(columns), "rows": .array(Array(rows.prefix(limit))), "isChangelog": .bool(isChangelog), "truncated": .bool(isCut),
        ])
    }
}
