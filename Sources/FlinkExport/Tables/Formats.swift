import StreamCore
import StreamSQL

/// Options of formats as Flink has them.
enum FormatRules {
    /// Formats that can leave out what they cannot decode.
    static let skipping: Set<String> = ["json", "csv", "debezium-json", "canal-json", "maxwell-json", "protobuf"]

    private static let json = ["ignore-parse-errors", "timestamp-format.standard", "map-null-key.mode", "map-null-key.literal", "encode.decimal-as-plain-number"]
    private static let registry = [
        "url", "subject", "schema", "schema-registry.url", "schema-registry.subject", "schema-registry.schema", "basic-auth.credentials-source", "basic-auth.user-info",
        "bearer-auth.credentials-source", "bearer-auth.token", "ssl.truststore.location", "ssl.truststore.password", "ssl.keystore.location", "ssl.keystore.password",
    ]

    /// Options that mean the same, without the format's name before them.
    static let same: [String: [String]] = [
        "json": json + ["fail-on-missing-field"],
        "csv": ["field-delimiter", "quote-character", "disable-quote-character", "escape-character", "null-literal", "ignore-parse-errors", "allow-comments", "array-element-delimiter",
                "write-bigdecimal-in-scientific-notation"],
        "raw": ["charset", "endianness"],
        "avro": ["encoding", "codec"],
        "avro-confluent": registry, "debezium-avro-confluent": registry,
        "debezium-json": json + ["schema-include"], "canal-json": json + ["database.include", "table.include"], "maxwell-json": json,
        "protobuf": ["message-class-name", "ignore-parse-errors", "read-default-values", "write-null-string-literal"],
        "parquet": [],
    ]

    /// Metadata that formats tell, which connectors of messages offer with `value.` before it.
    static let metadata: [String: [String]] = [
        "debezium-json": ["schema", "ingestion-timestamp", "source.timestamp", "source.database", "source.schema", "source.table", "source.properties"],
        "canal-json": ["database", "table", "sql-type", "pk-names", "ingestion-timestamp", "event-timestamp"],
        "maxwell-json": ["database", "table", "primary-key-columns", "ingestion-timestamp"],
    ]
}

extension OptionTranslation {
    /// Takes a format with its options.
    ///
    /// - Parameter prefix: of the format's option and of its options: `""`, `"key."` or `"value."`.
    mutating func format(prefix: String = "") {
        let formatKey = prefix + "format"
        guard let text = take(formatKey) else { return }
        let name = text.trimmed.lowercased()
        set(formatKey, name)
        let own = prefix + name + "."
        guard let same = FormatRules.same[name] else {
            return refuse(formatKey, reason: "Flink has no format '\(text)'", instead: "write the records as json or avro")
        }
        keep(same.map { own + $0 })
        switch name {
        case "json": jsonExtras(own)
        case "csv": header(own)
        case "debezium-json", "canal-json", "maxwell-json":
            jsonExtras(own)
            drop(own + "changelog-mode", when: ["all"], reason: "Flink reads the format as changes, and never as rows of their own",
                 instead: "read the messages with 'format' = 'json' as columns before, after and op, which gives each change as a row")
        case "avro", "avro-confluent", "debezium-avro-confluent":
            keep(prefix: own + "properties.")
            if version >= FlinkVersion(2, 0) || name == "avro" {
                keep(own + "timestamp_mapping.legacy")
            } else {
                drop(own + "timestamp_mapping.legacy", when: ["true"], reason: "Flink \(version) has only the older mapping of timestamps in '\(name)'", instead: "export with --flink-version 2.0 or later")
            }
            need(name == "avro" ? FlinkJars.avro(version) : FlinkJars.confluentAvro(version))
        case "protobuf": protobuf(own)
        case "parquet": parquet(own)
        default: break
        }
    }

    private mutating func jsonExtras(_ own: String) {
        keep(own + "encode.ignore-null-fields")
        if let value = take(own + "decode.json-parser.enabled") {
            set(own + "decode.json-parser.enabled", value)
        }
    }

    private mutating func header(_ own: String) {
        let instead = table.isRead
            ? "cut the first line off the files (tail -n +2), or keep them as json lines"
            : "write json or parquet, or put the names before the files when they are taken on"
        drop(own + "header", when: ["false"], reason: "Flink's CSV has no header: it reads the line as a row, and writes none", instead: instead)
        drop(own + "header.columns", when: ["position"], reason: "Flink's CSV has no header that could tell where columns are", instead: instead)
    }

    private mutating func protobuf(_ own: String) {
        if has(own + "message-class-name") {
            drop(own + "descriptor-file", own + "message-name", because: "Flink reads a message with its Java class: put the library with '\(value(own + "message-class-name")!)' on the cluster")
        } else {
            refuse(own + "message-name", reason: "Flink reads a message with its Java class, and not with a descriptor",
                   instead: "make the class with protoc --java_out, put it on the cluster, and name it in '\(own)message-class-name'")
            _ = take(own + "descriptor-file")
        }
        need(FlinkJars.protobuf(version))
    }

    private mutating func parquet(_ own: String) {
        if let codec = take(own + "compression") { set(own + "compression", codec.trimmed.lowercased() == "none" ? "UNCOMPRESSED" : codec.trimmed.uppercased()) }
        drop(own + "row-group.rows", because: "Flink limits row groups by bytes: 'parquet.block.size'")
        // Ours are in UTC; Flink's would be in the zone of the worker.
        set(own + "utc-timezone", "true")
        if table.isWritten {
            set(own + "write.int64.timestamp", "true")
            set(own + "timestamp.time.unit", "micros")
        }
        need(FlinkJars.parquet(version))
    }

    /// Metadata of a format, as a connector of messages offers it.
    func formatMetadata(_ format: String?) -> [String: String] {
        var keys: [String: String] = [:]
        for key in FormatRules.metadata[format?.trimmed.lowercased() ?? ""] ?? [] { (keys[key], keys["value." + key]) = ("value." + key, "value." + key) }
        return keys
    }
}
