import ArgumentParser
import Foundation
import HudiTable
import StreamCore
import struct StreamCore.Host

extension TableCommand {
    struct DDL: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ddl", abstract: "Print the statements with which another engine finds a table.",
            discussion: """
                Examples:
                  swiftwater table ddl swiftwater-data/tables/order_hudi_cow --engine athena --location s3://bucket/order_hudi_cow --database order_db
                  swiftwater table ddl swiftwater-data/tables/order_hudi_cow --engine duckdb | duckdb orders.duckdb

                What lists partitions or files tells of those there are now: print it again after commits that add some.
                """)

        enum Engine: String, ExpressibleByArgument, CaseIterable { case athena, trino, spark, duckdb }

        @Argument(help: "Directory of the table.") var path: String
        @Option(help: "athena, trino, spark or duckdb.") var engine: Engine
        @Option(help: "Where the engine finds the table, for example s3://bucket/table; default the directory itself.") var location: String?
        @Option(help: "Database, or schema, that the table goes into.") var database: String?
        @Option(help: "Name of the table; default its own, or that of its directory.") var name: String?

        func run() throws {
            let folder = path.hasSuffix("/") && path.count > 1 ? String(path.dropLast()) : path
            let root = folder.contains("://") ? folder : URL(fileURLWithPath: folder).standardizedFileURL.path
            let place = location.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 } ?? root
            if !Host.exists(root + "/.hoodie") {
                let own = name ?? URL(fileURLWithPath: root).lastPathComponent
                if Host.exists(root + "/_delta_log") { return print(try OpenTableDDL(format: .delta, name: own, database: database, location: place, root: root).text(engine)) }
                if Host.exists(root + "/metadata") { return print(try OpenTableDDL(format: .iceberg, name: own, database: database, location: place, root: root).text(engine)) }
            }
            let table = try HudiTable.open(folder)
            let ddl = HudiDDL(table: table, name: name ?? table.name, database: database, location: place)
            switch engine {
            case .athena: print(ddl.hive())
            case .trino: print(ddl.trino())
            case .spark: print(ddl.spark())
            case .duckdb: print(try ddl.duckDB())
            }
        }
    }
}

