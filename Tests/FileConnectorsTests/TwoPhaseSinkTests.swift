import Foundation
import StreamCore
import StreamTesting
import Testing

@Suite("example of a two-phase sink") struct TwoPhaseSinkTests {
    @Test("the documented page shows the code that is tested here")
    func page() throws {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let page = tests.deletingLastPathComponent().deletingLastPathComponent().appending(path: "Sources/StreamCore/Documentation.docc/TwoPhaseSinks.md")
        let code = try String(contentsOf: tests.appending(path: "TwoPhaseSinkExample.swift"), encoding: .utf8)
        #expect(try String(contentsOf: page, encoding: .utf8).contains("```swift\n" + code + "```\n"))
    }

    @Test("a death at any call leaves each row once, and nothing hidden")
    func everyDeath() throws {
        let schema: Schema = [Field("id", .bigint)]
        func write(_ ids: Range<Int64>, _ subtask: Int) -> SinkStep { .write(subtask: subtask, rows: ids.map { [.int($0)] }) }
        let steps = [
            write(0..<3, 0), write(3..<5, 1), .checkpoint, write(5..<6, 0), .abortedCheckpoint, write(6..<8, 1), .checkpointWithoutCommit,
            .restart(parallelism: 1), write(8..<9, 0), .fail, write(9..<10, 0), .finish,
        ]
        func run(_ call: Int?, _ disk: SimulatedDisk? = nil) throws -> Int {
            let directory = disk.map { TemporaryDirectory(at: $0.root) } ?? TemporaryDirectory()
            var history = SinkHistory(steps: steps, schema: schema, parallelism: 2) { LinesSink(directory: directory.path + "/out", host: $0) }
            history.disk = disk
            history.check = { rows in
                let lines = try directory.files().filter { !$0.contains("/.") }.flatMap { try directory.read($0).split(separator: "\n").map(String.init) }
                #expect(lines.sorted() == rows.map { "\($0[0])" }.sorted(), "dying at \(call ?? -1)")
            }
            let calls = try history.run(dyingAt: call)
            let left = directory.files().filter { $0.contains("/.") }
            #expect(left.isEmpty, "dying at \(call ?? -1): \(left)")
            return calls
        }
        for call in 0..<(try run(nil)) {
            _ = try run(call)
            for seed in 0..<2 { _ = try run(call, SimulatedDisk(seed: UInt64(seed))) }
        }
    }
}
