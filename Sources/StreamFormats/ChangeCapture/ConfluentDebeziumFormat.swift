import StreamCore

/// `'format' = 'debezium-avro-confluent'`: Debezium's messages as Avro with a schema registry; read and written as a changelog.
public struct ConfluentDebeziumFormat: Format {
    private let access: @Sendable (SchemaRegistryOptions) -> any SchemaRegistryAccess

    /// - Parameter access: as for ``ConfluentAvroFormat``.
    public init(access: @escaping @Sendable (SchemaRegistryOptions) -> any SchemaRegistryAccess) { self.access = access }

    public var name: String { "debezium-avro-confluent" }
    public var producesChanges: Bool { true }
    public var findsRowPartsByName: Bool { true }
    public var needsMessages: Bool { true }
    public var optionKeys: Set<String> { Set(SchemaRegistryOptions.keys.map { "\(name).\($0)" }) }

    public func topicDefaults(topic: String, isKey: Bool) -> [String: String] { ["\(name).subject": topic + (isKey ? "-key" : "-value")] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        let options = try ConfluentOptions(table, name)
        let registry = access(options.registry)
        return try ChangeDecoder(.debezium, name: name, schema: table.schema, primaryKey: table.primaryKey, projection: projection, hasSchema: false, filters: [], metadata: [],
                                 ignoreErrorsOption: nil, ignoreErrors: false, metrics: metrics) { fields in
            try AvroRecordDecoder(name: name, schema: fields, projection: Array(fields.indices), writers: .registry(registry), reader: options.reader,
                                  metrics: OperatorMetrics())
        }
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        let options = try ConfluentOptions(table, name)
        let fields = ChangeEncoder.fields(.debezium, image: .row(table.schema))
        let text = try options.writer(table) { "[\"null\",\(try AvroSchemaText.derive(fields, legacy: options.legacy, format: name))]" }
        let encoder = try AvroRecordEncoder(name: name, schema: fields, writer: AvroSchema(text),
                                            header: options.header(text, access(options.registry), table))
        return ChangeEncoder(.debezium, schema: table.schema, messages: encoder)
    }
}
