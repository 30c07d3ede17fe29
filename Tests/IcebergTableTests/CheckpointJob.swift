import Foundation
import StreamCore
import Testing

@testable import IcebergTable
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
        var expected: [String: [Value]]
    }

    let table: TestTable
    /// The rows of one block of input with their kinds.
    let block: (Int) -> (rows: [[Value]], kinds: [RowKind])

    private(set) var position = 0
    /// By key.
    private(set) var expected: [String: [Value]] = [:]
    private var number: UInt64 = 0
    /// Prepared, their manifests not durable yet, oldest first.
    private(set) var running: [Checkpoint] = []
    /// Of checkpoints that were given up; the next manifest has them too.
    private var carried: [Committable] = []
    /// Manifests that are durable, oldest first, the first one being the start of the job. These outlive crashes.
    private(set) var manifests = [Checkpoint(number: 0, committables: [], position: 0, expected: [:])]
    /// How many of them are committed.
    private(set) var committed = 1
    private var writer: (any SinkWriter)?
    private var committer: (any SinkCommitter)?

    init(_ table: TestTable, block: @escaping (Int) -> ([[Value]], [RowKind])) { (self.table, self.block) = (table, block) }

    /// Upserts with deletes and moves between partitions, made of the seed.
    static func random(_ path: String, seed: UInt64, connector: IcebergConnector, options: [String: String] = [:]) -> CheckpointJob {
        var all = ["history.expire.max-snapshot-age-ms": "60000"]
        // Many small files that are never filled, or few that are written again and again.
        all["write.target-file-size-bytes"] = seed % 2 == 0 ? "4 kb" : "40 kb"
        all["write.parquet.small.file.limit"] = seed % 2 == 0 ? "3 kb" : "20 kb"
        all["commit.manifest.min-count-to-merge"] = "3"
        var table = TestTable(path, partitions: ["city"], options: all.merging(options) { $1 })
        table.connector = connector
        let cities = ["oslo", "lima", "a b", nil]
        return CheckpointJob(table) { number in
            var random = SeededGenerator(seed &* 1_000_003 &+ UInt64(number))
            func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for _ in 0..<below(40) {
                rows.append(TestTable.row(below(60), cities[below(4)], below(1_000), below(20)))
                kinds.append(below(6) == 0 ? .delete : [.insert, .updateAfter][below(2)])
            }
            return (rows, kinds)
        }
    }

    // MARK: Life

    /// Starts the job from the newest manifest.
    mutating func start() throws {
        let from = manifests.last!, restores = from.number > 0
        let context = SinkContext(jobID: "job-7", isRecoverable: true, restoredCheckpoint: restores ? from.number : nil)
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
        for (row, kind) in zip(rows, kinds) { expected["\(row[0])"] = kind == .delete ? nil : row }
    }

    mutating func prepare() throws {
        number = max(number, manifests.last!.number) + 1
        let committables = try writer!.prepareCommit(number)
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
        try writer?.close()
        committer?.close()
        (writer, committer) = (nil, nil)
    }
}