/// What the engines have in common.
private func literal(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
private func quoted(_ name: String, _ mark: String) -> String { mark + name.replacing(mark, with: mark + mark) + mark }

/// Statements about a Hudi table.
struct HudiDDL {
    let table: HudiTable
    let name: String
    let database: String?
    let location: String

    static let metaColumns = ["_hoodie_commit_time", "_hoodie_commit_seqno", "_hoodie_record_key", "_hoodie_partition_path", "_hoodie_file_name"]

    private func full(_ mark: String) -> String { (database.map { quoted($0, mark) + "." } ?? "") + quoted(name, mark) }
    private func isPartition(_ field: Field) -> Bool { table.partitionFields.contains(field.name) }
    private var partitions: [Field] { table.partitionFields.map { name in table.schema.first { $0.name == name } ?? Field(name, .string) } }

    /// Hive's text literals know backslashes.
    private func hiveLiteral(_ text: String) -> String { "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'" }

    /// For Athena, Hive and what else reads a Hive metastore.
    func hive() -> String {
        let columns = Self.metaColumns.map { "  `\($0)` string" } + table.schema.filter { !isPartition($0) }.map { "  \(quoted($0.name, "`")) \(EngineType.hive($0.type))" }
        var text = database.map { "CREATE DATABASE IF NOT EXISTS \(quoted($0, "`"));\n\n" } ?? ""
        text += "CREATE EXTERNAL TABLE \(full("`")) (\n" + columns.joined(separator: ",\n") + "\n)\n"
        if !partitions.isEmpty {
            text += "PARTITIONED BY (\n" + partitions.map { "  \(quoted($0.name, "`")) \(EngineType.hive($0.type))" }.joined(separator: ",\n") + "\n)\n"
        }
        text += """
            ROW FORMAT SERDE
              'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
            STORED AS INPUTFORMAT
              'org.apache.hudi.hadoop.HoodieParquetInputFormat'
            OUTPUTFORMAT
              'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
            LOCATION
              \(hiveLiteral(location));
            """
        guard !partitions.isEmpty else { return text }
        // Athena takes no statement above 256 KiB, and a metastore dislikes long ones.
        let all = table.partitions
        for start in stride(from: 0, to: all.count, by: 100) {
            text += "\n\nALTER TABLE \(full("`")) ADD IF NOT EXISTS"
            for path in all[start..<min(start + 100, all.count)] {
                let values = zip(partitions, table.partitionTexts(path)).map { field, value in
                    let shown = value ?? "__HIVE_DEFAULT_PARTITION__"
                    return "\(quoted(field.name, "`")) = \(field.type.isInteger && value != nil ? shown : hiveLiteral(shown))"
                }
                text += "\n  PARTITION (\(values.joined(separator: ", "))) LOCATION \(hiveLiteral(location + "/" + path + "/"))"
            }
            text += ";"
        }
        return text
    }

    /// Trino's hudi connector makes no tables: it reads those of its metastore that have Hudi's input format.
    func trino() -> String {
        """
        -- Trino reads Hudi tables that its metastore knows. Run these statements where they can be made: in Hive, or in Athena for Glue.

        \(hive())

        -- Then, in Trino, with a catalog hudi (connector.name=hudi) on that metastore:
        -- SELECT count(*) FROM hudi.\(quoted(database ?? "default", "\"")).\(quoted(name, "\""));
        """
    }

    func spark() -> String {
        var text = database.map { "CREATE DATABASE IF NOT EXISTS \(quoted($0, "`"));\n\n" } ?? ""
        let columns = table.schema.map { "  \(quoted($0.name, "`")) \(EngineType.spark($0.type))" }
        text += "CREATE TABLE IF NOT EXISTS \(full("`")) (\n" + columns.joined(separator: ",\n") + "\n)\nUSING hudi\n"
        if !partitions.isEmpty { text += "PARTITIONED BY (\(table.partitionFields.map { quoted($0, "`") }.joined(separator: ", ")))\n" }
        var properties = [("primaryKey", table.recordKeyFields.joined(separator: ","))]
        if !table.orderingFields.isEmpty { properties.append(("preCombineField", table.orderingFields.joined(separator: ","))) }
        properties.append(("type", "cow"))
        // An engine that upgrades the table locks the others out.
        properties += [("hoodie.write.table.version", "\(table.version)"), ("hoodie.write.auto.upgrade", "false")]
        return text + "TBLPROPERTIES (\n" + properties.map { "  \($0.0.contains(".") ? hiveLiteral($0.0) : $0.0) = \(hiveLiteral($0.1))" }.joined(separator: ",\n")
            + "\n)\nLOCATION \(hiveLiteral(location));"
    }

    /// A view over the files that are live now; types and columns are those of the table, whatever older files lack.
    func duckDB() throws -> String {
        var text = database.map { "CREATE SCHEMA IF NOT EXISTS \(quoted($0, "\""));\n" } ?? ""
        let columns = Self.metaColumns.map { "CAST(NULL AS VARCHAR) AS \(quoted($0, "\""))" }
            + table.schema.map { "CAST(NULL AS \(EngineType.duckDB($0.type))) AS \(quoted($0.name, "\""))" }
        text += "CREATE OR REPLACE VIEW \(full("\"")) AS\nSELECT " + columns.joined(separator: ", ") + " WHERE false"
        let live = try table.baseFiles
        guard !live.isEmpty else { return text + ";" }
        let files = live.map(\.path).sorted().map { "  \(literal(location + "/" + $0))" }
        return text + "\nUNION ALL BY NAME\nSELECT * FROM read_parquet([\n" + files.joined(separator: ",\n") + "\n], union_by_name = true, hive_partitioning = false);"
    }
}

/// Statements about Delta and Iceberg tables, which the engines know how to open.
struct OpenTableDDL {
    enum Format: String { case delta, iceberg }
    let format: Format
    let name: String
    let database: String?
    let location: String
    /// The table's directory here.
    let root: String

