import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

/// What the runtime does around a sink, without threads: checkpoints whose manifests become durable late or never, commits that
/// come late, and recovery from one of the manifests. What the table must hold is kept beside it.
struct CheckpointJob {
    /// A checkpoint: what the writer prepared, and where and what the job was.
    struct Checkpoint {
        var number: UInt64
        var committables: [Committable]
        /// Blocks of input before it.
        var position: Int
        var expected: Expected
    }

    /// The rows of the table: by key when keys are unique, else all of them.
    enum Expected {
        case upserts(UpsertTests.Model)
        case inserts([[Value]])

        var rows: [[Value]] {
            switch self {
            case .upserts(let model): model.stored.values.map(\.row)
            case .inserts(let rows): rows
            }
        }
    }

    let table: TestTable
    let jobID = "job-7"
    /// The rows of one block of input with their kinds; nil kinds = inserts only.
    let block: (Int) -> (rows: [[Value]], kinds: [RowKind]?)
    /// The unique key of a row.
    let key: ([Value]) -> String

    private(set) var position = 0
    private(set) var expected: Expected
    private var number: UInt64 = 0
    /// Prepared, their manifests not durable yet, oldest first.
    private(set) var running: [Checkpoint] = []
    /// Of checkpoints that were given up; the next manifest has them too.
    private var carried: [Committable] = []
    /// Manifests that are durable, oldest first, the first one being the start of the job. These outlive crashes.
    private(set) var manifests: [Checkpoint]
    /// How many of them are committed.
    private(set) var committed = 1
    private var writer: (any SinkWriter)?
    private var committer: (any SinkCommitter)?

    init(_ table: TestTable, expected: Expected, block: @escaping (Int) -> ([[Value]], [RowKind]?), key: @escaping ([Value]) -> String) {
        (self.table, self.block, self.key, self.expected) = (table, block, key, expected)
        manifests = [Checkpoint(number: 0, committables: [], position: 0, expected: expected)]
    }

    // MARK: Life

    /// Starts the job from the newest manifest, or from an older one.
    mutating func start(from index: Int? = nil) throws {
        let index = index ?? manifests.count - 1
        let from = manifests[index]
        // Once an older one has been gone back to, there is no way to the newer ones.
        manifests.removeSubrange((index + 1)...)
        let restores = from.number > 0
        let context = SinkContext(jobID: jobID, isRecoverable: true, restoredCheckpoint: restores ? from.number : nil)
        let sink = try table.sink()
        committer = try sink.committer(context)
        if restores { try committer!.recover(from.number, from.committables) }
        writer = try sink.writer(context)
        committed = manifests.count
        (position, expected) = (from.position, from.expected)
    }

    /// Nothing is undone, as after kill -9.
    mutating func crash() {
        (writer, committer) = (nil, nil)
        (running, carried) = ([], [])
    }

    /// The job ends in order, nothing being left to commit.
    mutating func stop() throws {
        try writer?.close()
        committer?.close()
        (writer, committer) = (nil, nil)
    }

    /// The job fails in a process that goes on.
    mutating func fail() {
        writer?.abort()
        committer?.close()
        crash()
    }

    // MARK: Steps

    mutating func write() throws {
        let (rows, kinds) = block(position)
        position += 1
        try writer!.write(table.batch(rows, kinds: kinds))
        switch expected {
        case .inserts(let before): expected = .inserts(before + rows)
        case .upserts(var model):
            expected = .inserts([])  // so that the model is not copied
            for (i, row) in rows.enumerated() {
                guard case .int(let ts) = row[3] else { continue }
                model.apply(row, delete: kinds?[i] == .delete, ts: Int(ts), key: key(row))
            }
            expected = .upserts(model)
        }
    }

    mutating func prepare() throws {
        number = max(number, manifests.last!.number) + 1
        let committables = try writer!.prepareCommit(number)
        if case .upserts(var model) = expected {
            model.commit()
            expected = .upserts(model)
        }
        running.append(Checkpoint(number: number, committables: committables, position: position, expected: expected))
    }

    /// The oldest running checkpoint's manifest becomes durable: it has all that may not be committed yet.
    mutating func complete() {
        guard !running.isEmpty else { return }
        var checkpoint = running.removeFirst()
        checkpoint.committables = manifests[committed...].flatMap(\.committables) + carried + checkpoint.committables
        carried = []
        manifests.append(checkpoint)
    }

    /// The oldest running checkpoint is given up.
    mutating func giveUp() {
        guard !running.isEmpty else { return }
        let checkpoint = running.removeFirst()
        committer!.abort(checkpoint.number)
        carried += checkpoint.committables
    }

    mutating func commit() throws {
        while committed < manifests.count {
            try committer!.commit(manifests[committed].number, manifests[committed].committables)
            committed += 1
        }
    }

    mutating func finish() throws {
        try prepare()
        while !running.isEmpty { complete() }
        try commit()
        try stop()
    }
}

extension CheckpointJob {
    /// Upserts with deletes and moves between partitions, or inserts, both made of the seed.
    static func random(_ path: String, seed: UInt64, connector: HudiConnector, insert: Bool, global: Bool, ordered: Bool, options: [String: String] = [:])
        -> CheckpointJob {
        var all = options
        // Many small files that are never filled, or few that are written again and again.
        all["write.parquet.max.file.size"] = seed % 2 == 0 ? "4 kb" : "40 kb"
        all["hoodie.parquet.small.file.limit"] = seed % 2 == 0 ? "3 kb" : "20 kb"
        all["index.global.enabled"] = String(global)
        if insert {
            all["write.operation"] = "insert"
            all["write.insert.cluster"] = String(seed % 8 != 0)
        }
        if ordered { all["precombine.field"] = "ts" }
        var table = TestTable(path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: all)
        table.connector = connector
        let cities = ["oslo", "lima", "a b"]
        return CheckpointJob(table, expected: insert ? .inserts([]) : .upserts(UpsertTests.Model(ordered: ordered)), block: { number in
            var random = SeededGenerator(seed &* 1_000_003 &+ UInt64(number))
            func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for i in 0..<below(40) {
                rows.append(UpsertTests.row(insert ? number * 100 + i : below(60), cities[below(3)], below(1_000), below(20)))
                kinds.append(below(6) == 0 ? .delete : [.insert, .updateAfter][below(2)])
            }
            return (rows, insert ? nil : kinds)
        }, key: { global ? "\($0[0])" : "\($0[0]) \($0[1])" })
    }
}
