import StreamCore
import StreamSQL

extension DeliveryStream {
    /// The statements of the job that delivers: what it reads and makes, and what it writes.
    public struct Statements: Sendable {
        /// CREATE TABLE and CREATE VIEW.
        public var definitions: [String]
        /// Target and query of each INSERT; they run as one job.
        public var inserts: [(target: String, query: String)]

        /// The inserts as one statement.
        public var insertStatement: String {
            "EXECUTE STATEMENT SET BEGIN\n" + inserts.map { "INSERT INTO \(SQLComposer.quoted($0.target)) \($0.query);\n" }.joined() + "END"
        }

        /// All of them, to be run in order by one session.
        public func parsed() throws -> [Statement] { try (definitions + [insertStatement]).map { try SQLParser(text: $0).parseStatement() } }
    }

    private var sourceTable: String { "\(name).source" }
    private var recordView: String { "\(name).record" }

    /// - Parameter log: directory of the shard log; nil = the connector's default.
    /// - Throws: `.validate` for a transform that cannot be delivered.
    public func statements(log: String?) throws -> Statements {
        var made = Statements(definitions: setup, inserts: [])
        let reading = try reading()
        made.definitions += try sourceDefinitions(reading, log)
        made.definitions.append("CREATE TEMPORARY VIEW \(q(recordView)) AS \(reading.query)")
        let keys = partitionKeys.map { ", \(q($0))" }.joined()
        let isGood = (["`data` IS NOT NULL"] + partitionKeys.map { "\(q($0)) IS NOT NULL" }).joined(separator: " AND ")
        let files = destination.files
        switch destination {
        case .files:
            made.definitions.append(filesTable("\(name).delivered", files, columns: "`data` \(reading.dataType)" + partitionKeys.map { ", \(q($0)) STRING" }.joined(),
                                               partitions: partitionKeys, prefix: files.prefix))
            made.inserts.append(("\(name).delivered", "SELECT `data`\(keys), `arrival` FROM \(q(recordView)) WHERE \(isGood)"))
        case .table(let table, let failed):
            var options = table.options
            options["connector"] = table.connector.rawValue
            options["format"] = "raw"
            options["sink.backup.path"] = try options["sink.backup.path"] ?? (failed.directory + "/" + refusedFolder(failed, table.connector))
            made.definitions.append("CREATE TEMPORARY TABLE \(q("\(name).delivered")) (`data` \(reading.dataType)) WITH (\(with(options)))")
            made.inserts.append(("\(name).delivered", "SELECT `data` FROM \(q(recordView)) WHERE \(isGood)"))
        }
        if reading.putsAside { made.definitions.append(failedTable("\(name).broken", files, type: "processing-failed", code: "DataFormat.ParseError")) }
        if reading.mayFail {
            made.definitions.append(failedTable("\(name).failed", files, type: "processing-failed", code: "Transform.ProcessingFailed", saysCode: true))
            made.inserts.append((
                "\(name).failed",
                """
                SELECT CASE WHEN `data` IS NULL THEN 'Transform.ProcessingFailed' ELSE 'DynamicPartitioning.MetadataExtractionFailed' END, \
                CASE WHEN `data` IS NULL THEN 'the transform gives no record' ELSE 'a partition key of the record is missing' END, \
                CAST(`raw` AS BYTES), `arrival` FROM \(q(recordView)) WHERE NOT (\(isGood))
                """
            ))
        }
        if let backup {
            guard case .table = source else {
                made.definitions.append(filesTable("\(name).backup", backup, columns: "`data` \(reading.rawType)", partitions: [], prefix: backup.prefix))
                made.inserts.append(("\(name).backup", "SELECT `data`, `arrival` FROM \(q(sourceTable))"))
                return made
            }
            throw StreamError(.validate, "delivery stream \(name): rows of a table have no form of their own to be backed up in", fix: "leave the backup out")
        }
        return made
    }

