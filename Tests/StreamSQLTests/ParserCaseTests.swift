import Foundation
import StreamCore
import Testing

@testable import StreamSQL

/// The scripts that Flink ran, in Tests/Support/flink.
enum FlinkCases {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(
        path: "Support/flink")

    static let scripts: [(name: String, text: String)] = {
        let files =
            (try? FileManager.default.contentsOfDirectory(at: folder.appending(path: "cases"), includingPropertiesForKeys: nil)) ?? []
        return files.filter { $0.pathExtension == "sql" }.sorted { $0.path < $1.path }.compactMap { file in
            (try? String(contentsOf: file, encoding: .utf8)).map { (file.deletingPathExtension().lastPathComponent, $0) }
        }
    }()

    static func expectsParseError(_ name: String) -> Bool {
        let text = try? String(contentsOf: folder.appending(path: "expected/\(name).jsonl"), encoding: .utf8)
        return text?.contains("\"error\": \"parse\"") ?? false
    }
}

@Suite("Parser on Flink's scripts", .enabled(if: !FlinkCases.scripts.isEmpty)) struct ParserCaseTests {
    @Test("every script parses, unless Flink refuses it too or it is documented as unsupported")
    func parses() {
        let unsupported = ["MATCH_RECOGNIZE"]
        for (name, text) in FlinkCases.scripts {
            do {
                let statements = try SQLParser(text: text, file: name + ".sql").parseScript()
                #expect(!statements.isEmpty, "\(name)")
                #expect(!FlinkCases.expectsParseError(name), "\(name) is refused by Flink")
            } catch let error as StreamError {
                let known = error.code == .plan && unsupported.contains { error.problem.hasPrefix("not supported yet: \($0)") }
                #expect(known || FlinkCases.expectsParseError(name), "\(name): \(error)")
                if FlinkCases.expectsParseError(name) { #expect(error.code == .parse, "\(name): \(error)") }
            } catch {
                Issue.record("\(name): \(error)")
            }
        }
    }

    @Test("no script crashes the parser when cut off or damaged at any token")
    func damaged() throws {
        let pieces = [
            "", ")", "(", "SELECT", ",", "'", "`x`", "1e9", "FROM", ";", "END", "NOT", "*/", "/*+", "[", "=>", "\u{e9}", "INTERVAL", "CASE",
        ]
        var count = 0
        for (script, (name, text)) in FlinkCases.scripts.enumerated() {
            var lexer = Lexer(SourceText(text))
            let tokens = try lexer.tokens()
            for (i, token) in tokens.enumerated() where (i + script) % 8 == 0 {
                let before = SourceText(text).slice(0, token.start)
                let after = SourceText(text).slice(token.end, text.utf8.count)
                _ = try? SQLParser(text: before, file: name).parseScript()
                _ = try? SQLParser(text: before + pieces[i % pieces.count] + after, file: name).parseScript()
                count += 2
            }
        }
        #expect(count > 1_000)
    }
}
