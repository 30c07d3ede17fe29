import ArgumentParser
import HudiTable
import StreamCore
import StreamSQL

struct TableCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "table",
        abstract: "Look at a lake table and keep it in order: show, timeline, files, query, diff, schema, verify, ddl, clean, cluster, rollback, savepoint, restore.",
        discussion: "Tables of Hudi, Delta and Iceberg can be shown and queried. Example: swiftwater table show swiftwater-data/tables/order_hudi_cow",
        subcommands: [Show.self, TimelineOf.self, FilesOf.self, QueryOf.self, DiffOf.self, SchemaOf.self, Verify.self, DDL.self] + maintenance)

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Columns, keys, partitions, files and rows of the newest snapshot.",
            discussion: "Example: swiftwater table show swiftwater-data/tables/order_hudi_cow")
        @Argument(help: "Directory of the table.") var path: String
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            if let table = try OpenTable.open(path) { return table.show(json: output.format == .json) }
            let table = try HudiTable.open(path)
            let files = Dictionary(grouping: try table.baseFiles, by: \.partition), rows = try table.rowCount
            let partitions = table.partitions.map { (name: $0, files: files[$0] ?? []) }
            if output.format == .json {
                let columns = table.schema.map { "{\"name\":\(JSONText.quote($0.name)),\"type\":\(JSONText.quote("\($0.type)"))}" }
                let parts = partitions.map { p in
                    "{\"partition\":\(JSONText.quote(p.name)),\"files\":\(p.files.count),\"rows\":\(p.files.reduce(0) { $0 + $1.rows }),"
                        + "\"bytes\":\(p.files.reduce(0) { $0 + $1.bytes })}"
                }
                return print("{\"name\":\(JSONText.quote(table.name)),\"version\":\(table.version),\"record_key\":[\(table.recordKeyFields.map(JSONText.quote).joined(separator: ","))],"
                    + "\"partition_fields\":[\(table.partitionFields.map(JSONText.quote).joined(separator: ","))],"
                    + "\"ordering_field\":\(table.orderingField.map(JSONText.quote) ?? "null"),\"rows\":\(rows),\"files\":\(table.fileCount),"
                    + "\"bytes\":\(table.bytes),\"columns\":[\(columns.joined(separator: ","))],\"partitions\":[\(parts.joined(separator: ","))]}")
            }
            print("table \(table.name) (Hudi version \(table.version)): \(grouped(rows)) rows, \(table.fileCount) files, \(grouped(table.bytes)) bytes")
            print("record key \(table.recordKeyFields.joined(separator: ", ")); ordering field \(table.orderingField ?? "none")")
            print(TextTable(columns: ["column", "type"], rows: table.schema.map { [$0.name, "\($0.type)"] }).boxed())
            print(TextTable(columns: ["partition", "files", "rows", "bytes"], alignRight: [false, true, true, true], rows: partitions.map { p in
                [p.name.isEmpty ? "(none)" : p.name, "\(p.files.count)", grouped(p.files.reduce(0) { $0 + $1.rows }),
                 grouped(p.files.reduce(0) { $0 + $1.bytes })]
            }).boxed())
        }
    }

    struct TimelineOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "timeline", abstract: "The actions on a table, oldest first.",
            discussion: "Example: swiftwater table timeline swiftwater-data/tables/order_hudi_cow")
        @Argument(help: "Directory of the table.") var path: String
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            if let table = try OpenTable.open(path) { return table.showTimeline(json: output.format == .json) }
            let timeline = try HudiTable.open(path).timeline
            if output.format == .json {
                for t in timeline {
                    print("{\"instant\":\"\(t.instant)\",\"action\":\"\(t.action)\",\"state\":\"\(t.state)\",\"operation\":\(t.operation.map(JSONText.quote) ?? "null"),"
                        + "\"files\":\(t.files),\"rows\":\(t.rows),\"inserted\":\(t.inserted),\"updated\":\(t.updated),\"deleted\":\(t.deleted),\"bytes\":\(t.bytes)}")
                }
                return
            }
            print(TextTable(columns: ["instant", "action", "state", "operation", "files", "inserted", "updated", "deleted", "bytes"],
                            alignRight: [false, false, false, false, true, true, true, true, true], rows: timeline.map { t in
                [t.instant, t.action, t.state, t.operation ?? "-", "\(t.files)", grouped(t.inserted), grouped(t.updated), grouped(t.deleted), grouped(t.bytes)]
            }).boxed())
        }
    }

    struct QueryOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "query", abstract: "Run a query over a table; it is called t, and by its own name.",
            discussion: """
                With --as-of the table as it was; with --from and --to the rows written after one instant until another one.
                Example: swiftwater table query swiftwater-data/tables/order_hudi_cow "SELECT COUNT(*) FROM t"
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Argument(help: "A query; left out, the first 20 rows.") var query = "SELECT * FROM t LIMIT 20"
        @Option(name: .customLong("as-of"), help: "An instant, or a time in UTC: '2026-01-31 12:00:00'; a version or snapshot id of a Delta or Iceberg table.") var asOf: String?
        @Option(help: "Only rows that were written after this instant or time in UTC, or earliest.") var from: String?
        @Option(help: "Only rows that were written until this instant or time in UTC, as they were then.") var to: String?
        @Option(name: .customLong("output"), help: "table, csv or json.") var output: OutputFormat = .table

        func run() throws {
            let session = try Engine.session()
            let reading = [("read.as-of-instant", asOf), ("read.start-commit", from), ("read.end-commit", to)].compactMap { key, value in value.map { (key, $0) } }
            let own: String, make: (String) -> String
            if let table = try OpenTable.open(path, asOf: asOf) {
                guard from == nil, to == nil else {
                    throw StreamError(.validate, "\(path) is a \(table.connector) table: --from and --to are for Hudi tables", fix: "read it as of a version with --as-of")
                }
                own = table.name
                make = { Self.definition(table.schema, table.partitionFields, as: $0, [("connector", table.connector)] + table.options) }
            } else {
                let table = try HudiTable.open(path)
                own = table.name
                make = { Self.definition(table.schema, table.partitionFields, as: $0, [("connector", "hudi"), ("path", table.path)] + reading) }
            }
            for name in own == "t" ? ["t"] : ["t", own] {
                let script = make(name)
                for statement in try SQLParser(text: script, file: nil).parseScript() { _ = try session.execute(statement) }
            }
            let runner = ScriptRunner(session: session)
            runner.resultFormat = output
            runner.footer = output == .table && Terminal.outputIsTerminal
            try runner.run(try SQLParser(text: query, file: nil).parseScript(), name: nil)
        }

        /// The CREATE TABLE statement that reads a table.
        private static func definition(_ schema: Schema, _ partitionFields: [String], as name: String, _ options: [(String, String)]) -> String {
            func quoted(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }
            func text(_ value: String) -> String { "'" + value.replacing("'", with: "''") + "'" }
            let columns = schema.map { "\(quoted($0.name)) \($0.type)" }.joined(separator: ", ")
            let partitions = partitionFields.isEmpty ? "" : "PARTITIONED BY (" + partitionFields.map(quoted).joined(separator: ", ") + ") "
            return "CREATE TABLE \(quoted(name)) (\(columns)) \(partitions)WITH (" + options.map { "\(text($0)) = \(text($1))" }.joined(separator: ", ") + ")"
        }
    }
}