    /// What the destination refuses, below the error prefix. Its files have no times in their folders.
    private func refusedFolder(_ failed: Files, _ connector: Table.Connector) throws -> String {
        let type = connector == .openSearch ? "AmazonOpenSearchService-failed" : "http-endpoint-failed"
        let prefix = failed.errorPrefix ?? failed.prefix, mark = "!{firehose:error-output-type}"
        let folder = prefix.contains(mark) ? prefix.replacing(mark, with: type) : prefix + type
        guard !folder.contains("!{") else {
            throw StreamError(.validate, "delivery stream \(name): error prefix '\(prefix)' has expressions that are not known for records that \(connector.rawValue) refuses",
                              fix: "use no other than \(mark)")
        }
        return folder
    }

    /// Documents are objects of JSON, each in one line.
    private var wantsDocuments: Bool {
        if case .table(let table, _) = destination { table.connector == .openSearch } else { false }
    }

    private func document(_ data: String) -> String { "CASE WHEN \(data) IS JSON OBJECT THEN JSON_QUERY(\(data), '$') END" }

    private func q(_ name: String) -> String { SQLComposer.quoted(name) }

    private func with(_ options: [String: String]) -> String {
        options.sorted { $0.key < $1.key }.map { "\(SQLComposer.literal($0.key)) = \(SQLComposer.literal($0.value))" }.joined(separator: ", ")
    }

    // MARK: Reading

    private struct Reading {
        /// Gives `data`, partition keys, `raw` and `arrival`.
        var query: String
        var dataType: String, rawType: String
        /// The source puts records aside that cannot be decoded.
        var putsAside: Bool
        /// A record can come out without `data` or a key.
        var mayFail: Bool
    }

    private func reading() throws -> Reading {
        let isTable = if case .table = source { true } else { false }
        switch transform {
        case .none:
            guard !isTable, record == nil, partitionKeys.isEmpty else {
                throw StreamError(.validate, "delivery stream \(name) does not say what is delivered of its \(isTable ? "table" : "columns")", fix: "add a transform: SELECT ... FROM record")
            }
            if wantsDocuments {
                return Reading(query: "SELECT \(document("`data`")) AS `data`, `data` AS `raw`, `arrival` FROM \(q(sourceTable))", dataType: "STRING", rawType: "STRING", putsAside: true, mayFail: true)
            }
            return Reading(query: "SELECT `data`, `data` AS `raw`, `arrival` FROM \(q(sourceTable))", dataType: "BYTES", rawType: "BYTES", putsAside: false, mayFail: false)
        case .dynamoDB(let deliversDeleted):
            guard !isTable, record == nil, partitionKeys.isEmpty else {
                throw StreamError(.validate, "delivery stream \(name): change records of DynamoDB are flattened as a whole", fix: "leave out the record's columns and the partition keys, or use a SELECT with DYNAMODB_FLAT(data)")
            }
            let filter = deliversDeleted ? "" : " WHERE DYNAMODB_EVENT(`data`) IS DISTINCT FROM 'REMOVE'"
            return Reading(query: "SELECT DYNAMODB_FLAT(`data`) AS `data`, `data` AS `raw`, `arrival` FROM \(q(sourceTable))\(filter)",
                           dataType: "STRING", rawType: "STRING", putsAside: true, mayFail: true)
        case .query(let text):
            let given = try DeliveryQuery(text, stream: name)
            let table = if case .table(let name) = source { name } else { sourceTable }
            let isWhole = !isTable && record == nil
            // Records that are read as columns have no text any more that a failed one could be shown with.
            let hidden = given.isPerRecord && !isTable ? (raw: isWhole ? "`data`" : "CAST(NULL AS STRING)", arrival: "`arrival`") : ("CAST(NULL AS STRING)", "CAST(NULL AS TIMESTAMP_LTZ(3))")
            let inner = try given.text(reading: q(table), adding: given.isPerRecord ? [("firehose.raw", hidden.0, isWhole), ("firehose.arrival", hidden.1, !isTable)] : [])
            let names = given.names
            for key in partitionKeys where !names.contains(key) {
                throw StreamError(.validate, "delivery stream \(name): the transform selects no partition key \(key)", fix: "add an expression AS \(q(key)) to it")
            }
            let data = names.contains("data") ? (wantsDocuments ? document("CAST(`data` AS STRING)") : "CAST(`data` AS STRING)")
                : "JSON_OBJECT(" + names.map { "KEY \(SQLComposer.literal($0)) VALUE \(q($0))" }.joined(separator: ", ") + ")"
            let keys = partitionKeys.map { ", CAST(\(q($0)) AS STRING) AS \(q($0))" }.joined()
            let rest = given.isPerRecord ? "`firehose.raw` AS `raw`, `firehose.arrival` AS `arrival`" : "\(hidden.0) AS `raw`, \(hidden.1) AS `arrival`"
            return Reading(query: "SELECT \(data) AS `data`\(keys), \(rest) FROM (\(inner)) AS `selected`", dataType: "STRING", rawType: isWhole ? "STRING" : "BYTES",
                           putsAside: !isTable, mayFail: true)
        }
    }

