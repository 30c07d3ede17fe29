import StreamCore

/// `'format' = 'avro'`: Avro's binary encoding, with the schema that Flink derives from the table's columns, for messages.
public struct AvroFormat: Format {
    public init() {}
    public var name: String { "avro" }
    public var optionKeys: Set<String> { ["avro.encoding", "avro.timestamp_mapping.legacy", "avro.codec"] }
    public var needsMessages: Bool { true }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try AvroRecordDecoder(name: name, schema: table.schema, projection: projection, writers: .fixed(schema(table)), reader: nil, metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        try AvroRecordEncoder(name: name, schema: table.schema, writer: schema(table))
    }

    private func schema(_ table: TableDescriptor) throws -> AvroSchema {
        let options = FormatOptions(table: table)
        if let codec = options.string("avro.codec") {
            throw options.error("option 'avro.codec' = '\(codec)' is for Avro container files, which are not supported yet",
                                fix: "leave it out, and use 'parquet', 'json' or 'csv' for files", key: "avro.codec")
        }
        guard try options.choice("avro.encoding", ["binary", "json"]) == "binary" else {
            throw options.error("not supported yet: option 'avro.encoding' = 'json'", fix: "use 'binary', or the format 'json'", key: "avro.encoding")
        }
        return try table.avroSchema(legacy: options.bool("avro.timestamp_mapping.legacy", default: true), format: name)
    }
}

extension TableDescriptor {
    func avroSchema(legacy: Bool, format: String) throws -> AvroSchema {
        do { return try AvroSchema(AvroSchemaText.derive(schema, legacy: legacy, format: format)) } catch var error as StreamError {
            error.problem = "table \(name): \(error.problem)"
            throw error
        }
    }
}
