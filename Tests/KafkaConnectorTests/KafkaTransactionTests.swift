import CRdKafka
import Foundation
import StreamCore
import StreamTesting
import Testing
@testable import KafkaConnector

@Suite("kafka sink, exactly once") struct KafkaTransactionTests {
    private struct Target {
        let topic: String, prefix = Broker.shared.group("tx"), judge: Judge

        init(partitions: Int = 3) throws {
            topic = try Broker.shared.topic("exactly", partitions: partitions)
            judge = try Broker.shared.judge
        }

        func sink(_ options: [String: String] = [:]) throws -> any TableSink {
            try KafkaSinkTests.sink(KafkaSinkTests.table(try Broker.shared.bootstrap, topic, [
                "key.format": "raw", "key.fields": "name", "value.format": "json", "format": "",
                "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": prefix].merging(options) { $1 }))
        }

        func ids() throws -> [Int] { KafkaSinkTests.ids(try judge.consume(topic)).sorted() }

        func check(_ rows: [[Value]], _ note: String) throws {
            let wanted = rows.map { row -> Int in if case .int(let id) = row[0] { Int(id) } else { -1 } }.sorted()
            let found = try ids()
            #expect(found == wanted, "\(note): \(found.count) rows, \(wanted.count) wanted")
        }
    }

    private struct Rows {
        var next = 0
        mutating func callAsFunction(_ subtask: Int, _ count: Int) -> SinkStep {
            defer { next += count }
            return .write(subtask: subtask, rows: (next..<next + count).map { [.int(Int64($0)), .string("k\(subtask)-\($0 % 3)")] })
        }
    }

    private static func context(_ job: String = "job", restored: UInt64? = nil, subtask: Int = 0, parallelism: Int = 1) -> SinkContext {
        SinkContext(jobID: job, subtask: subtask, parallelism: parallelism, isRecoverable: true, restoredCheckpoint: restored)
    }

    @Test("a death after any step leaves each row once")
    func everyStep() throws {
        func steps() -> [SinkStep] {
            var rows = Rows()
            return [
                rows(0, 5), rows(1, 4), .checkpoint, rows(0, 30), rows(1, 3), .checkpointWithoutCommit, .fail, rows(0, 4), .checkpoint, .checkpoint,
                rows(1, 40), .abortedCheckpoint, rows(1, 2), .checkpoint, .fail, rows(0, 6), rows(1, 2), .checkpoint, .restart(parallelism: 3),
                rows(2, 6), rows(0, 2), .checkpointWithoutCommit, .fail, rows(2, 20), .finish,
            ]
        }
        for death in SinkHistory.deaths(of: steps().count + 1) {
            let target = try Target()
            var all = steps()
            all.insert(.restart(parallelism: 2), at: death)
            var history = SinkHistory(steps: all, schema: KafkaSinkTests.schema, parallelism: 2) { _ in try target.sink() }
            history.check = { try target.check($0, "death at step \(death)") }
            try history.run()
        }
    }

