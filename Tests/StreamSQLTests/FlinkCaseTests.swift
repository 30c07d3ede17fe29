import FileConnectors
import Foundation
import StreamCore
import StreamExpressions
import StreamRuntime
import StreamTesting
import Synchronization
import Testing
@testable import StreamSQL

/// Scripts in Flink's dialect against what Flink gave for them; see Tests/Support/flink/README.md.
@Suite("Flink's results") struct FlinkCaseTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent(
        "Support/flink")

    /// Every script, by name, with whether its first line tags it `core`.
    static let scripts: [(name: String, isCore: Bool)] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("cases").path)) ?? []
        return files.filter { $0.hasSuffix(".sql") }.sorted().map { file in
            let text = (try? String(contentsOf: folder.appendingPathComponent("cases/\(file)"), encoding: .utf8)) ?? ""
            let tags = text.prefix { $0 != "\n" }.split { ",: ".contains($0) }
            return (String(file.dropLast(4)), tags.contains("core"))
        }
    }()

    static let names = scripts.filter(\.isCore).map(\.name)
    static let otherNames = scripts.filter { !$0.isCore }.map(\.name)

    @Test("the scripts are there") func present() {
        #expect(Self.names.count >= 84)
        #expect(Self.otherNames.count >= 68)
    }

    /// A part of the dialect that is not there yet must say so; rows that differ from Flink's are never right.
    @Test("the rest of the dialect gives Flink's rows or is refused by name", arguments: otherNames)
    func rest(name: String) throws {
        do { try flink(name: name) } catch let error as StreamError {
            #expect([.parse, .validate, .plan].contains(error.code), "\(error)")
            #expect(error.problem.contains("not supported") || error.problem.contains("there is no"), "\(error)")
        }
    }

    @Test("gives Flink's rows", arguments: names)
    func flink(name: String) throws {
        let script = try String(contentsOf: Self.folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)
            .replacing("${DATA}", with: Self.folder.appendingPathComponent("data").path)
        let lines = try String(contentsOf: Self.folder.appendingPathComponent("expected/\(name).jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try FlatJSON.parse(String($0)) }
        if let refusal = lines.first, refusal.names == ["error", "mentions"] {
            try expectRefusal(script, refusal)
            return
        }
        let actual = try Self.run(script).sorted { $0.description < $1.description }
        let expected = lines.sorted { $0.description < $1.description }
        #expect(actual.map(\.description) == expected.map(\.description))
    }

    /// Leaves out refusals, and LISTAGG, which follows the order of arrival.
    static let parallelNames = names.filter { name in
        let text = (try? String(contentsOf: folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)) ?? ""
        let expected = (try? String(contentsOf: folder.appendingPathComponent("expected/\(name).jsonl"), encoding: .utf8)) ?? ""
        return !text.contains("LISTAGG") && !expected.hasPrefix("{\"error\"") && !expected.isEmpty
    }

    @Test("gives Flink's rows with several subtasks too", arguments: parallelNames)
    func parallel(name: String) throws {
        let script = try String(contentsOf: Self.folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)
            .replacing("${DATA}", with: Self.folder.appendingPathComponent("data").path)
        let lines = try String(contentsOf: Self.folder.appendingPathComponent("expected/\(name).jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try FlatJSON.parse(String($0)) }
        let actual = try Self.run(script, settings: ["parallelism.default": "3"], workers: 2)
        #expect(actual.map(\.description).sorted() == lines.map(\.description).sorted())
    }

    private func expectRefusal(_ script: String, _ refusal: FlatJSON) throws {
        guard case .text(let category) = refusal.values[0], case .list(let mentions) = refusal.values[1] else { return }
        do {
            let rows = try Self.run(script)
            Issue.record("must be refused, but gave \(rows.count) rows")
        } catch let error as StreamError {
            let codes: Set<StreamError.Code> =
                switch category {
                case "parse": [.parse]
                case "runtime": [.runtime]
                default: [.validate, .plan]
                }
            #expect(codes.contains(error.code), "\(error)")
            let text = (error.problem + " " + (error.fix ?? "")).lowercased()
            for case .text(let mention) in mentions { #expect(text.contains(mention.lowercased()), "\(error)") }
            if category != "runtime" { #expect(error.location != nil && error.sourceLine != nil, "\(error)") }
        }
    }

    // MARK: running

    /// The rows of all queries and inserts of a script.
    static func run(_ script: String, settings: [String: String] = [:], workers: Int = 1) throws -> [FlatJSON] {
        let session = SQLSession(connectors: [FilesystemConnector(), PrintConnector(), BlackholeConnector()])
        for (key, value) in settings { try session.set(key, to: value) }
        var rows: [FlatJSON] = []
        for statement in try SQLParser(text: script).parseScript() {
            let sink = CollectingSink(maxParallelism: 1)
            var graph: JobGraph
            let schema: Schema
            switch try session.execute(statement) {
            case .query(let query):
                graph = try query.jobGraph(into: sink)
                schema = query.schema
            case .insert(let insert):
                graph = insert
                let i = graph.vertices.firstIndex { if case .sink = $0.kind { true } else { false } }!
                graph.vertices[i].kind = .sink(sink)
                schema = graph.vertices[i].outputSchema
            default: continue
            }
            try JobExecution(graph, options: .init(workers: workers)).run()
            rows += try texts(SQLHarness.collapsed(sink.rows), schema, session.evaluation)
        }
        return rows
    }

    private static func texts(_ rows: [[Value]], _ schema: Schema, _ context: EvaluationContext) throws -> [FlatJSON] {
        let batch = Batch(schema: schema, rows: rows)
        let exprs = schema.enumerated().map { Expr.cast(.column($0, $1.type), to: .string, safe: false) }
        let columns = try Evaluator(exprs, context: context).evaluate(batch)
        let names = schema.map(\.name)
        return (0..<rows.count).map { r in
            FlatJSON(
                names: Set(names).count == names.count ? names : [],
                values: columns.enumerated().map { c, column in
                    if case .binary(let bytes) = rows[r][c] { return .text("x'" + bytes.map { String(format: "%02x", $0) }.joined() + "'") }
                    guard case .string(let text) = column.value(at: r) else { return .null }
                    switch schema[c].type {
                    case .tinyint, .smallint, .int, .bigint: return .integer(text)
                    case .float, .double: return Double(text).flatMap { $0.isFinite ? .number($0) : nil } ?? .text(text)
                    case .boolean: return .boolean(text.lowercased() == "true")
                    default: return .text(text)
                    }
                })
        }
    }
}

/// One line of expected rows: a JSON object, or an array where column names repeat.
struct FlatJSON: CustomStringConvertible {
    indirect enum Cell: CustomStringConvertible {
        case null, boolean(Bool), integer(String), number(Double), text(String), list([Cell])

        /// Equal for equal cells; doubles to 12 significant digits.
        var description: String {
            switch self {
            case .null: "null"
            case .boolean(let b): "\(b)"
            case .integer(let t): t
            case .number(let d): String(format: "%.12g", d)
            case .text(let t): "'\(t)'"
            case .list(let items): "\(items)"
            }
        }
    }
    var names: [String]
    var values: [Cell]

    var description: String {
        zip(names.isEmpty ? values.indices.map { "\($0)" } : names, values).map { "\($0)=\($1)" }.joined(separator: ", ")
    }

    static func parse(_ line: String) throws -> FlatJSON {
        var rest = Substring(line)
        func skip() { rest = rest.drop { $0 == " " } }
        func string() throws -> String {
            var end = rest.index(after: rest.startIndex)
            while rest[end] != "\"" { end = rest.index(end, offsetBy: rest[end] == "\\" ? 2 : 1) }
            end = rest.index(after: end)
            defer { rest = rest[end...] }
            return try JSONDecoder().decode(String.self, from: Data(rest[..<end].utf8))
        }
        func cell() throws -> Cell {
            skip()
            if rest.first == "\"" { return .text(try string()) }
            if rest.first == "[" {
                var items: [Cell] = []
                rest.removeFirst()
                skip()
                while rest.first != "]" {
                    items.append(try cell())
                    skip()
                    if rest.first == "," { rest.removeFirst() }
                }
                rest.removeFirst()
                return .list(items)
            }
            let token = rest.prefix { !",]} ".contains($0) }
            rest = rest.dropFirst(token.count)
            switch token {
            case "null": return .null
            case "true": return .boolean(true)
            case "false": return .boolean(false)
            default: return token.contains { ".eE".contains($0) } ? .number(Double(token)!) : .integer(String(token))
            }
        }
        if rest.first == "[" {
            guard case .list(let items) = try cell() else { return FlatJSON(names: [], values: []) }
            return FlatJSON(names: [], values: items)
        }
        var result = FlatJSON(names: [], values: [])
        rest.removeFirst()
        skip()
        while rest.first != "}" {
            result.names.append(try string())
            skip()
            rest.removeFirst()
            result.values.append(try cell())
            skip()
            if rest.first == "," { rest.removeFirst() }
            skip()
        }
        return result
    }
}
