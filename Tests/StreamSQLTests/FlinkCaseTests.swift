import FileConnectors
import Foundation
import ReferenceSQL
import StreamCore
import StreamExpressions
import StreamRuntime
import StreamTesting
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

    /// Scripts that may still be refused. Whatever else happens to them, they never give rows that are not Flink's.
    static let notYet: Set<String> = []

    static let names = scripts.map(\.name).filter { !notYet.contains($0) }
    static let mayBeRefused = scripts.map(\.name).filter(notYet.contains)

    @Test("the scripts are there") func present() {
        #expect(Self.scripts.count >= 152)
        #expect(Self.notYet.isSubset(of: Self.scripts.map(\.name)))
        #expect(!Self.scripts.contains { $0.isCore && Self.notYet.contains($0.name) })
    }

    @Test("gives Flink's rows", arguments: names)
    func flink(name: String) throws { _ = try check(name, RunSettings()) }

    /// A part of the dialect that is not there yet must say so.
    @Test("what is not there yet is refused by name", arguments: mayBeRefused)
    func refused(name: String) throws {
        do { _ = try check(name, RunSettings()) } catch let error as StreamError {
            print("still refused: \(name): \(error.problem)")
            #expect([.parse, .validate, .plan].contains(error.code), "\(error)")
            #expect(error.problem.contains("not supported") || error.problem.contains("there is no"), "\(error)")
        }
    }

    @Test("gives Flink's rows at every parallelism and batch size", arguments: names)
    func parallel(name: String) throws {
        for parallelism in Self.followsArrival(name) ? [1] : [1, 2, 4] {
            for batchRows in [1, 7, Batch.targetRows] {
                var settings = RunSettings()
                settings.batchRows = batchRows
                settings.parallelism = parallelism
                _ = try check(name, settings)
            }
        }
    }

    @Test("gives Flink's rows when killed and restored", arguments: names)
    func killed(name: String) throws { try kill(name, usesRocksDB: false) }

    @Test("gives Flink's rows when killed and restored with its state in RocksDB", arguments: names)
    func killedInRocksDB(name: String) throws { try kill(name, usesRocksDB: true) }

    private func kill(_ name: String, usesRocksDB: Bool) throws {
        for parallelism in Self.followsArrival(name) ? [1] : [1, 2, 4] {
            var settings = RunSettings()
            settings.seed = .random(in: 0..<1_000_000)
            settings.kills = 3
            settings.usesRocksDB = usesRocksDB
            settings.batchRows = usesRocksDB ? 7 : 1
            settings.parallelism = parallelism
            settings.changesParallelism = !Self.followsArrival(name)
            _ = try check(name, settings)
        }
    }

    @Test("jobs do go on from checkpoints when they are killed") func restores() throws {
        var settings = RunSettings()
        settings.kills = 3
        settings.batchRows = 1
        var restores = 0
        for seed in UInt64(0)..<10 {
            settings.seed = seed
            restores += try check("agg_group", settings)
        }
        #expect(restores > 5)
    }

    /// A retraction that is late behind a second exchange: with several senders it may come before their common watermark, as in Flink.
    static let lateBehindExchange: Set<String> = []

    /// Whether a script's rows follow the order in which rows of several subtasks meet.
    static func followsArrival(_ name: String) -> Bool {
        if lateBehindExchange.contains(name) { return true }
        let text = (try? String(contentsOf: folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)) ?? ""
        return ["LISTAGG", "JSON_ARRAYAGG"].contains { text.uppercased().contains($0) }
    }

    // MARK: comparing

    /// - Returns: how often the job went on from a checkpoint.
    private func check(_ name: String, _ settings: RunSettings) throws -> Int {
        let script = try String(contentsOf: Self.folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)
            .replacing("${DATA}", with: Self.folder.appendingPathComponent("data").path)
        let lines = try String(contentsOf: Self.folder.appendingPathComponent("expected/\(name).jsonl"), encoding: .utf8)
            .split(separator: "\n").map { try FlatJSON.parse(String($0)) }
        var run = ScriptRun(settings) { [FilesystemConnector(), PrintConnector(), BlackholeConnector()] }
        if let refusal = lines.first, refusal.names == ["error", "mentions"] {
            expectRefusal(refusal, settings) { try run.run(script).reduce(0) { $0 + $1.changes.count } }
            return run.restores
        }
        let actual = try run.run(script).flatMap { try Self.texts($0.rows, $0.schema, $0.evaluation) }
        #expect(actual.map(\.description).sorted() == lines.map(\.description).sorted(), "\(settings)")
        return run.restores
    }

    private func expectRefusal(_ refusal: FlatJSON, _ settings: RunSettings, _ run: () throws -> Int) {
        guard case .text(let category) = refusal.values[0], case .list(let mentions) = refusal.values[1] else { return }
        do {
            let changes = try run()
            Issue.record("must be refused, but gave \(changes) rows: \(settings)")
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
        } catch {
            Issue.record("\(error)")
        }
    }

    private static func texts(_ rows: [[Value]], _ schema: Schema, _ context: EvaluationContext) throws -> [FlatJSON] {
        for row in rows where row.count != schema.count { throw StreamError(.runtime, "\(row)") }
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
