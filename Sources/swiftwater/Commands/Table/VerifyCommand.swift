import ArgumentParser
import HudiTable
import StreamCore
import StreamSQL

extension TableCommand {
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check that a table's files, commits and keys agree; exit code 1 when they do not.",
            discussion: """
                Opens every live file and reads all keys. Run it while nothing writes the table.

                Examples:
                  swiftwater table verify swiftwater-data/tables/order_hudi_cow --global-keys
                  swiftwater table verify swiftwater-data/tables/order_hudi_cow --output json
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Flag(help: "Keys are unique in the table ('index.global.enabled'), not only in their partition.") var globalKeys = false
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            let found = try OpenTable.hudi(path).verify(globalKeys: globalKeys)
            if output.format == .json {
                func list(_ texts: [String]) -> String { "[" + texts.map(JSONText.quote).joined(separator: ",") + "]" }
                print("{\"sound\":\(found.isSound),\"files\":\(found.files),\"rows\":\(found.rows),\"problems\":\(list(found.problems)),"
                    + "\"unlisted_problems\":\(found.unlistedProblems),\"orphans\":\(list(found.orphans)),\"pending_instants\":\(list(found.pendingInstants)),"
                    + "\"pending_files\":\(list(found.pendingFiles))}")
            } else {
                for problem in found.problems { print("problem: \(problem)") }
                if found.unlistedProblems > 0 { print("... and \(grouped(Int64(found.unlistedProblems))) more like these") }
                for path in found.orphans { print("orphan: \(path)") }
                for instant in found.pendingInstants { print("pending: \(instant) is neither completed nor rolled back") }
                for path in found.pendingFiles { print("pending file: \(path)") }
                print("\(found.isSound ? "sound" : "NOT SOUND"): \(grouped(Int64(found.files))) files, \(grouped(found.rows)) rows, \(found.orphans.count) orphans")
            }
            if !found.isSound { throw ExitCode(1) }
        }
    }

    struct SchemaOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "schema", abstract: "The columns of a table, or how they came to be.",
            discussion: """
                Examples:
                  swiftwater table schema swiftwater-data/tables/order_hudi_cow
                  swiftwater table schema swiftwater-data/tables/order_hudi_cow --history
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Flag(help: "Each change with the commit that made it, oldest first.") var history = false
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            let table = try OpenTable.hudi(path)
            guard history else {
                if output.format == .json {
                    return print("[" + table.schema.map { "{\"name\":\(JSONText.quote($0.name)),\"type\":\(JSONText.quote("\($0.type)"))}" }.joined(separator: ",") + "]")
                }
                return print(TextTable(columns: ["column", "type"], rows: table.schema.map { [$0.name, "\($0.type)"] }).boxed())
            }
            let changes = try table.schemaHistory()
            if output.format == .json {
                func text(_ type: DataType?) -> String { type.map { JSONText.quote("\($0)") } ?? "null" }
                for c in changes {
                    print("{\"instant\":\"\(c.instant)\",\"change\":\"\(c.kind.rawValue)\",\"column\":\(JSONText.quote(c.column)),\"from\":\(text(c.from)),\"to\":\(text(c.to))}")
                }
                return
            }
            print(TextTable(columns: ["instant", "change", "column", "from", "to"], rows: changes.map { c in
                [c.instant, c.kind.rawValue, c.column, c.from.map { "\($0)" } ?? "-", c.to.map { "\($0)" } ?? "-"]
            }).boxed())
        }
    }
}