    func text(_ engine: TableCommand.DDL.Engine) throws -> String {
        let back = (database.map { quoted($0, "`") + "." } ?? "") + quoted(name, "`"), plain = (database.map { quoted($0, "\"") + "." } ?? "") + quoted(name, "\"")
        let schema = database ?? "default"
        switch (engine, format) {
        case (.duckdb, _):
            return "INSTALL \(format.rawValue); LOAD \(format.rawValue);\n" + (database.map { "CREATE SCHEMA IF NOT EXISTS \(quoted($0, "\""));\n" } ?? "")
                + "CREATE OR REPLACE VIEW \(plain) AS SELECT * FROM \(format.rawValue)_scan(\(literal(format == .iceberg ? try metadataFile() : location)));"
        case (.spark, .delta):
            return "CREATE TABLE IF NOT EXISTS \(back) USING delta LOCATION \(literal(location));"
        case (.spark, .iceberg):
            return "CALL spark_catalog.system.register_table(table => \(literal("\(schema).\(name)")), metadata_file => \(literal(try metadataFile())));"
        case (.trino, _):
            return "CALL \(format.rawValue).system.register_table(schema_name => \(literal(schema)), table_name => \(literal(name)), table_location => \(literal(location)));"
        case (.athena, .delta):
            return "CREATE EXTERNAL TABLE \(back)\nLOCATION \(literal(location))\nTBLPROPERTIES ('table_type' = 'DELTA');"
        case (.athena, .iceberg):
            return """
                -- Athena finds Iceberg tables in Glue, where no SQL puts one that is there already. Register its metadata file, for example with
                aws glue create-table --database-name \(schema) --table-input \\
                  '{"Name":"\(name)","TableType":"EXTERNAL_TABLE","Parameters":{"table_type":"ICEBERG","metadata_location":"\(try metadataFile())"},"StorageDescriptor":{"Location":"\(location)"}}'
                """
        }
    }

    /// The newest metadata file, at the engine's location.
    private func metadataFile() throws -> String {
        let folder = root + "/metadata"
        let names = try Host.names(in: folder)
        if let hint = try? String(decoding: Host.read(folder + "/version-hint.text"), as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines),
            let file = ["v\(hint).metadata.json", hint].first(where: { names.contains($0) }) {
            return "\(location)/metadata/\(file)"
        }
        guard let newest = names.filter({ $0.hasSuffix(".metadata.json") }).max(by: { $0.compare($1, options: .numeric) == .orderedAscending }) else {
            throw StreamError(.validate, "there is no Iceberg table at \(root)", fix: "give the folder that has metadata/ with *.metadata.json in it")
        }
        return "\(location)/metadata/\(newest)"
    }
}

/// Column types of a lake table as other engines write them.
enum EngineType {
    /// Hive and Athena.
    static func hive(_ type: DataType) -> String {
        switch type {
        case .boolean: "boolean"
        case .tinyint, .smallint, .int: "int"
        case .bigint: "bigint"
        case .float: "float"
        case .double: "double"
        case .decimal(let p, let s): "decimal(\(p),\(s))"
        case .binary, .varbinary: "binary"
        case .date: "date"
        case .time: "int"
        case .timestamp, .timestampLTZ: "timestamp"
        case .array(let element): "array<\(hive(element))>"
        case .map(let key, let value): "map<\(hive(key)),\(hive(value))>"
        case .row(let fields): "struct<" + fields.map { "\(quoted($0.name, "`")):\(hive($0.type))" }.joined(separator: ",") + ">"
        default: "string"
        }
    }

    static func spark(_ type: DataType) -> String {
        switch type {
        case .row(let fields): "STRUCT<" + fields.map { "\(quoted($0.name, "`")): \(spark($0.type))" }.joined(separator: ", ") + ">"
        case .array(let element): "ARRAY<\(spark(element))>"
        case .map(let key, let value): "MAP<\(spark(key)), \(spark(value))>"
        default: hive(type).uppercased()
        }
    }

    static func duckDB(_ type: DataType) -> String {
        switch type {
        case .boolean: "BOOLEAN"
        case .tinyint, .smallint, .int: "INTEGER"
        case .bigint: "BIGINT"
        case .float: "FLOAT"
        case .double: "DOUBLE"
        case .decimal(let p, let s): "DECIMAL(\(p), \(s))"
        case .binary, .varbinary: "BLOB"
        case .date: "DATE"
        case .time: "TIME"
        case .timestamp, .timestampLTZ: "TIMESTAMP"
        case .array(let element): "\(duckDB(element))[]"
        case .map(let key, let value): "MAP(\(duckDB(key)), \(duckDB(value)))"
        case .row(let fields): "STRUCT(" + fields.map { "\(quoted($0.name, "\"")) \(duckDB($0.type))" }.joined(separator: ", ") + ")"
        default: "VARCHAR"
        }
    }
}
