import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi tables looked over") struct VerificationTests {
    static func table(_ folder: TemporaryFolder, _ version: TableVersion = .six) -> TestTable {
        TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: version.options.merging(["clean.retain_commits": "3"]) { a, _ in a })
    }

    /// Some commits, cleaned ones among them.
    static func made(_ folder: TemporaryFolder, _ version: TableVersion = .six) throws -> TestTable {
        let table = table(folder, version)
        for n in 0..<6 { try table.commit((0..<30).map { UpsertTests.row($0 + n, ["oslo", "lima"][$0 % 2], $0, n) }) }
        try table.commit([UpsertTests.row(1, "oslo", 1, 9)], kinds: [.delete])
        return table
    }

    @Test("a table with a history is sound, also while a write is pending", arguments: TableVersion.allCases)
    func sound(version: TableVersion) throws {
        let folder = try TemporaryFolder(), table = try Self.made(folder, version)
        let found = try HudiTable.open(folder.path).verify(globalKeys: true)
        #expect(found.isSound && found.orphans.isEmpty && found.pendingFiles.isEmpty, "\(found.problems)")
        #expect(found.rows == 34 && found.files == 2)
        #expect(try RecoveryTests.die(table, [UpsertTests.row(2, "oslo", 5, 20)], at: .init(at: .prepared)))
        let pending = try HudiTable.open(folder.path).verify(globalKeys: true)
        #expect(pending.isSound && pending.pendingInstants.count == 1 && pending.pendingFiles.count == 1)
    }

    enum Damage: CaseIterable { case deleted, cutShort, garbage, renamed, twice, unlisted, marker, metadata }

    @Test("what is wrong is named", arguments: Damage.allCases)
    func damage(_ damage: Damage) throws {
        let folder = try TemporaryFolder()
        _ = try Self.made(folder)
        let manager = FileManager.default, file = try #require(try HudiTable.open(folder.path).baseFiles.first), path = folder.path + "/" + file.path
        let text: String, folderPath = folder.path + "/" + file.partition
        switch damage {
        case .deleted:
            try manager.removeItem(atPath: path)
            text = "\(file.path): commit \(file.instant) wrote it, nothing has replaced it, and it is gone"
        case .cutShort:
            try FileHandle(forWritingTo: URL(fileURLWithPath: path)).truncate(atOffset: 100)
            text = "\(file.path): has 100 bytes"
        case .garbage:
            try Data(repeating: 7, count: Int(file.bytes)).write(to: URL(fileURLWithPath: path))
            text = file.path
        case .renamed:
            let other = file.path.replacing("lima/", with: "oslo/").replacing(file.fileId, with: "0" + file.fileId.dropFirst())
            try manager.copyItem(atPath: path, toPath: folder.path + "/" + other)
            text = "names the partition 'lima'"
        case .twice:
            let other = file.path.replacing(file.fileId, with: "ffffffff-" + file.fileId.dropFirst(9))
            try manager.copyItem(atPath: path, toPath: folder.path + "/" + other)
            text = "occurs more than once"
        case .unlisted:
            let other = file.path.replacing(file.fileId, with: "ffffffff-" + file.fileId.dropFirst(9))
            try manager.copyItem(atPath: path, toPath: folder.path + "/" + other)
            text = "commit \(file.instant) does not list it"
        case .marker:
            let old = file.path.replacing(file.instant, with: "20000101000000000")
            try manager.copyItem(atPath: path, toPath: folder.path + "/" + old.replacing(file.fileId, with: "ffffffff-" + file.fileId.dropFirst(9)))
            text = "is shown although no commit wrote it"
        case .metadata:
            try manager.removeItem(atPath: folderPath + "/.hoodie_partition_metadata")
            text = "partition '\(file.partition)' has no .hoodie_partition_metadata"
        }
        let found = try HudiTable.open(folder.path).verify()
        #expect(!found.isSound && found.problems.contains { $0.contains(text) }, "\(found.problems)")
        if damage == .unlisted || damage == .marker { #expect(found.orphans.count == 1) }
    }

    @Test("files that no commit knows are listed, and are no problem while they do not show")
    func orphans() throws {
        let folder = try TemporaryFolder()
        _ = try Self.made(folder)
        let file = try #require(try HudiTable.open(folder.path).baseFiles.first)
        let stray = file.path.replacing(file.instant, with: "20990101000000000")
        try FileManager.default.copyItem(atPath: folder.path + "/" + file.path, toPath: folder.path + "/" + stray)
        let found = try HudiTable.open(folder.path).verify()
        #expect(found.isSound && found.orphans == [stray], "\(found.problems)")
    }

    @Test("the history of the columns names each change and its commit")
    func schemaHistory() throws {
        let folder = try TemporaryFolder()
        try TestTable(folder.path, schema: [Field("id", .string), Field("n", .int)], key: ["id"]).commit([[.string("a"), .int(1)]])
        try TestTable(folder.path, schema: [Field("id", .string), Field("n", .bigint)], key: ["id"]).commit([[.string("b"), .int(2)]])
        let last = TestTable(folder.path, schema: [Field("id", .string), Field("n", .bigint), Field("note", .string)], key: ["id"])
        try last.commit([[.string("c"), .int(3), .string("x")]])
        try last.commit([[.string("d"), .int(3), .string("x")]])
        let table = try HudiTable.open(folder.path), times = try table.timeline.map(\.instant)
        #expect(try table.schemaHistory() == [
            .init(instant: times[0], kind: .created, column: "id", from: nil, to: .string), .init(instant: times[0], kind: .created, column: "n", from: nil, to: .int),
            .init(instant: times[1], kind: .widened, column: "n", from: .int, to: .bigint), .init(instant: times[2], kind: .added, column: "note", from: nil, to: .string),
        ])
    }
}
