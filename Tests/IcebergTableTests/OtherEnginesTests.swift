import Foundation
import StreamCore
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg tables that others write") struct OtherEnginesTests {
    @Test("a table of pyiceberg with every type, renamed, promoted, new and dropped columns reads as pyiceberg reads it")
    func foreign() throws {
        let folder = try TemporaryFolder(), path = folder.path + "/t"
        let expected = Judge.texts(try Judge.answer("write", path, "types"))
        let view = try IcebergTable.open(path)
        #expect(view.partitionFields == ["part"] && view.recordKeyFields == ["id"] && view.rowCount == 12 && view.partitions.count == 3)
        let schema: Schema = [
            Field("id", .int), Field("part", .string), Field("flag", .boolean), Field("number", .bigint), Field("f", .float), Field("d", .double),
            Field("dec", .decimal(precision: 20, scale: 3)), Field("day", .date), Field("at", .time(3)), Field("local", .timestamp(6)), Field("utc", .timestampLTZ(6)),
            Field("raw", .bytes), Field("tags", .array(.string)), Field("props", .map(key: .string, value: .bigint)),
            Field("pos", .row([Field("x", .double), Field("y", .double)])), Field("more", .bigint),
        ]
        let table = TestTable(path, schema: schema, key: ["id"])
        #expect(table.judged(try table.read()) == expected)
        // It is written on: a row of each of its schemas is replaced, the rest is copied.
        var rows = try table.read()
        for id in [2, 101] {
            let at = rows.firstIndex { $0[0] == .int(Int64(id)) }!
            rows[at][1] = .string("moved")
            rows[at][3] = .int(-1)
        }
        try table.commit(rows.filter { $0[1] == .string("moved") })
        #expect(try table.read().canonical == rows.canonical)
        #expect(try Judge.rows(path) == table.judged(rows))
        #expect(throws: StreamError.self) { try TestTable(path, schema: schema + [Field("n", .int)], key: ["id"]).read() }
    }

    static let rows = (0..<10).map { TestTable.row($0, "oslo", $0, 1) }

    @Test("a snapshot of another engine between two commits is built on; between begin and checkpoint it is a conflict, and the job goes on from it")
    func between() throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        try table.commit(Self.rows)
        _ = try Judge.answer("write", folder.path, "append")
        #expect(try table.read().count == 11)
        let stranger: [Value] = [.string("order-stranger"), .string("lima"), .int(7), .int(7)]
        try table.commit([stranger])
        #expect(try table.read().count == 11 && (try table.read().contains(stranger)))

        let context = SinkContext(jobID: "job", isRecoverable: true)
        let sink = try table.sink(), committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
        try writer.write(table.batch([TestTable.row(1, "lima", 100, 9)]))
        let first = try writer.prepareCommit(1)
        try committer.commit(1, first)
        try writer.write(table.batch([TestTable.row(2, "lima", 200, 9)]))
        let second = try writer.prepareCommit(2)
        _ = try Judge.answer("write", folder.path, "append")
        let conflict = #expect(throws: StreamError.self) { try committer.commit(2, second) }
        #expect(conflict?.code == .conflict && conflict?.description.contains("another engine") == true)
        writer.abort()
        committer.close()
        // From the checkpoint before: what was prepared is undone, and written again on the new snapshot.
        let again = try table.sink(), recovered = try #require(try again.committer(context))
        try recovered.recover(1, first)
        let rewriter = try again.writer(context)
        try rewriter.write(table.batch([TestTable.row(2, "lima", 200, 9)]))
        try recovered.commit(2, try rewriter.prepareCommit(2))
        try rewriter.close()
        recovered.close()
        let judged = try Judge.history(folder.path)
        #expect(judged.current == table.judged(try table.read()) && judged.strays == [] && judged.current.count == 12)
        #expect(try table.read().filter { $0[2] == .int(100) || $0[2] == .int(200) }.count == 2)
    }

    @Test("a durable checkpoint is completed on top of another engine's rows, unless they have keys of its own", arguments: [false, true])
    func onTop(sameKey: Bool) throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        try table.commit(Self.rows)
        let context = SinkContext(jobID: "job", isRecoverable: true)
        let sink = try table.sink(), committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
        let change = sameKey ? [[.string("order-stranger"), .string("lima"), .int(7), .int(7)]] : [TestTable.row(2, "lima", 200, 9), TestTable.row(77, "rome", 1, 9)]
        try writer.write(table.batch(change))
        let prepared = try writer.prepareCommit(1)
        _ = try Judge.answer("write", folder.path, "append")
        // Killed here: the checkpoint is durable, its commit not done.
        writer.abort()
        committer.close()
        let again = try #require(try table.sink().committer(context))
        defer { again.close() }
        if sameKey {
            let conflict = #expect(throws: StreamError.self) { try again.recover(1, prepared) }
            #expect(conflict?.code == .conflict)
            return
        }
        for _ in 0..<2 { try again.recover(1, prepared) }
        let rows = try table.read()
        #expect(rows.count == 12 && change.allSatisfy(rows.contains) && rows.contains { $0[0] == .string("order-stranger") })
        let judged = try Judge.history(folder.path)
        #expect(judged.current == table.judged(rows) && judged.strays == [] && judged.snapshots.count == 3)
    }

    @Test("a conflict that is found before the checkpoint does not become part of it")
    func early() throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        try table.commit(Self.rows)
        // The rows are merged into files, and so the commit begun, as they come.
        let sink = try table.with(["write.task.max.size": "1 b"]).sink()
        let writer = try sink.writer(SinkContext())
        try writer.write(table.batch([TestTable.row(1, "lima", 100, 9)]))
        _ = try Judge.answer("write", folder.path, "append")
        let conflict = #expect(throws: StreamError.self) { _ = try writer.prepareCommit(1) }
        #expect(conflict?.code == .conflict && conflict?.description.contains("another engine") == true)
        writer.abort()
        #expect(try CrashTests.strays(folder.path) == [])
    }

    @Test("two writers of ours: the second is told who is there")
    func twoWriters() throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        let writer = try table.sink().writer(SinkContext())
        let error = #expect(throws: StreamError.self) { _ = try table.sink().writer(SinkContext()) }
        #expect(error?.code == .conflict && error?.description.contains("is being written by another job") == true)
        try writer.close()
        try table.commit(Self.rows)
    }

    @Test("a column that another engine renamed keeps its values, and one that it added reads NULL")
    func renamed() throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        try table.commit(Self.rows)
        _ = try Judge.answer("write", folder.path, "columns")
        let schema: Schema = [Field("id", .string), Field("city", .string), Field("sum", .int), Field("ts", .timestamp(3)), Field("note", .string)]
        let renamed = TestTable(folder.path, schema: schema)
        var rows = Self.rows.map { $0 + [.null] }
        #expect(try renamed.read().canonical == rows.canonical)
        rows[3] = TestTable.row(3, "lima", 33, 3) + [.string("x")]
        try renamed.commit([rows[3]])
        #expect(try renamed.read().canonical == rows.canonical)
        #expect(try Judge.rows(folder.path) == renamed.judged(rows))
        #expect(throws: StreamError.self) { try table.commit(Self.rows) }
    }

    @Test("row-level deletes, newer format versions, other transforms and tables of other catalogs are refused with the reason")
    func refused() throws {
        let folder = try TemporaryFolder(), table = TestTable(folder.path)
        try table.commit(Self.rows)
        func expect(_ words: String, _ body: () throws -> Void) {
            let error = #expect(throws: StreamError.self) { try body() }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
        func edit(_ from: String, _ to: String, _ body: () throws -> Void) throws {
            let file = folder.path + "/metadata/v2.metadata.json", text = try String(contentsOfFile: file, encoding: .utf8)
            #expect(text.contains(from))
            try text.replacingOccurrences(of: from, with: to).write(toFile: file, atomically: true, encoding: .utf8)
            try body()
            try text.write(toFile: file, atomically: true, encoding: .utf8)
        }
        try edit(#""format-version":2"#, #""format-version":3"#) { expect("format version 3") { _ = try table.read() } }
        try edit(#""partition-specs":[{"spec-id":0,"fields":[]}]"#,
                 #""partition-specs":[{"spec-id":0,"fields":[{"name":"b","transform":"bucket[4]","source-id":1,"field-id":1000}]}]"#) {
            expect("bucket[4]") { try table.commit(Self.rows) }
        }
        try edit(#""type":"int""#, #""type":"variant""#) { expect("column amount has the Iceberg type 'variant'") { _ = try table.read() } }
        let named = folder.path + "/metadata/00002-00000000-0000-0000-0000-000000000000.metadata.json"
        for version in 1...2 { try FileManager.default.moveItem(atPath: folder.path + "/metadata/v\(version).metadata.json", toPath: version == 2 ? named : named + ".old") }
        try FileManager.default.removeItem(atPath: folder.path + "/metadata/version-hint.text")
        #expect(try table.read().canonical == Self.rows.canonical)
        expect("can be read only") { try table.commit(Self.rows) }
        try FileManager.default.moveItem(atPath: named, toPath: folder.path + "/metadata/v2.metadata.json")
        try "2".write(toFile: folder.path + "/metadata/version-hint.text", atomically: true, encoding: .utf8)
        _ = try Judge.answer("write", folder.path, "deletes")
        expect("row-level deletes") { _ = try table.read() }
        expect("row-level deletes") { try table.commit(Self.rows) }
        #expect(throws: StreamError.self) { try IcebergTable.open(folder.path + "/data") }
    }
}
