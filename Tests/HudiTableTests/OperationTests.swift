import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi write operations that take rows away") struct OperationTests {
    static let schema = UpsertTests.schema
    static func row(_ id: Int, _ city: String, _ amount: Int) -> [Value] { UpsertTests.row(id, city, amount, 1) }

    static func table(_ folder: TemporaryFolder, _ operation: String = "upsert", partitioned: Bool = true, options: [String: String] = [:]) -> TestTable {
        TestTable(folder.path, schema: schema, key: ["id"], partitions: partitioned ? ["city"] : [],
                  options: options.merging(["write.operation": operation]) { a, _ in a })
    }

    /// As `TestTable.commit`, but the input ends in order.
    static func run(_ table: TestTable, _ checkpoints: [[[Value]]]) throws {
        let sink = try table.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
        defer { committer.close() }
        for (i, rows) in checkpoints.enumerated() {
            if !rows.isEmpty { try writer.write(table.batch(rows)) }
            if i == checkpoints.count - 1 { try writer.finish() }
            try committer.commit(UInt64(i + 1), try writer.prepareCommit(UInt64(i + 1)))
        }
        try writer.close()
    }

    static func operations(_ folder: TemporaryFolder) throws -> [String] {
        try HudiTable.open(folder.path).timeline.map { "\($0.action) \($0.operation ?? "")" }
    }

    @Test("delete takes the keys of all rows away, wherever they are and however new they are", arguments: [true, false])
    func delete(ordered: Bool) throws {
        let folder = try TemporaryFolder()
        let options = ordered ? ["precombine.field": "ts"] : [:]
        try Self.table(folder, options: options).commit((0..<40).map { UpsertTests.row($0, ["oslo", "lima"][$0 % 2], $0, 100) })
        let deleting = Self.table(folder, "delete", options: options)
        try deleting.commit((0..<10).map { UpsertTests.row($0, "pune", 0, 5) })
        try expectSound(folder.path, rows: 30, key: "id")
        #expect(try deleting.read().canonical == (10..<40).map { UpsertTests.row($0, ["oslo", "lima"][$0 % 2], $0, 100) }.canonical)
        #expect(try Self.operations(folder) == ["commit UPSERT", "commit DELETE"])
        // Keys that are not there make no commit.
        try deleting.commit([UpsertTests.row(3, "oslo", 0, 500)])
        #expect(try Self.operations(folder).count == 2)
        let error = #expect(throws: StreamError.self) { try deleting.commit([UpsertTests.row(11, "oslo", 0, 5)], kinds: [.delete]) }
        #expect(error?.problem.contains("a -D row came to operation 'delete'") == true)
    }

    @Test("insert_overwrite replaces the partitions that rows come for, in one replacecommit")
    func overwritePartitions() throws {
        let folder = try TemporaryFolder()
        try Self.table(folder).commit((0..<30).map { Self.row($0, ["oslo", "lima", "pune"][$0 % 3], $0) })
        try Self.run(Self.table(folder, "insert_overwrite"), [[Self.row(100, "oslo", 1), Self.row(101, "rome", 2)]])
        let expected = (0..<30).filter { $0 % 3 != 0 }.map { Self.row($0, ["oslo", "lima", "pune"][$0 % 3], $0) } + [Self.row(100, "oslo", 1), Self.row(101, "rome", 2)]
        try expectSound(folder.path, rows: expected.count, key: "id")
        #expect(try Self.table(folder).read().canonical == expected.canonical)
        #expect(try Self.operations(folder) == ["commit UPSERT", "replacecommit INSERT_OVERWRITE"])
        // The table goes on as any other.
        try Self.table(folder).commit([Self.row(100, "lima", 7), Self.row(1, "lima", 8)])
        try expectSound(folder.path, rows: expected.count, key: "id", globalKeys: true)
    }

    @Test("insert_overwrite_table replaces everything, also by nothing", arguments: [true, false])
    func overwriteTable(partitioned: Bool) throws {
        let folder = try TemporaryFolder()
        try Self.table(folder, partitioned: partitioned).commit((0..<30).map { Self.row($0, ["oslo", "lima", "pune"][$0 % 3], $0) })
        let overwriting = Self.table(folder, "insert_overwrite_table", partitioned: partitioned)
        try Self.run(overwriting, [[Self.row(100, "oslo", 1)]])
        try expectSound(folder.path, rows: 1, key: "id")
        #expect(try overwriting.read() == [Self.row(100, "oslo", 1)])
        try Self.run(overwriting, [[]])
        try expectSound(folder.path, rows: 0)
        #expect(try overwriting.read().isEmpty)
        try Self.run(overwriting, [[]])
        #expect(try Self.operations(folder) == ["commit UPSERT"] + Array(repeating: "replacecommit INSERT_OVERWRITE_TABLE", count: 2), "nothing is left to replace")
    }

    @Test("an overwrite gives the same rows wherever checkpoints fall, across a restart too", arguments: 1...4)
    func overwriteCheckpoints(_ size: Int) throws {
        let folder = try TemporaryFolder()
        try Self.table(folder).commit((0..<30).map { Self.row($0, ["oslo", "lima", "pune"][$0 % 3], $0) })
        let table = Self.table(folder, "insert_overwrite", options: ["write.insert.cluster": "true"])
        let rows = (0..<8).map { Self.row(100 + $0, ["oslo", "lima"][$0 % 2], $0) }
        var state: [UInt8]?, number: UInt64 = 0
        for start in stride(from: 0, to: rows.count, by: size) {
            // Each checkpoint is followed by a restart.
            let context = SinkContext(isRecoverable: true, restoredCheckpoint: number > 0 ? number : nil, restoredStates: state.map { [$0] } ?? [])
            let sink = try table.sink(), committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
            try writer.write(table.batch(Array(rows[start..<min(start + size, rows.count)])))
            number += 1
            try committer.commit(number, try writer.prepareCommit(number))
            state = try writer.state()
            try writer.close()
            committer.close()
        }
        let expected = (0..<30).filter { $0 % 3 == 2 }.map { Self.row($0, "pune", $0) } + rows
        try expectSound(folder.path, rows: expected.count, key: "id")
        #expect(try table.read().canonical == expected.canonical)
    }

    @Test("delete_partition empties the partitions that rows name")
    func deletePartition() throws {
        let folder = try TemporaryFolder()
        try Self.table(folder).commit((0..<30).map { Self.row($0, ["oslo", "lima", "pune"][$0 % 3], $0) })
        try Self.run(Self.table(folder, "delete_partition"), [[Self.row(0, "oslo", 0), Self.row(0, "pune", 0), Self.row(0, "nowhere", 0)]])
        try expectSound(folder.path, rows: 10, key: "id")
        #expect(try Self.operations(folder) == ["commit UPSERT", "replacecommit DELETE_PARTITION"])
        #expect(try Self.table(folder).read().allSatisfy { $0[1] == .string("lima") })
        try Self.run(Self.table(folder, "delete_partition"), [[Self.row(0, "oslo", 0)]])
        #expect(try Self.operations(folder).count == 2)
        try Self.table(folder).commit([Self.row(0, "oslo", 0)])
        try expectSound(folder.path, rows: 11, key: "id")
    }

    @Test("an overwrite that dies at any step leaves the old rows or the new ones, and is undone or done by the next writer",
          arguments: RecoveryTests.writeSteps)
    func deathInOverwrite(step: WriteStep) throws {
        let folder = try TemporaryFolder()
        let table = Self.table(folder, "insert_overwrite")
        let old = (0..<30).map { Self.row($0, ["oslo", "lima"][$0 % 2], $0) }, new = [Self.row(100, "oslo", 1), Self.row(101, "rome", 2)]
        try Self.table(folder).commit(old)
        #expect(try RecoveryTests.die(table, new, at: RecoveryTests.Death(at: step)))
        let after = old.filter { $0[1] == .string("lima") } + new
        let expected = step == .committed || step == .markersDeleted ? after : old
        try expectSound(folder.path, rows: expected.count, key: "id")
        #expect(try table.read().canonical == expected.canonical)
        try table.commit(new)
        try expectSound(folder.path, rows: after.count, key: "id")
        #expect(try table.read().canonical == after.canonical)
        #expect(try HudiTable.open(folder.path).timeline.allSatisfy { $0.state == "completed" })
    }

    @Test("many small commits keep the number of files bounded and their sizes near the target")
    func fileSizes() throws {
        let folder = try TemporaryFolder()
        let table = Self.table(folder, options: ["write.parquet.max.file.size": "64 kb", "hoodie.parquet.small.file.limit": "48 kb", "clean.retain_commits": "1"])
        var random = SeededGenerator(3)
        for commit in 0..<40 {
            try table.commit((0..<400).map { n in
                UpsertTests.row(commit * 400 + n, ["oslo", "lima"][n % 2], Int(random.next() % 1_000_000_007), Int(random.next() % 1_000_000_000))
            })
        }
        try expectSound(folder.path, rows: 16_000, key: "id")
        let files = try HudiTable.open(folder.path).baseFiles
        // What is not full is what each partition fills now.
        for city in ["oslo", "lima"] {
            let small = files.filter { $0.partition == city && $0.bytes < 48 << 10 }
            #expect(small.count <= 1, "\(files.map { "\($0.partition) \($0.bytes)" })")
        }
        #expect(files.allSatisfy { $0.bytes < 96 << 10 }, "\(files.map(\.bytes))")
        #expect(files.count <= Int(files.reduce(0) { $0 + $1.bytes } / (48 << 10)) + 2)
    }
}
