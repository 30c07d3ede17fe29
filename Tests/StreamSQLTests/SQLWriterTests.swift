import FileConnectors
import Foundation
import ReferenceSQL
import StreamCore
import StreamRuntime
import Testing
@testable import StreamSQL

/// Syntax trees written as SQL again.
@Suite("SQL from syntax trees") struct SQLWriterTests {
    private static func script(of name: String) throws -> String {
        try String(contentsOf: FlinkCaseTests.folder.appendingPathComponent("cases/\(name).sql"), encoding: .utf8)
            .replacing("${DATA}", with: FlinkCaseTests.folder.appendingPathComponent("data").path)
    }

    private static func statements(_ script: String) -> [Statement]? { try? SQLParser(text: script).parseScript() }

    @Test("scripts for Flink mean the same when written again", arguments: FlinkCaseTests.scripts.map(\.name))
    func flinkCases(name: String) throws {
        // What does not parse cannot be written.
        guard let statements = Self.statements(try Self.script(of: name)) else {
            #expect(name.hasPrefix("err_"))
            return
        }
        var written = WrittenAgain { [FilesystemConnector(), PrintConnector(), BlackholeConnector()] }
        let isRefused = statements.contains { !written.check($0) }
        #expect(written.differences.isEmpty, "\(written.differences.joined())")
        #expect(written.plans > 0 || isRefused)
    }

    /// For another engine to be asked: the scripts as they are written again, in the folder $SWIFTWATER_WRITTEN_SQL.
    @Test("scripts are put into a folder when one is named", .enabled(if: ProcessInfo.processInfo.environment["SWIFTWATER_WRITTEN_SQL"] != nil))
    func folder() throws {
        let target = URL(fileURLWithPath: ProcessInfo.processInfo.environment["SWIFTWATER_WRITTEN_SQL"]!)
        try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        for (name, _) in FlinkCaseTests.scripts {
            let file = FlinkCaseTests.folder.appendingPathComponent("cases/\(name).sql")
            let script = try String(contentsOf: file, encoding: .utf8)
            let written = Self.statements(script).map { $0.map { SQLWriter().text($0) + ";\n" }.joined() }
            try (written ?? script).write(to: target.appendingPathComponent("\(name).sql"), atomically: true, encoding: .utf8)
        }
    }

    static let exampleFolder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Examples")
    static let exampleNames = ((try? FileManager.default.contentsOfDirectory(atPath: exampleFolder.path)) ?? []).filter { $0.hasSuffix(".sql") }.sorted()

    @Test("the examples mean the same when written again", arguments: exampleNames)
    func examples(name: String) throws {
        // Their parameters are comments, with the value behind "=".
        var script = try String(contentsOf: Self.exampleFolder.appendingPathComponent(name), encoding: .utf8)
        for line in script.split(separator: "\n") where line.hasPrefix("-- ") {
            let parts = line.dropFirst(3).split(separator: " = ", maxSplits: 1)
            if parts.count == 2, !parts[0].contains(" ") { script = script.replacing("${\(parts[0])}", with: parts[1]) }
        }
        let statements = try script.split(separator: "-- %%").flatMap { try SQLParser(text: "-- %%" + $0).parseScript() }
        var written = WrittenAgain(statements: statements)
        for statement in statements { written.check(statement) }
        #expect(!statements.isEmpty)
        #expect(written.differences.isEmpty, "\(written.differences.joined())")
    }

    /// From seed $SWIFTWATER_FUZZ_SEED (1 when not set) on.
    @Test("random queries have the same plan when written again") func random() throws {
        let first = ProcessInfo.processInfo.environment["SWIFTWATER_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
        var plans = 0
        for seed in first..<first + 120 {
            let fuzz = FuzzCase(seed: seed)
            var written = WrittenAgain { [RowsConnector([:])] }
            for statement in try SQLParser(text: fuzz.script).parseScript() where !written.check(statement) { break }
            plans += written.plans
            if !written.differences.isEmpty {
                Issue.record("seed \(seed): \(written.differences.joined())\n\(fuzz.script)")
                return
            }
        }
        print("random queries written again: seeds \(first) to \(first + 119), \(plans) plans")
        #expect(plans > 60)
    }
}
