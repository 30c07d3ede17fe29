import CArrowData
import Foundation
import StreamCore
import TestScripts
import Testing

@testable import HudiTable
@testable import LakeTable

/// New versions of Parquet files that other programs wrote, judged by what these read of them.
@Suite("Rewriting Parquet files") struct RewriteTests {
    private struct Plan: Decodable {
        let rows: [Int64], changes: [Int32]
        let same: String?, constant: String?
        let text: String, codec: String
        let large: Bool
    }

    private static func columns(_ path: String, _ schema: Schema) throws -> ([ArrowArray], rows: Int) {
        let reader = try DataFileReader(path: path, wanted: schema), builders = schema.map { ArrowArrayBuilder(type: $0.type, layout: .lake) }
        while let batch = try reader.next() {
            for (builder, column) in zip(builders, batch.columns) { try builder.append(column, count: batch.physicalCount) }
        }
        return (builders.map { $0.finish() }, Int(reader.rows))
    }

    /// - Returns: false when the file's columns lie in memory in another way than ours.
    private static func rewrite(_ folder: String, threads: Int) throws -> Bool {
        let plan = try JSONDecoder().decode(Plan.self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/plan.json")))
        let input = try ParquetReader(path: folder + "/input.parquet"), schema = try ParquetReader(path: folder + "/patch.parquet").schema
        var layout = ArrowLayout.lake.schema(schema)
        let isPossible = input.hasLayout(of: layout)
        guard isPossible else {
            layout.release(&layout)
            return false
        }
        let writer = try ParquetWriter(path: folder + "/output.parquet", schema: layout, codec: try #require(ParquetCodec(rawValue: plan.codec)), plain: [],
                                       rowGroupRows: 100_000)
        let columns = schema.map { field in
            RewrittenColumn(input: input.schema.firstIndex { $0.name == field.name }, constant: field.name == plan.constant ? plan.text : nil,
                            keepsValue: field.name == plan.same)
        }
        func array(_ rows: ([ArrowArray], rows: Int)) -> ArrowArray {
            makeArrowArray(length: rows.rows, nullCount: 0, buffers: [nil], owners: [], children: rows.0)
        }
        let written = try writer.rewrite(input, columns: columns, rows: plan.rows, changes: plan.changes, patch: array(try Self.columns(folder + "/patch.parquet", schema)),
                                         threads: threads)
        #expect(written == input.rows - Int64(plan.changes.count { $0 < 0 }))
        let more = try Self.columns(folder + "/more.parquet", schema), before = writer.bytes
        if more.rows > 0 { try writer.write(array(more)) } else { more.0.forEach { var array = $0; array.release(&array) } }
        try writer.setMetadata("note", "kept")
        if plan.large { try writer.setMetadata("large", String(repeating: "y", count: 100_000)) }
        let bytes = try writer.close()
        let size = try #require(try FileManager.default.attributesOfItem(atPath: folder + "/output.parquet")[.size] as? Int64)
        #expect(bytes == size && before < bytes)
        return true
    }

    @Test("files of several writers have the right rows and statistics after changes at random")
    func differential() throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["SWIFTWATER_REWRITE_SEED"] ?? "") ?? UInt64.random(in: 0..<1_000_000)
        let count = Int(ProcessInfo.processInfo.environment["SWIFTWATER_REWRITE_CASES"] ?? "") ?? 60
        let folder = try TemporaryFolder()
        _ = try PythonScript.answer("hudi/rewrite_cases.py", ["make", folder.path, String(seed), String(count)])
        var rewritten = 0
        for number in 0..<count {
            do {
                if try Self.rewrite(folder.path + "/\(number)", threads: 1 + number % 3) { rewritten += 1 }
            } catch { Issue.record("seed \(seed), case \(number): \(error)") }
        }
        let answer = try #require(try PythonScript.answer("hudi/rewrite_cases.py", ["check", folder.path]) as? [String: Any])
        #expect(answer["cases"] as? Int == rewritten && rewritten > count / 2, "seed \(seed): \(rewritten) of \(count) files")
        for problem in answer["problems"] as? [String] ?? ["no answer"] { Issue.record("seed \(seed), \(problem)") }
    }
}
