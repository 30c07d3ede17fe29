import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi table versions, and tables that others change") struct VersionTests {
    static let rows = RecoveryTests.rows

    static func table(_ folder: TemporaryFolder, _ version: TableVersion, options: [String: String] = [:]) -> TestTable {
        TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: options.merging(version.options) { a, _ in a })
    }

    // MARK: Tables of another writer

    @Test("tables of an independent writer are read and written on", arguments: TableVersion.allCases, ["none", "hive", "deep"])
    func samples(version: TableVersion, layout: String) throws {
        let folder = try TemporaryFolder(), path = folder.path + "/table"
        let made = try Python.run([Python.packageRoot + "/Tests/Support/hudi/make_sample.py", path, "--table-version", String(version.rawValue), "--layout", layout,
                                   "--actions", "insert,upsert,delete,overwrite,evolve,fail"])
        try #require(made.status == 0, "\(made.errors)")
        let rows = try #require(made.output.split(separator: ":").last?.split(separator: " ").first.flatMap { Int($0) })
        let opened = try HudiTable.open(path)
        #expect(opened.version == version.rawValue && opened.orderingFields == ["ts"])
        #expect(try opened.timeline.map(\.state) == Array(repeating: "completed", count: 5) + ["inflight"])
        #expect(try opened.rowCount == Int64(rows))
        var table = TestTable(path, schema: [], key: [])
        table.descriptor = opened.descriptor()
        let before = try table.read()
        #expect(before.count == rows)
        // The pending commit is rolled back, and one row is changed.
        var row = try #require(before.first)
        row[opened.schema.firstIndex { $0.name == "seats" }!] = .int(77)
        try table.commit([row])
        try expectSound(path, rows: rows)
        #expect(try table.read().canonical == (before.dropFirst() + [row]).canonical)
        #expect(try HudiTable.open(path).timeline.last?.completed != nil || version == .six)
    }

    @Test("properties and names are those of the version", arguments: TableVersion.allCases)
    func layout(version: TableVersion) throws {
        let folder = try TemporaryFolder()
        try Self.table(folder, version, options: ["precombine.field": "ts"]).commit(Self.rows)
        let p = PropertiesText.parse(try TableFiles(path: folder.path).read(TableProperties.file))
        #expect(p["hoodie.table.version"] == String(version.rawValue) && p["hoodie.timeline.layout.version"] == (version == .six ? "1" : "2"))
        #expect(p["hoodie.table.keygenerator.class"] == (version == .six ? "org.apache.hudi.keygen.SimpleKeyGenerator" : nil))
        #expect(p["hoodie.table.keygenerator.type"] == (version == .six ? nil : "SIMPLE"))
        #expect(p["hoodie.record.merge.mode"] == (version == .six ? nil : "EVENT_TIME_ORDERING"))
        #expect(p[version == .nine ? "hoodie.table.ordering.fields" : "hoodie.table.precombine.field"] == "ts")
        #expect(p["hoodie.table.format"] == (version == .nine ? "native" : nil))
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/" + version.timelineFolder).filter { $0.hasPrefix("2") }.sorted()
        let time = names[0].prefix(17)
        #expect(names.count == 3 && names.contains("\(time).commit.requested") && names.contains("\(time).inflight"))
        let done = try #require(names.first { $0.hasSuffix(".commit") })
        #expect(done.count == (version == .six ? 24 : 42) && (version == .six || done.dropFirst(18) > time))
    }

    // MARK: Changes by other engines

    private static func edit(_ folder: TemporaryFolder, _ change: (inout [String: String]) -> Void) throws {
        let path = folder.path + "/" + TableProperties.file
        var p = PropertiesText.parse(try TableFiles(path: folder.path).read(TableProperties.file))
        change(&p)
        try Data(PropertiesText.format(p.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, comment: "changed")).write(to: URL(fileURLWithPath: path))
    }

    enum Change: String, CaseIterable { case upgraded, unknownVersion, layoutOnly, metadataTable, metadataFolder, backup, lostProperties, lock }

    @Test("a job stops before its next commit when another engine has changed the table", arguments: Change.allCases, TableVersion.allCases)
    func changed(_ change: Change, version: TableVersion) throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, version)
        let sink = try table.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
        try writer.write(table.batch(Self.rows))
        try committer.commit(1, try writer.prepareCommit(1))
        try writer.write(table.batch([UpsertTests.row(1, "oslo", 1, 9)]))
        let prepared = try writer.prepareCommit(2)
        let text: String
        switch change {
        case .upgraded:
            let other = version == .six ? 8 : 6
            try Self.edit(folder) { ($0["hoodie.table.version"], $0["hoodie.timeline.layout.version"]) = (String(other), other == 6 ? "1" : "2") }
            text = "from version \(version.rawValue) to \(other)"
        case .unknownVersion:
            try Self.edit(folder) { $0["hoodie.table.version"] = "10" }
            text = "only versions 6, 8 and 9 are supported"
        case .layoutOnly:
            try Self.edit(folder) { $0["hoodie.timeline.layout.version"] = version == .six ? "2" : "1" }
            text = "does not belong to version"
        case .metadataTable:
            try Self.edit(folder) { $0["hoodie.table.metadata.partitions"] = "files" }
            text = "has a metadata table (files)"
        case .metadataFolder:
            try FileManager.default.createDirectory(atPath: folder.path + "/.hoodie/metadata", withIntermediateDirectories: false)
            text = "has a metadata table (.hoodie/metadata)"
        case .backup:
            try FileManager.default.copyItem(atPath: folder.path + "/" + TableProperties.file, toPath: folder.path + "/" + TableProperties.backup)
            text = "another engine is changing the properties"
        case .lostProperties:
            try FileManager.default.removeItem(atPath: folder.path + "/" + TableProperties.file)
            text = "has lost its hoodie.properties"
        case .lock:
            try FileManager.default.removeItem(atPath: folder.path + "/.hoodie/.swiftwater.lock")
            text = "the lock of Hudi table"
        }
        let error = #expect(throws: StreamError.self) { try committer.commit(2, prepared) }
        #expect(error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "")")
        #expect(error?.fix != nil)
        let commits = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/" + version.timelineFolder).filter { $0.hasSuffix(".commit") }
        #expect(commits.count == 1)
        guard ![.backup, .lock, .lostProperties].contains(change) else { return }
        writer.abort()
        committer.close()
        // The same when it is opened, unless the table is sound as what it is now.
        if change == .upgraded { return }
        let atOpen = #expect(throws: StreamError.self) { _ = try table.sink().writer(SinkContext()) }
        #expect(atOpen?.description.contains(text) == true)
    }

    @Test("a change of the properties that was not ended is finished or undone by the next writer", arguments: ["missing", "cut short", "whole"], TableVersion.allCases)
    func backup(state: String, version: TableVersion) throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, version)
        try table.commit(Self.rows)
        let file = folder.path + "/" + TableProperties.file, backup = folder.path + "/" + TableProperties.backup
        let old = try Data(contentsOf: URL(fileURLWithPath: file))
        try old.write(to: URL(fileURLWithPath: backup))
        switch state {
        case "missing": try FileManager.default.removeItem(atPath: file)
        case "cut short": try old.prefix(60).write(to: URL(fileURLWithPath: file))
        default: try Self.edit(folder) { $0["hoodie.something.new"] = "1" }
        }
        #expect(try table.read().count == 40, "readers go by the backup until the file is whole")
        try table.commit([UpsertTests.row(1, "oslo", 5, 9)])
        #expect(!FileManager.default.fileExists(atPath: backup))
        #expect((PropertiesText.parse(Array(try Data(contentsOf: URL(fileURLWithPath: file))))["hoodie.something.new"] != nil) == (state == "whole"))
        try expectSound(folder.path, rows: 40, key: "id")
    }

    // MARK: Two writers

    @Test("a writer in another process is told of, and one that ends makes way")
    func otherProcess() throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, .six)
        try table.commit(Self.rows)
        let process = Process(), input = Pipe(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: Python.executable)
        process.arguments = ["-c", "import fcntl,sys; f=open(sys.argv[1],'r+'); fcntl.flock(f, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()",
                             folder.path + "/.hoodie/.swiftwater.lock"]
        (process.standardInput, process.standardOutput) = (input, output)
        try process.run()
        #expect(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).hasPrefix("locked"))
        let error = #expect(throws: StreamError.self) { try table.commit([UpsertTests.row(1, "oslo", 5, 9)]) }
        #expect(error?.code == .conflict && error?.description.contains("being written by another job") == true)
        #expect(try table.read().count == 40)
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        try table.commit([UpsertTests.row(1, "oslo", 5, 9)])
        #expect(try table.read().contains(UpsertTests.row(1, "oslo", 5, 9)))
    }

    @Test("a writer whose lock was taken away completes nothing, and harms nobody", arguments: TableVersion.allCases)
    func zombie(version: TableVersion) throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, version)
        let sink = try table.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
        try writer.write(table.batch(Self.rows))
        let prepared = try writer.prepareCommit(1)
        try FileManager.default.removeItem(atPath: folder.path + "/.hoodie/.swiftwater.lock")
        try table.commit([UpsertTests.row(1, "oslo", 5, 9)])
        let error = #expect(throws: StreamError.self) { try committer.commit(1, prepared) }
        #expect(error?.code == .conflict && error?.description.contains("the lock of Hudi table") == true)
        #expect(throws: StreamError.self) { try writer.write(table.batch([UpsertTests.row(2, "oslo", 5, 9)])); _ = try writer.prepareCommit(2) }
        #expect(try table.read() == [UpsertTests.row(1, "oslo", 5, 9)])
        try expectSound(folder.path, rows: 1, key: "id")
    }

    @Test("a timeline that others add to is seen without being read again and again", arguments: TableVersion.allCases)
    func watching(version: TableVersion) throws {
        let folder = try TemporaryFolder()
        try Self.table(folder, version).commit(Self.rows)
        let files = try TableFiles(path: folder.path), timeline = WriterTimeline(files, version: version)
        #expect(try timeline.look().instants.count == 1)
        let mine = try timeline.newTime()
        try timeline.publish(mine, "clean", .requested, [])
        #expect(try timeline.look().instants.map(\.action) == ["commit", "clean"])
        let stranger = WriterTimeline(files, version: version)
        let theirs = try stranger.newTime()
        try stranger.publish(theirs, "commit", .requested, [])
        #expect(try timeline.current().instants.count == 2 && timeline.look().instants.count == 3)
        try stranger.removePending(theirs, "commit")
        #expect(try timeline.look().instants.count == 2 && timeline.newTime() > mine)
        let done = try timeline.publish(mine, "clean", .completed, [1])
        #expect((done.completion == nil) == (version == .six) && timeline.exists(mine, "clean", .requested))
        #expect(try stranger.look().instants.last == done)
    }
}
