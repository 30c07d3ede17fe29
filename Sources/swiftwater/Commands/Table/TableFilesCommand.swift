import ArgumentParser
import HudiTable
import StreamCore

extension TableCommand {
    struct FilesOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "files", abstract: "The live files of a table: rows and bytes, of a Hudi table with versions and range of record keys.",
            discussion: "Example: swiftwater table files swiftwater-data/tables/order_hudi_cow --as-of '2026-01-31 12:00:00'")
        @Argument(help: "Directory of the table.") var path: String
        @Option(name: .customLong("as-of"), help: "The live files as of an instant, or a time in UTC; a version or snapshot id of a Delta or Iceberg table.") var asOf: String?
        @Option(help: "Only files of this partition, or below it, such as city=oslo.") var partition: String?
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            if let table = try OpenTable.open(path, asOf: asOf) { return table.showFiles(partition: partition, json: output.format == .json) }
            let files = try OpenTable.hudi(path).fileDetails(asOf: asOf, partition: partition)
            if output.format == .json {
                for f in files {
                    print("{\"path\":\(JSONText.quote(f.file.path)),\"partition\":\(JSONText.quote(f.file.partition)),\"file_id\":\(JSONText.quote(f.file.fileId)),"
                        + "\"instant\":\"\(f.file.instant)\",\"versions\":\(f.versions),\"rows\":\(f.file.rows),\"row_groups\":\(f.rowGroups),\"bytes\":\(f.file.bytes),"
                        + "\"min_key\":\(f.smallestKey.map(JSONText.quote) ?? "null"),\"max_key\":\(f.largestKey.map(JSONText.quote) ?? "null")}")
                }
                return
            }
            print(TextTable(columns: ["partition", "file group", "instant", "versions", "rows", "bytes", "min key", "max key"],
                            alignRight: [false, false, false, true, true, true, false, false], rows: files.map { f in
                [f.file.partition.isEmpty ? "(none)" : f.file.partition, f.file.fileId, f.file.instant, "\(f.versions)", grouped(f.file.rows), grouped(f.file.bytes),
                 f.smallestKey ?? "-", f.largestKey ?? "-"]
            }, maxCell: 44).boxed())
            print("\(grouped(Int64(files.count))) files, \(grouped(files.reduce(0) { $0 + $1.file.rows })) rows, \(grouped(files.reduce(0) { $0 + $1.file.bytes })) bytes")
        }
    }
}