    private func sourceDefinitions(_ reading: Reading, _ log: String?) throws -> [String] {
        var options = ["connector": "kinesis", "format": record?.format ?? "raw", "scan.stream.initpos": "TRIM_HORIZON"]
        if let log { options["log.directory"] = log }
        switch source {
        case .table: return []
        case .directPut:
            options["stream"] = Self.directPutStream(name)
            options["stream.create-shards"] = "1"
        case .stream(let stream, let start):
            options["stream"] = stream
            switch start {
            case .oldest: break
            case .latest: options["scan.stream.initpos"] = "LATEST"
            case .time(let start):
                options["scan.stream.initpos"] = "AT_TIMESTAMP"
                options["scan.stream.initpos-timestamp"] = "\(start / 1_000).\(String(1_000 + start % 1_000).dropFirst())"
            }
        }
        if reading.putsAside {
            options["on-error"] = "dead-letter"
            options["dead-letter.table"] = q("\(name).broken")
        }
        if let record { options.merge(record.options) { $1 } }
        let columns = record?.columns.map { "\(q($0.name)) \($0.type)" } ?? ["`data` \(reading.rawType)"]
        return ["CREATE TEMPORARY TABLE \(q(sourceTable)) (\(columns.joined(separator: ", ")), `arrival` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL) WITH (\(with(options)))"]
    }

    // MARK: Writing

    private func filesTable(_ table: String, _ files: Files, columns: String, partitions: [String], prefix: String) -> String {
        var options = Self.options(files, name, version)
        options["sink.delivery.prefix"] = prefix
        options["format"] = "raw"
        let partitioned = partitions.isEmpty ? "" : " PARTITIONED BY (\(partitions.map(q).joined(separator: ", ")))"
        return "CREATE TEMPORARY TABLE \(q(table)) (\(columns), `arrival` TIMESTAMP_LTZ(3) METADATA FROM 'arrival-timestamp')\(partitioned) WITH (\(with(options)))"
    }

    private func failedTable(_ table: String, _ files: Files, type: String, code: String, saysCode: Bool = false) -> String {
        var options = Self.options(files, name, version)
        options["sink.delivery.prefix"] = files.errorPrefix ?? (files.prefix.contains("!{") ? "" : files.prefix)
        options["sink.delivery.error-type"] = type
        options["sink.delivery.error-code"] = code
        options["sink.delivery.record-delimiter"] = "\\n"
        options["sink.delivery.file-extension"] = nil
        options["format"] = "json"
        return "CREATE TEMPORARY TABLE \(q(table)) (\(saysCode ? "`code` STRING, " : "")`reason` STRING, `record` BYTES, `timestamp` TIMESTAMP_LTZ(3)) WITH (\(with(options)))"
    }

    private static func options(_ files: Files, _ name: String, _ version: Int) -> [String: String] {
        var options = [
            "connector": "filesystem", "path": files.directory, "sink.delivery.stream": name, "sink.delivery.version": String(version),
            "sink.delivery.buffer-size": "\(files.bufferBytes) b", "sink.delivery.buffer-interval": "\(files.bufferInterval) ms",
            "sink.delivery.compression": files.compression, "sink.delivery.time-zone": files.timeZone,
            "sink.delivery.record-delimiter": files.delimiter.replacing("\n", with: "\\n").replacing("\r", with: "\\r").replacing("\t", with: "\\t"),
        ]
        if !files.fileExtension.isEmpty { options["sink.delivery.file-extension"] = files.fileExtension }
        return options
    }
}
