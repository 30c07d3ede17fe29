import Foundation
import StreamCore
import TestScripts
import Testing

@testable import DeltaTable
@testable import LakeTable

@Suite("Delta tables on an object store", .serialized) final class S3Tests {
    let server: S3Server

    init() throws { server = try S3Server() }
    deinit { server.end() }

    private func table(_ name: String, _ more: [String: String] = [:]) -> TestTable {
        TestTable("s3://lake/\(name)", partitions: ["city"],
                  options: server.options.merging(["delta.checkpointInterval": "3", "clean.retain_commits": "2"]) { $1 }.merging(more) { $1 })
    }

    private static let blocks = (0..<5).map { turn in (0..<30).map { TestTable.row(turn * 10 + $0, ["oslo", "a b/c", nil][($0 + turn) % 3], turn, 1) } }

    private static func rows(_ blocks: Int) -> [[Value]] {
        Array(Dictionary(Self.blocks.prefix(blocks).joined().map { ($0[0], $0) }, uniquingKeysWith: { $1 }).values)
    }

    /// What a job keeps: blocks of input, and what its newest checkpoint names.
    private struct Job {
        var checkpoint: UInt64 = 0
        var committables: [Committable] = []
    }

    /// Goes on from the newest checkpoint to the end.
    private func run(_ job: inout Job, _ table: TestTable) throws {
        let sink = try table.sink(), context = SinkContext(isRecoverable: true, restoredCheckpoint: job.checkpoint > 0 ? job.checkpoint : nil)
        let committer = try #require(try sink.committer(context))
        if job.checkpoint > 0 { try committer.recover(job.checkpoint, job.committables) }
        let writer = try sink.writer(context)
        while job.checkpoint < UInt64(Self.blocks.count) {
            try writer.write(table.batch(Self.blocks[Int(job.checkpoint)]))
            let prepared = try writer.prepareCommit(job.checkpoint + 1)
            job = Job(checkpoint: job.checkpoint + 1, committables: prepared)
            try committer.commit(job.checkpoint, prepared)
        }
        try writer.close()
        committer.close()
    }

    private func expectOthersRead(_ name: String, _ rows: [[Value]]) throws {
        let answer = try #require(try PythonScript.answer("delta/judge.py", ["read", "s3://lake/\(name)"], environment: server.environment) as? [String: Any])
        #expect(answer["rows"] as? [String] == rows.judged(TestTable.orders), "\(name)")
    }

    @Test("upserts are read back by us and by delta-rs, also where the answer to a commit is lost")
    func commits() throws {
        try server.dropAnswers("PutObject", key: "00000000000000000002.json")
        var job = Job()
        try run(&job, table("plain"))
        #expect(try table("plain").read().canonical == Self.rows(5).canonical)
        try expectOthersRead("plain", Self.rows(5))
        let objects = try server.log()
        #expect(objects.contains { $0.contains("checkpoint.parquet") })
        let error = #expect(throws: StreamError.self) {
            let first = try table("plain").sink().writer(SinkContext())
            defer { first.abort() }
            _ = try table("plain").sink().writer(SinkContext())
        }
        #expect(error?.code == .conflict)
    }

    @Test("a store that dies at a request loses and repeats nothing")
    func deaths() throws {
        var dieAt = 9
        while true {
            let name = "death-\(dieAt)", table = table(name, ["s3.retry.attempts": "1"])
            try server.control(["die": dieAt])
            var job = Job(), died = false
            do { try run(&job, table) } catch is StreamError { died = true }
            try server.control(["die": NSNull(), "delete": "\(name)/_delta_log/.swiftwater.lock"])
            guard died else { break }
            try run(&job, table)
            #expect(try table.read().canonical == Self.rows(5).canonical, "\(name)")
            #expect(try DeltaTable.open("s3://lake/\(name)", options: table.descriptor).version == 5, "\(name)")
            dieAt += 23
        }
        #expect(dieAt > 60)
        try expectOthersRead("death-32", Self.rows(5))
    }
}
