import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Maintenance of Hudi tables") struct MaintenanceTests {
    static func row(_ id: Int, _ city: String, _ amount: Int) -> [Value] { UpsertTests.row(id, city, amount, 1) }

    static func table(_ folder: TemporaryFolder, options: [String: String] = [:]) -> TestTable {
        TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: options)
    }

    /// A table of some commits; what it held after each of them.
    static func history(_ folder: TemporaryFolder, commits: Int, options: [String: String] = [:]) throws -> (TestTable, [(instant: String, rows: [[Value]])]) {
        let table = table(folder, options: options)
        var model: [Int: [Value]] = [:], moments: [(String, [[Value]])] = []
        for n in 0..<commits {
            let rows = (n * 5..<n * 5 + 20).map { row($0, ["oslo", "lima"][($0 + n / 3) % 2], n) }
            for i in rows.indices { model[n * 5 + i] = rows[i] }
            try table.commit(rows)
            moments.append((try HudiTable.open(folder.path).timeline.last { $0.action == "commit" }!.instant, Array(model.values)))
        }
        return (table, moments)
    }

    static func actions(_ folder: TemporaryFolder) throws -> [String] { try HudiTable.open(folder.path).timeline.map(\.action) }

    static func expect(_ folder: TemporaryFolder, _ table: TestTable, _ rows: [[Value]], sourceLocation: SourceLocation = #_sourceLocation) throws {
        try expectSound(folder.path, rows: rows.count, key: "id", globalKeys: true, sourceLocation: sourceLocation)
        #expect(try table.read().canonical == rows.canonical, sourceLocation: sourceLocation)
        #expect(try HudiTable.open(folder.path).timeline.allSatisfy { $0.state == "completed" }, sourceLocation: sourceLocation)
    }

    // MARK: Cleaning

    /// `<group>_<version>` for instants 0...9.
    static func slices(_ names: [String]) -> [FileSlice] {
        names.map { name in
            let parts = name.split(separator: "_")
            return FileSlice(partition: "p", fileId: String(parts[0]), name: name, instant: time(Int(parts[1])!))
        }
    }

    /// One commit per hour.
    static func time(_ n: Int) -> String { InstantTime.format(milliseconds: 1_767_225_600_000 + Int64(n) * 3_600_000) }

    static let policies: [(CleanPolicy, kept: Set<String>, gone: [String])] = [
        (.commits(3), [], ["a_0", "a_3", "b_0", "c_1", "c_2"]),
        (.commits(1), [], ["a_0", "a_3", "a_5", "b_0", "c_1", "c_2", "d_4"]),
        (.commits(1), ["p/a_0", "p/c_2", "p/d_4"], ["a_3", "a_5", "b_0", "c_1"]),
        (.commits(10), [], []),
        (.fileVersions(1), [], ["a_0", "a_3", "a_5", "a_7", "b_0", "c_1", "c_2", "d_4"]),
        (.fileVersions(3), [], ["a_0", "a_3", "c_1", "c_2", "d_4"]),
        (.hours(2), [], ["a_0", "a_3", "b_0", "c_1", "c_2"]),
        (.hours(6), [], ["c_1"]),
        (.hours(100), [], []),
    ]

    @Test("each policy deletes what no snapshot that it keeps needs", arguments: 0..<9)
    func policies(_ index: Int) throws {
        let (policy, kept, gone) = Self.policies[index]
        let writes = (0..<10).map { Instant(time: Self.time($0), action: [3, 8].contains($0) ? "replacecommit" : "commit", state: .completed) }
        // Group c was replaced at 3, d at 8.
        let files = Self.slices(["a_0", "a_3", "a_5", "a_7", "a_9", "b_0", "b_6", "c_1", "c_2", "d_4", "e_2"])
        let plan = Cleaner.plan(policy, writes: writes, retired: RetiredVersion.split(
            files.shuffled().map { ($0, 0) }, replaced: [FileGroupKey(partition: "p", fileId: "c"): Self.time(3), FileGroupKey(partition: "p", fileId: "d"): Self.time(8)]).retired, kept: kept,
                                now: InstantTime.parse(Self.time(9))!, path: { String($0.dropFirst(2)) })
        #expect(plan?.files["p"] ?? [] == gone)
    }

    @Test("cleaning by versions, by hours and not at all", arguments: ["KEEP_LATEST_FILE_VERSIONS", "KEEP_LATEST_BY_HOURS", "off"])
    func cleaningByOption(_ policy: String) throws {
        let folder = try TemporaryFolder()
        let options = policy == "off" ? ["clean.async.enabled": "false", "clean.retain_commits": "1"]
            : ["clean.policy": policy, "clean.retain_file_versions": "2", "clean.retain_hours": "1"]
        let (table, moments) = try Self.history(folder, commits: 6, options: options)
        try Self.expect(folder, table, moments.last!.rows)
        let files = try TableListing.baseFiles(TableFiles(path: folder.path)), groups = Dictionary(grouping: files, by: \.fileId)
        #expect(groups.values.allSatisfy { policy == "KEEP_LATEST_FILE_VERSIONS" ? $0.count <= 2 : $0.count > 2 })
        #expect(try Self.actions(folder).contains("clean") == (policy == "KEEP_LATEST_FILE_VERSIONS"))
        // By hand.
        let maintenance = try TableMaintenance(folder.path)
        let dry = try maintenance.clean(.commits(1), dryRun: true)
        #expect(dry.instant == nil && (policy == "KEEP_LATEST_FILE_VERSIONS" || !dry.files.isEmpty))
        let done = try maintenance.clean(.fileVersions(1))
        #expect(done.files.count == files.count - groups.count && done.bytes > 0 && done.instant != nil)
        try Self.expect(folder, table, moments.last!.rows)
        let again = try maintenance.clean(.fileVersions(1))
        #expect(again.instant == nil && again.files.isEmpty)
    }

    // MARK: Savepoints and going back

    @Test("a savepoint's files outlive every clean, and the table goes back to it")
    func savepoint() throws {
        let folder = try TemporaryFolder(), maintenance: TableMaintenance
        let (table, moments) = try Self.history(folder, commits: 8)
        maintenance = try TableMaintenance(folder.path)
        let made = try maintenance.createSavepoint(moments[3].instant, comment: "before the change")
        #expect(try maintenance.savepoints() == [made] && made.files == 2 && made.comment == "before the change")
        try expectSound(folder.path, rows: moments[7].rows.count)
        _ = try maintenance.clean(.fileVersions(1))
        try expectSound(folder.path, rows: moments[7].rows.count)
        // Neither a commit whose files are gone nor one before the savepoint can be gone back to.
        for n in [2, 5] {
            let error = #expect(throws: StreamError.self) { try maintenance.restore(to: moments[n].instant) }
            #expect(error?.code == .conflict && error?.problem.contains("was cleaned") == true, "\(String(describing: error))")
        }
        let dry = try maintenance.restore(to: moments[3].instant, dryRun: true)
        #expect(dry.map(\.instant) == moments[4...].reversed().map(\.instant) && dry.allSatisfy { $0.operation == "UPSERT" })
        #expect(try maintenance.restore(to: moments[3].instant) == dry)
        try Self.expect(folder, table, moments[3].rows)
        #expect(try Self.actions(folder).filter { $0 == "restore" || $0 == "rollback" }.count == 5)
        // What keeps a commit keeps it from being undone.
        let error = #expect(throws: StreamError.self) { try maintenance.rollback() }
        #expect(error?.problem.contains("a savepoint keeps it") == true)
        try maintenance.deleteSavepoint(moments[3].instant)
        #expect(try maintenance.savepoints().isEmpty)
        // The table goes on.
        try table.commit([Self.row(1, "oslo", 99)])
        try Self.expect(folder, table, moments[3].rows.filter { $0[0] != .string("order-1") } + [Self.row(1, "oslo", 99)])
    }

    @Test("the newest commits are undone one by one, overwrites and clusterings among them")
    func rollback() throws {
        let folder = try TemporaryFolder()
        let (table, moments) = try Self.history(folder, commits: 3)
        let maintenance = try TableMaintenance(folder.path)
        try OperationTests.run(TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: ["write.operation": "insert_overwrite_table"]),
                               [[Self.row(900, "oslo", 1)]])
        try expectSound(folder.path, rows: 1)
        let wrong = #expect(throws: StreamError.self) { try maintenance.rollback(moments[1].instant) }
        #expect(wrong?.problem.contains("is not the newest one") == true)
        let unknown = #expect(throws: StreamError.self) { try maintenance.rollback("20200101000000000") }
        #expect(unknown?.fix?.contains(moments[0].instant) == true, "\(String(describing: unknown))")
        for n in [2, 1, 0] {
            let dry = try maintenance.rollback(dryRun: true)
            let undone = try maintenance.rollback()
            #expect(dry == undone && undone.operation == (n == 2 ? "INSERT_OVERWRITE_TABLE" : "UPSERT"))
            try Self.expect(folder, table, moments[n].rows)
        }
        _ = try maintenance.rollback()
        #expect(try table.read().isEmpty)
        let nothing = #expect(throws: StreamError.self) { try maintenance.rollback() }
        #expect(nothing?.problem.contains("nothing to roll back") == true)
        try table.commit([Self.row(1, "oslo", 1)])
        try Self.expect(folder, table, [Self.row(1, "oslo", 1)])
    }

    static let restoreSteps: [WriteStep] = [.restoreRequested, .restoreInflight, .rollbackRequested, .rollbackInflight, .rollbackHidden, .rollbackFilesDeleted,
                                            .rollbackInstantDeleted, .rollbackCompleted, .restoreUndone]

    @Test("a restore that dies at any step shows one of the commits, and is finished by the next writer", arguments: restoreSteps, [1, 2])
    func deathInRestore(step: WriteStep, count: Int) throws {
        let folder = try TemporaryFolder()
        let (table, moments) = try Self.history(folder, commits: 5)
        let death = RecoveryTests.Death(at: step, count: count)
        do {
            _ = try TableMaintenance(folder.path, reached: { try death.reached($0) }).restore(to: moments[1].instant)
            #expect(count == 2 && step.rawValue.hasPrefix("restore"), "these are reached only once")
        } catch is RecoveryTests.Death.Error {}
        let left = try HudiTable.open(folder.path).timeline.last { $0.action == "commit" && $0.state == "completed" }!.instant
        let moment = try #require(moments.first { $0.instant == left })
        if count == 2 { try expectSound(folder.path, rows: moment.rows.count) }
        #expect(try table.read().canonical == moment.rows.canonical)
        try table.commit([Self.row(500, "oslo", 1)])
        try Self.expect(folder, table, moments[1].rows + [Self.row(500, "oslo", 1)])
    }

    @Test("a table that a job writes is left alone")
    func locked() throws {
        let folder = try TemporaryFolder()
        let (table, moments) = try Self.history(folder, commits: 3)
        let writer = try table.sink().writer(SinkContext())
        try writer.write(table.batch([Self.row(0, "oslo", 77)]))
        _ = try writer.prepareCommit(9)
        let maintenance = try TableMaintenance(folder.path)
        let actions: [(String, () throws -> Void)] = [
            ("clean", { _ = try maintenance.clean(.commits(1)) }), ("cluster", { _ = try maintenance.cluster() }), ("rollback", { _ = try maintenance.rollback() }),
            ("restore", { _ = try maintenance.restore(to: moments[0].instant) }), ("savepoint", { _ = try maintenance.createSavepoint() }),
            ("delete", { try maintenance.deleteSavepoint("1") }), ("remove", { _ = try maintenance.removePartitions(nil) }),
        ]
        for (name, action) in actions {
            let error = #expect(throws: StreamError.self) { try action() }
            #expect(error?.code == .conflict && error?.problem.contains("being written by another job") == true, "\(name)")
        }
        // The job dies; its commit may still be completed, so nothing is built on what was before.
        try writer.close()
        let error = #expect(throws: StreamError.self) { try maintenance.removePartitions(nil) }
        #expect(error?.problem.contains("a job that is down may still complete it") == true)
        let pending = try maintenance.rollback()
        #expect(pending.operation == nil)
        try Self.expect(folder, table, moments[2].rows)
        #expect(try maintenance.removePartitions(["oslo"])?.files == 1)
        try Self.expect(folder, table, moments[2].rows.filter { $0[1] != .string("oslo") })
        #expect(try maintenance.removePartitions(nil)?.files == 1)
        #expect(try maintenance.removePartitions(nil) == nil)
        try Self.expect(folder, table, [])
    }

    // MARK: Clustering

    /// A table of many small files: inserts that never fill old ones.
    static func scattered(_ folder: TemporaryFolder, commits: Int, options: [String: String] = [:]) throws -> (TestTable, [[Value]]) {
        let table = table(folder, options: ["write.operation": "insert", "write.insert.cluster": "false"].merging(options) { _, b in b })
        var rows: [[Value]] = []
        for n in 0..<commits {
            let some = (n * 10..<n * 10 + 10).map { row($0, ["oslo", "lima"][$0 % 2], 1_000 - $0) }
            try table.commit(some)
            rows += some
        }
        return (table, rows)
    }

    /// The kept meta columns of every row.
    static func marks(_ table: TestTable) throws -> [String] {
        var table = table
        table.descriptor.metadata = HudiFiles.markColumns.kept.map { .init(name: $0, key: $0, type: .string) }
        return try table.read(ScanRequest(projection: [0], metadata: [0, 1, 2, 3])).canonical
    }

    @Test("clustering merges small files and changes no row, nor what it says of its commit")
    func clustering() throws {
        let folder = try TemporaryFolder()
        let (table, rows) = try Self.scattered(folder, commits: 8)
        let before = try Self.marks(table), maintenance = try TableMaintenance(folder.path)
        let dry = try maintenance.cluster(dryRun: true)
        #expect(dry.replaced.count == 16 && dry.groups == 2 && dry.instant == nil)
        let done = try maintenance.cluster(sortColumns: ["amount"])
        #expect(done.replaced == dry.replaced && done.written.count == 2 && done.rows == 80 && done.writtenBytes < done.replacedBytes)
        try Self.expect(folder, table, rows)
        #expect(try Self.marks(table) == before)
        let opened = try HudiTable.open(folder.path), live = try opened.baseFiles, newest = try opened.timeline.last
        #expect(live.count == 2 && newest?.operation == "CLUSTER" && newest?.action == "replacecommit")
        for file in live {
            let reader = try DataFileReader(path: folder.path + "/" + file.path, wanted: [UpsertTests.schema[2]])
            var amounts: [Int64] = []
            while let batch = try reader.next() { amounts += batch.rows().compactMap { if case .int(let n) = $0[0] { n } else { nil } } }
            #expect(amounts == amounts.sorted() && amounts.count == 40)
        }
        #expect(try maintenance.cluster().instant == nil, "there is nothing left to merge")
        // Rows are found in their new files, and cleaning takes the old ones.
        try Self.table(folder, options: ["clean.retain_commits": "1"]).commit([Self.row(3, "oslo", 5)])
        try Self.expect(folder, table, rows.filter { $0[0] != .string("order-3") } + [Self.row(3, "oslo", 5)])
        _ = try maintenance.clean(.fileVersions(1))
        #expect(try TableListing.baseFiles(TableFiles(path: folder.path)).count == 2)
        try Self.expect(folder, table, rows.filter { $0[0] != .string("order-3") } + [Self.row(3, "oslo", 5)])
    }

    @Test("the target size bounds what is merged into one file")
    func clusteringSizes() throws {
        let folder = try TemporaryFolder()
        let (table, rows) = try Self.scattered(folder, commits: 10)
        let size = try HudiTable.open(folder.path).baseFiles.map(\.bytes).max()!
        let done = try TableMaintenance(folder.path).cluster(targetBytes: size * 4, smallFileBytes: size * 3)
        #expect(done.written.count == 6, "\(done)")
        try Self.expect(folder, table, rows)
    }

    @Test("a job clusters between its commits when it is told to")
    func inlineClustering() throws {
        let folder = try TemporaryFolder()
        let (table, rows) = try Self.scattered(folder, commits: 11, options: ["clustering.schedule.enabled": "true", "clustering.delta_commits": "3"])
        try Self.expect(folder, table, rows)
        let operations = try HudiTable.open(folder.path).timeline.compactMap(\.operation)
        #expect(operations.filter { $0 == "CLUSTER" }.count == 3, "\(operations)")
        // An upsert goes on with the same writer.
        let upserting = Self.table(folder, options: ["clustering.schedule.enabled": "true", "clustering.delta_commits": "2"])
        let sink = try upserting.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
        var model = Dictionary(uniqueKeysWithValues: rows.map { ($0[0], $0) })
        for n in 0..<6 {
            let changes = (n * 7..<n * 7 + 14).map { Self.row($0, ["lima", "oslo", "pune"][($0 + n) % 3], n) }
            for row in changes { model[row[0]] = row }
            try writer.write(upserting.batch(changes))
            try committer.commit(UInt64(n + 1), try writer.prepareCommit(UInt64(n + 1)))
            #expect(try table.read().canonical == Array(model.values).canonical)
        }
        try writer.close()
        committer.close()
        try Self.expect(folder, table, Array(model.values))
    }

    @Test("a clustering that dies at any step is undone or done", arguments: RecoveryTests.writeSteps, [1, 2])
    func deathInClustering(step: WriteStep, count: Int) throws {
        let folder = try TemporaryFolder()
        let (table, rows) = try Self.scattered(folder, commits: 4)
        let death = RecoveryTests.Death(at: step, count: count)
        let died: Bool
        do {
            // A process that dies cannot undo anything either.
            _ = try TableMaintenance(folder.path, reached: { step in try death.reached(step); try death.stayDead() }).cluster()
            died = false
        } catch is RecoveryTests.Death.Error { died = true }
        guard died else { return }
        if count == 2 { try expectSound(folder.path, rows: 40, key: "id") }
        #expect(try table.read().canonical == rows.canonical)
        try table.commit([Self.row(500, "oslo", 1)])
        #expect(try table.read().canonical == (rows + [Self.row(500, "oslo", 1)]).canonical)
        _ = try TableMaintenance(folder.path).cluster()
        try Self.expect(folder, table, rows + [Self.row(500, "oslo", 1)])
        #expect(try HudiTable.open(folder.path).baseFiles.count == 2)
    }

    @Test("random histories with overwrites, deletes, clusterings, cleans, savepoints and restores equal a model", arguments: 1...6)
    func randomHistory(_ seed: UInt64) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed)
        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
        let cities = ["oslo", "lima", "a b"], sizes = ["write.parquet.max.file.size": "4 kb", "hoodie.parquet.small.file.limit": "3 kb", "clean.retain_commits": "3"]
        var model: [Value: [Value]] = [:], moments: [(instant: String, model: [Value: [Value]])] = []
        let maintenance = { try TableMaintenance(folder.path) }
        func table(_ operation: String) -> TestTable { Self.table(folder, options: sizes.merging(["write.operation": operation]) { a, _ in a }) }
        func rows(_ n: Int) -> [[Value]] {
            Array(Dictionary((0..<n).map { _ in Self.row(below(120), cities[below(3)], below(1_000)) }.map { ($0[0], $0) }) { $1 }.values)
        }
        try table("upsert").commit([Self.row(0, "oslo", 0)])
        model[.string("order-0")] = Self.row(0, "oslo", 0)
        for turn in 0..<30 {
            let what = below(10)
            switch what {
            case 0...3:
                let some = rows(1 + below(40))
                for row in some { model[row[0]] = row }
                try table("upsert").commit(some)
            case 4:
                let some = rows(1 + below(40))
                for row in some { model[row[0]] = nil }
                try table("delete").commit(some)
            case 5:
                let city = cities[below(3)], some = rows(20).filter { $0[1] == .string(city) && model[$0[0]].map { $0[1] == .string(city) } ?? true }
                if !some.isEmpty { model = model.filter { $0.value[1] != .string(city) } }
                for row in some { model[row[0]] = row }
                try OperationTests.run(table("insert_overwrite"), [some])
            case 6:
                let city = cities[below(3)]
                model = model.filter { $0.value[1] != .string(city) }
                try OperationTests.run(table("delete_partition"), [[Self.row(0, city, 0)]])
            case 7: _ = try maintenance().cluster(targetBytes: 16 << 10, smallFileBytes: 8 << 10, sortColumns: below(2) == 0 ? ["amount"] : [])
            case 8: _ = try maintenance().clean([.commits(1 + below(3)), .fileVersions(1 + below(2))][below(2)])
            default:
                let kept = try maintenance().savepoints().map(\.instant)
                if kept.isEmpty {
                    _ = try maintenance().createSavepoint()
                } else if let moment = moments.last(where: { $0.instant == kept.last }) {
                    _ = try maintenance().restore(to: moment.instant)
                    model = moment.model
                    moments.removeAll { $0.instant > moment.instant }
                    try maintenance().deleteSavepoint(moment.instant)
                }
            }
            #expect(try table("upsert").read().canonical == Array(model.values).canonical, "seed \(seed), turn \(turn), action \(what)")
            if let newest = try HudiTable.open(folder.path).timeline.last(where: { $0.operation != nil })?.instant, moments.last?.instant != newest {
                moments.append((newest, model))
            }
            if turn % 15 == 14 { try expectSound(folder.path, rows: model.count, key: "id", globalKeys: true) }
        }
        try Self.expect(folder, table("upsert"), Array(model.values))
    }
}
