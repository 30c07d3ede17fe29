import StreamCore

/// `'format' = 'avro-confluent'`: Avro records behind a zero byte and the number of their schema in a schema registry.
///
/// Reading resolves the schema of each message with the table's columns. Writing makes the table's schema known under a subject
/// before the first record.
public struct ConfluentAvroFormat: Format {
    private let access: @Sendable (SchemaRegistryOptions) -> any SchemaRegistryAccess

    /// - Parameter access: gives the registry of a table; the same options should give the same registry, with its cache.
    public init(access: @escaping @Sendable (SchemaRegistryOptions) -> any SchemaRegistryAccess) { self.access = access }

    public var name: String { "avro-confluent" }
    public var optionKeys: Set<String> { Set(SchemaRegistryOptions.keys.map { "\(name).\($0)" }) }
    public var needsMessages: Bool { true }
    public var findsRowPartsByName: Bool { true }

    public func topicDefaults(topic: String, isKey: Bool) -> [String: String] { ["\(name).subject": topic + (isKey ? "-key" : "-value")] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        let options = try ConfluentOptions(table, name)
        return try AvroRecordDecoder(name: name, schema: table.schema, projection: projection, writers: .registry(access(options.registry)),
                                     reader: options.reader, metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        let options = try ConfluentOptions(table, name)
        let text = try options.writer(table) { try AvroSchemaText.derive(table.schema, legacy: options.legacy, format: name) }
        return try AvroRecordEncoder(name: name, schema: table.schema, writer: AvroSchema(text),
                                     header: options.header(text, access(options.registry), table))
    }
}

/// The options that formats with a registry have in common.
struct ConfluentOptions {
    let registry: SchemaRegistryOptions
    /// The text of the option `schema`, and the schema that it is.
    let explicit: String?
    let reader: AvroSchema?
    let legacy: Bool
    private let prefix: String

    init(_ table: TableDescriptor, _ name: String) throws {
        prefix = name + "."
        let options = FormatOptions(table: table)
        registry = try SchemaRegistryOptions(options, prefix: prefix)
        let key = table.options[prefix + "schema"] == nil ? prefix + "schema-registry.schema" : prefix + "schema"
        explicit = table.options[key]
        do { reader = try explicit.map { try AvroSchema($0) } } catch let error as StreamError {
            throw options.error("option '\(key)' is no Avro schema: \(error.problem)", fix: "write the schema as JSON", key: key)
        }
        legacy = try options.bool(prefix + "timestamp_mapping.legacy", default: true)
    }

    func writer(_ table: TableDescriptor, _ derive: () throws -> String) throws -> String {
        if let explicit { return explicit }
        do { return try derive() } catch var error as StreamError {
            error.problem = "table \(table.name): \(error.problem)"
            throw error
        }
    }

    /// The bytes in front of each record, found when the first is written.
    func header(_ schema: String, _ access: any SchemaRegistryAccess, _ table: TableDescriptor) throws -> () throws -> [UInt8] {
        guard let subject = table.options[prefix + "subject"] ?? table.options[prefix + "schema-registry.subject"], !subject.isEmpty else {
            throw StreamError(.validate, "table \(table.name): the option '\(prefix)subject' is missing",
                              fix: "add '\(prefix)subject' = '...', the name under which the registry keeps the schema")
        }
        let (registers, prefix, name) = (registry.registers, prefix, table.name)
        return {
            var id: Int32?
            if registers { id = try access.register(schema: schema, subject: subject) } else { id = try access.lookup(schema: schema, subject: subject) }
            guard let id else {
                throw StreamError(.runtime, "table \(name): the registry at \(access.address) does not have the table's schema under subject '\(subject)'",
                                  fix: "add the schema there, or set '\(prefix)properties.auto.register.schemas' to 'true'")
            }
            return [0] + withUnsafeBytes(of: id.bigEndian) { Array($0) }
        }
    }
}
