import Foundation
import StreamCore
import StreamSQL
import Testing

@testable import FlinkExport

typealias Column = TableDeclaration.Column

/// Columns from `id INT, name STRING`: a name and a type each.
func columns(_ text: String) -> [Column] {
    TypeText("ROW<\(text)>").fields.map { field in
        let notNull = field.type.text.hasSuffix(" NOT NULL")
        return Column(name: field.name, type: notNull ? String(field.type.text.dropLast(9)) : field.type.text, nullable: !notNull)
    }
}

/// A table whose options stand in the lines of `job.sql` from the second on, in the order of their names.
func table(_ name: String, _ text: String = "id INT, v STRING", more: [Column] = [], key: [String] = [], partitions: [String] = [], watermark: TableDeclaration.Watermark? = nil,
           isRead: Bool = true, isWritten: Bool = false, takesChanges: Bool = false, _ options: [String: String]) -> SourceTable {
    let locations = Dictionary(uniqueKeysWithValues: options.keys.sorted().enumerated().map { ($1, SourceLocation(file: "job.sql", line: $0 + 2, column: 5)) })
    return SourceTable(
        name: name, declaration: TableDeclaration(columns: columns(text) + more, watermark: watermark, primaryKey: key, partitionKeys: partitions, options: options),
        isRead: isRead, isWritten: isWritten, takesChanges: takesChanges, location: SourceLocation(file: "job.sql", line: 1, column: 1), optionLocations: locations)
}

/// A table `t` of the columns `id INT, v STRING`.
func table(more: [Column] = [], key: [String] = [], isRead: Bool = true, isWritten: Bool = false, takesChanges: Bool = false, _ options: [String: String]) -> SourceTable {
    table("t", "id INT, v STRING", more: more, key: key, isRead: isRead, isWritten: isWritten, takesChanges: takesChanges, options)
}

func target(_ version: FlinkVersion = FlinkVersion(2, 3), kinesis: String? = nil) -> FlinkTarget {
    FlinkTarget(version: version, maps: [("/in", "${DATA}"), ("/lake", "s3://lake"), ("/state", "s3://lake/state")], kinesisEndpoint: kinesis, kinesisAccount: "123456789012", workingDirectory: "/home/me")
}

struct Outcome {
    var translated: TranslatedTable?
    var findings: Findings
    var options: [String: String] { translated?.declaration.options ?? [:] }
    var notes: String { findings.notes.map(\.text).joined(separator: "\n") }
    var refusals: [String] { findings.refusals.map { "\($0.location.map { "\($0): " } ?? "")\($0.what): \($0.reason). \($0.instead)" } }

    func sql(_ name: String) -> String {
        guard let translated else { return refusals.joined(separator: "\n") }
        let below = translated.declaration.statement(named: translated.view?.name ?? name) + ";\n"
        return below + (translated.view.map { "CREATE VIEW `\(name)` AS\n\($0.query);\n" } ?? "")
    }
}

func translate(_ table: SourceTable, _ target: FlinkTarget = target()) -> Outcome {
    var findings = Findings()
    let translated = TableTranslations.translate(table, target, &findings)
    return Outcome(translated: translated, findings: findings)
}

enum Golden {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent()

    /// Compares with the file, or writes it when GOLDEN=write is in the environment.
    static func check(_ name: String, _ text: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
        let file = directory.appending(path: "golden/\(name)")
        if ProcessInfo.processInfo.environment["GOLDEN"] == "write" {
            try FileManager.default.createDirectory(at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            return try text.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == text, "golden/\(name)", sourceLocation: sourceLocation)
    }
}
