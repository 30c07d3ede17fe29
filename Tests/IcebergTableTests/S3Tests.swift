import Foundation
import StreamCore
import TestScripts
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg tables on an object store", .serialized) final class S3Tests {
    let server: S3Server

    init() throws { server = try S3Server() }
    deinit { server.end() }

    private func job(_ name: String, seed: UInt64, _ more: [String: String] = [:]) -> CheckpointJob {
        CheckpointJob.random("s3://lake/\(name)", seed: seed, connector: IcebergConnector(), options: server.options.merging(more) { $1 })
    }

    private func judged(_ name: String) throws -> [String] {
        Judge.texts(try PythonScript.answer("iceberg/judge.py", ["rows", "s3://lake/\(name)"], environment: server.environment))
    }

    @Test("upserts over several commits and restarts are read back by us and by pyiceberg")
    func commits() throws {
        var job = job("plain", seed: 7, ["history.expire.max-snapshot-age-ms": "0"])
        try job.start()
        for round in 0..<6 {
            try job.write()
            try job.write()
            try job.prepare()
            job.complete()
            try job.commit()
            if round == 2 {
                job.fail()
                try job.start()
            }
            #expect(try job.table.read().canonical == Array(job.expected.values).canonical, "round \(round)")
        }
        try job.finish()
        #expect(try judged("plain") == job.table.judged(Array(job.expected.values)))
    }

    @Test("a store that dies at any request, with and without an answer, loses and repeats nothing")
    func deaths() throws {
        let script: [(inout CheckpointJob) throws -> Void] = [
            { try $0.start() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() }, { try $0.commit() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() },
            { try $0.commit() }, { try $0.write() }, { try $0.prepare() }, { $0.giveUp() }, { try $0.write() }, { try $0.finish() },
        ]
        var dieAt = 5, deaths = 0
        while true {
            let name = "death-\(dieAt)"
            var job = job(name, seed: 3, ["s3.retry.attempts": "1", "history.expire.max-snapshot-age-ms": "0"])
            try server.control(["die": dieAt])
            var died = false
            do { for step in script { try step(&job) } } catch is StreamError { died = true }
            job.crash()
            try server.control(["die": NSNull(), "delete": "\(name)/\(MetadataFolder.own)/.swiftwater.lock"])
            guard died else { break }
            deaths += 1
            try job.start()
            if job.manifests.count > 1 { #expect(try job.table.read().canonical == Array(job.manifests.last!.expected.values).canonical, "\(name)") }
            while job.position < 5 { try job.write() }
            try job.finish()
            #expect(try job.table.read().canonical == Array(job.expected.values).canonical, "\(name)")
            if deaths == 2 { #expect(try judged(name) == job.table.judged(Array(job.expected.values)), "\(name)") }
            dieAt += CrashTests.thorough ? 1 : 31
        }
        #expect(deaths > 2)
    }
}
