import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

/// The index of keys is a cache: kept from one run to the next, and made again when it is lost, damaged or behind the table.
@Suite("Key index") struct KeyIndexTests {
    private static let schema = [Field("id", .bigint), Field("v", .bigint)]
    private static let count = LakeSinkWriter.keptIndexKeys + 20_000

    private func table(_ path: String, _ options: [String: String] = [:]) -> TestTable { TestTable(path, schema: Self.schema, key: ["id"], options: options) }

    private func insert(_ path: String) throws {
        try table(path).commit(stride(from: 0, to: Self.count, by: 20_000).map { first in
            Batch(schema: Self.schema, rows: (first..<first + 20_000).map { [.int(Int64($0)), .int(0)] })
        })
    }

    /// Changes, deletes and inserts some keys.
    private func change(_ path: String, _ turn: Int64) throws {
        let rows: [[Value]] = [[.int(turn), .int(turn)], [.int(50_000 + turn), .int(turn)], [.int(1_000_000 + turn), .int(turn)], [.int(100 + turn), .null]]
        try table(path).commit(rows, kinds: [.updateAfter, .updateAfter, .insert, .delete])
    }

    private func expect(_ path: String, turns: Int64) throws {
        let read = try table(path).read()
        #expect(read.count == Self.count)  // one comes and one goes in each turn
        #expect(Set(read.map { $0[0] }).count == Self.count)
        for turn in 1...turns {
            #expect(read.filter { $0 == [.int(turn), .int(turn)] || $0 == [.int(50_000 + turn), .int(turn)] || $0 == [.int(1_000_000 + turn), .int(turn)] }.count == 3)
            #expect(!read.contains { $0[0] == .int(100 + turn) })
        }
    }

    enum Loss: String, CaseIterable, Sendable { case none, lost, cut, changed, behind, foreign }

    @Test("whatever happens to the kept index, the table has one row per key", arguments: Loss.allCases)
    func losses(_ loss: Loss) throws {
        let folder = try TemporaryFolder(), path = folder.path + "/t", file = path + "/.hoodie/.swiftwater.keys"
        try insert(path)
        try change(path, 1)
        let first = try Data(contentsOf: URL(fileURLWithPath: file))
        try change(path, 2)
        var kept = try Data(contentsOf: URL(fileURLWithPath: file))
        #expect(kept.count > Self.count * 24 && kept != first)
        switch loss {
        case .none: break
        case .lost: try FileManager.default.removeItem(atPath: file)
        case .cut: try kept.dropLast(1_000).write(to: URL(fileURLWithPath: file))
        case .changed:
            kept[kept.count / 2] ^= 0x40
            try kept.write(to: URL(fileURLWithPath: file))
        // As if the last run had been killed before it could write the file.
        case .behind: try first.write(to: URL(fileURLWithPath: file))
        case .foreign: try Data("something else".utf8).write(to: URL(fileURLWithPath: file))
        }
        let files = try TableFiles(path: path), properties = try #require(try TableProperties.load(files))
        let slices = try TableSnapshot.load(files, properties).slices
        #expect((KeyIndexFile.load(files, slices: slices, rules: properties.keyRules) != nil) == (loss == .none))
        var others = properties.keyRules
        others.namesKeys.toggle()
        #expect(KeyIndexFile.load(files, slices: slices, rules: others) == nil)
        try change(path, 3)
        try change(path, 4)
        try expect(path, turns: 4)
        try expectSound(path, rows: Self.count, key: "id")
    }
}