    @Test("random histories", arguments: UInt64(1)...3)
    func histories(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var rows = Rows(), steps: [SinkStep] = []
        for _ in 0..<25 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0...5: steps.append(rows(Int.random(in: 0..<4, using: &random), Int.random(in: 1...20, using: &random)))
            case 6: steps.append(.abortedCheckpoint)
            case 7: steps.append(.fail)
            case 8: steps += [.checkpointWithoutCommit, .restart(parallelism: Int.random(in: 1...4, using: &random))]
            case 9: steps.append(.restart(parallelism: Int.random(in: 1...4, using: &random)))
            default: steps.append(.checkpoint)
            }
        }
        steps.append(.finish)
        let target = try Target()
        var history = SinkHistory(steps: steps, schema: KafkaSinkTests.schema, parallelism: 2) { _ in try target.sink() }
        history.check = { try target.check($0, "seed \(seed)") }
        try history.run()
    }

    @Test("rows are hidden until the commit; a commit that died in the middle goes on in another process")
    func halfCommitted() throws {
        let target = try Target()
        var committables: [Committable] = []
        do {
            let sink = try target.sink()
            let committer = try #require(try sink.committer(Self.context()))
            let writers = try (0..<2).map { try sink.writer(Self.context(subtask: $0, parallelism: 2)) }
            for (i, writer) in writers.enumerated() { try writer.write(KafkaSinkTests.rows(i * 10..<(i + 1) * 10)) }
            committables = try writers.flatMap { try $0.prepareCommit(1) }
            let hidden = try target.ids()
            #expect(committables.count == 2 && hidden.isEmpty)
            // Rows of a checkpoint that never completes.
            for writer in writers { try writer.write(KafkaSinkTests.rows(100..<110)) }
            _ = try writers[0].prepareCommit(2)
            try committer.commit(1, [committables[0]])
        }
        for _ in 0..<2 {
            let sink = try target.sink()
            let committer = try #require(try sink.committer(Self.context(restored: 1)))
            try committer.recover(1, committables)
            #expect(try target.ids() == Array(0..<20))
            try committer.recover(1, committables)
            committer.close()
        }
        // It goes on with other producers than those of the checkpoint.
        let sink = try target.sink()
        let committer = try #require(try sink.committer(Self.context(restored: 1)))
        try committer.recover(1, committables)
        let writer = try sink.writer(Self.context(restored: 1))
        try writer.write(KafkaSinkTests.rows(20..<30))
        let next = try writer.prepareCommit(2)
        let old = try committables.map { try PreparedTransaction(bytes: $0.bytes).id }, new = try next.map { try PreparedTransaction(bytes: $0.bytes).id }
        #expect(Set(old).isDisjoint(with: new))
        try committer.commit(2, next)
        #expect(try target.ids() == Array(0..<30))
        try writer.close()
        committer.close()
    }

    @Test("a checkpoint without rows leaves nothing to commit; three producers serve many checkpoints")
    func producersTakeTurns() throws {
        let target = try Target(partitions: 1), sink = try target.sink()
        let committer = try #require(try sink.committer(Self.context())), writer = try sink.writer(Self.context())
        var ids: Set<String> = []
        for n in 1...12 as ClosedRange<UInt64> {
            try writer.write(KafkaSinkTests.rows(Int(n) * 10..<Int(n + 1) * 10))
            let committables = try writer.prepareCommit(n * 2)
            ids.formUnion(try committables.map { try PreparedTransaction(bytes: $0.bytes).id })
            try committer.commit(n * 2, committables)
            #expect(try writer.prepareCommit(n * 2 + 1).isEmpty)
        }
        #expect(ids.count <= 3, "\(ids)")
        #expect(try KafkaSinkTests.ids(target.judge.consume(target.topic, library: .pure)) == Array(10..<130))
        try writer.close()
        committer.close()
    }

    @Test func checkpointsThatNeverCommitEndInAnError() throws {
        let target = try Target(partitions: 1), sink = try target.sink()
        let writer = try sink.writer(Self.context())
        let error = #expect(throws: StreamError.self) {
            for n in 1...40 as ClosedRange<UInt64> {
                try writer.write(KafkaSinkTests.rows(0..<1))
                _ = try writer.prepareCommit(n)
            }
        }
        #expect(error?.problem.contains("wait for their commit") == true, "\(error!)")
        writer.abort()
    }

    @Test("a run that goes on after its successor has started is fenced, and its rows are not seen")
    func zombies() throws {
        let target = try Target()
        let old = try target.sink()
        let committer = try #require(try old.committer(Self.context())), writer = try old.writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(1)
        try committer.commit(1, committables)
        try writer.write(KafkaSinkTests.rows(10..<20))
        let new = try target.sink(), successor = try #require(try new.committer(Self.context(restored: 1)))
        try successor.recover(1, committables)
        let error = #expect(throws: StreamError.self) {
            try writer.write(KafkaSinkTests.rows(20..<30))
            try committer.commit(2, try writer.prepareCommit(2))
        }
        #expect(error?.code == .conflict && error?.fix?.contains("sink.transactional-id-prefix") == true, "\(error!)")
        writer.abort()
        let next = try new.writer(Self.context(restored: 1))
        try next.write(KafkaSinkTests.rows(50..<60))
        try successor.commit(2, try next.prepareCommit(2))
        #expect(try target.ids() == Array(0..<10) + Array(50..<60))
        try next.close()
    }

    @Test("rows whose transaction was ended by the cluster are not lost without a word")
    func lostRows() throws {
        let target = try Target(), sink = try target.sink()
        let writer = try sink.writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(7)
        let prepared = try PreparedTransaction(bytes: committables[0].bytes)
        let wire = KafkaWireClient(try KafkaConfiguration(["bootstrap.servers": Broker.shared.bootstrap]), table: "t")
        #expect(try wire.fence(prepared.id) > 0)
        #expect(try wire.fence(Broker.shared.group()) == 0)
        let error = #expect(throws: StreamError.self) { try target.sink().committer(Self.context(restored: 7))!.recover(7, committables) }
        #expect(error?.code == .corrupt && error?.problem.contains("checkpoint 7") == true && error?.fix?.contains("transaction.timeout.ms") == true, "\(error!)")
        #expect(try target.ids().isEmpty)
        writer.abort()
    }

    @Test func aTimeoutThatTheBrokersDoNotAllowIsRefusedAtTheStart() throws {
        let target = try Target()
        // Kafka allows 15 minutes unless told otherwise.
        guard Broker.hasKafka else { return }
        let sink = try target.sink(["properties.transaction.timeout.ms": "7200000"])
        let error = #expect(throws: StreamError.self) { _ = try sink.writer(Self.context()) }
        #expect(error?.fix?.contains("properties.transaction.timeout.ms") == true, "\(error!)")
    }

    @Test(.kafkaOnly) func transactionsThatTheBrokerEndsAreTold() throws {
        let target = try Target()
        let writer = try target.sink(["properties.transaction.timeout.ms": "2000"]).writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(1)
        let deadline = Date().addingTimeInterval(30)
        // The broker lets a later record be read once it has ended the transaction.
        try target.judge.produce(target.topic, (0..<3).map { Message("later", partition: $0) })
        while try target.judge.consume(target.topic).count < 3, Date() < deadline {}
        let error = #expect(throws: StreamError.self) { try target.sink().committer(Self.context(restored: 1))!.recover(1, committables) }
        #expect(error?.code == .corrupt, "\(error!)")
    }
}
