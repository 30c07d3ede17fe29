import ArgumentParser
import HudiTable
import StreamCore

extension TableCommand {
    struct DiffOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "diff", abstract: "The rows that were inserted, updated or deleted between two instants, by record key.",
            discussion: """
                Instants are those of table timeline, times in UTC, earliest or latest. Rows that were rewritten with the same values are not shown.
                Example: swiftwater table diff swiftwater-data/tables/order_hudi_cow '2026-01-31 12:00:00' latest
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Argument(help: "What the table was then.") var from: String
        @Argument(help: "What it became until then.") var to: String
        @Option(name: .customLong("output"), help: "table, csv or json.") var output: OutputFormat = .table

        func run() throws {
            let diff = try OpenTable.hudi(path).diff(from: from, to: to), schema = diff.schema
            switch output {
            case .json:
                func object(_ row: [Value]?) -> String {
                    row.map { "{" + zip(schema, $0).map { JSONText.quote($0.name) + ":" + ValueText.json($1, $0.type) }.joined(separator: ",") + "}" } ?? "null"
                }
                for change in diff.changes {
                    Terminal.write("{\"op\":\"\(change.operation)\",\"key\":\(JSONText.quote(change.key)),\"before\":\(object(change.before)),\"after\":\(object(change.after))}\n")
                }
            case .csv:
                Terminal.write((["op"] + schema.map { JSONText.csv($0.name) }).joined(separator: ",") + "\n")
                func line(_ kind: RowKind, _ row: [Value]) {
                    Terminal.write((["\(kind)"] + zip(schema, row).map { JSONText.csv(ValueText.text($1, $0.type, null: "")) }).joined(separator: ",") + "\n")
                }
                for change in diff.changes {
                    if let row = change.before { line(change.after == nil ? .delete : .updateBefore, row) }
                    if let row = change.after { line(change.before == nil ? .insert : .updateAfter, row) }
                }
            case .table:
                func text(_ value: Value, _ c: Int) -> String { ValueText.text(value, schema[c].type) }
                let rows = diff.changes.map { change in
                    [change.operation] + schema.indices.map { c in
                        switch (change.before?[c], change.after?[c]) {
                        case (let a?, let b?) where a != b: text(a, c) + " -> " + text(b, c)
                        case (let a?, _): text(a, c)
                        case (nil, let b?): text(b, c)
                        case (nil, nil): ""
                        }
                    }
                }
                print(TextTable(columns: ["change"] + schema.map(\.name), rows: rows).boxed())
                let counts = Dictionary(grouping: diff.changes, by: \.operation).mapValues(\.count)
                print(["insert", "update", "delete"].map { "\(grouped(Int64(counts[$0] ?? 0))) \($0)\(counts[$0] == 1 ? "" : "s")" }.joined(separator: ", "))
            }
        }
    }
}

extension TableDiff.Change {
    fileprivate var operation: String { before == nil ? "insert" : after == nil ? "delete" : "update" }
}
