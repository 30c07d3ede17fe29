import StreamCore
import StreamFormats

/// What a `kafka` or `upsert-kafka` table says about its topics and messages, checked: the part that reading and writing share.
struct KafkaTable: Sendable {
    enum Topics: Sendable {
        case names([String])
        /// All topics whose whole name the regular expression matches.
        case pattern(String)
    }

    let table: TableDescriptor
    let isUpsert: Bool
    let configuration: KafkaConfiguration
    let topics: Topics
    /// Indices of schema columns in the message's key, in the order of `key.fields`; empty without a key format.
    let keyColumns: [Int]
    /// Indices of schema columns in the message's value.
    let valueColumns: [Int]
    let keyFormat: (any Format)?
    let valueFormat: any Format
    /// The tables that the formats see: columns of the key (without `key.fields-prefix`) and of the value, options without a prefix.
    let keyTable: TableDescriptor?
    let valueTable: TableDescriptor

    static let sharedKeys: Set<String> = [
        "connector", "topic", "topic-pattern", "properties.", "format", "key.format", "key.fields", "key.fields-prefix", "value.format",
        "value.fields-include",
    ]

    static func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        ForeignOption.all(KafkaConfiguration.javaOnly.sorted().map { "properties." + $0 }, "it is of Kafka's client in Java")
            + [.init("sink.transaction-naming-strategy", "transactions are named after their checkpoints")]
            + FormatFactory.foreignOptions(for: table)
    }

    static func formatKeys(_ options: [String: String]) -> Set<String> {
        FormatFactory.optionKeys(for: options["format"])
            .union(FormatFactory.optionKeys(for: options["key.format"], prefix: "key."))
            .union(FormatFactory.optionKeys(for: options["value.format"], prefix: "value."))
    }

    /// - Parameter isUpsert: the table is an `upsert-kafka` one: its key is the primary key, and both formats are required.
    init(_ table: TableDescriptor, isUpsert: Bool = false) throws {
        let options = TableOptions(table)
        self.table = table
        self.isUpsert = isUpsert
        configuration = try KafkaConfiguration(table: table)

        switch (options.string("topic"), options.string("topic-pattern")) {
        case (let list?, nil):
            let names = list.split(separator: ";").map { String($0).trimmed }.filter { !$0.isEmpty }
            guard !names.isEmpty else { throw options.error("topic", "names no topic", fix: "write 'topic' = 'name', or 'a;b' for several") }
            topics = .names(names)
        case (nil, let pattern?):
            guard (try? Regex(pattern)) != nil else { throw options.error("topic-pattern", "is not a regular expression") }
            topics = .pattern(pattern)
        case (nil, nil):
            throw StreamError(.validate, "table \(table.name): connector '\(table.options["connector"] ?? "kafka")' needs option 'topic' or 'topic-pattern'",
                              fix: "add 'topic' = 'name'")
        default: throw options.error("topic-pattern", "stands beside 'topic'", fix: "keep one of the two")
        }

        if options.has("format"), options.has("value.format") { throw options.error("value.format", "stands beside 'format', which means the same", fix: "keep one of the two") }
        let schema = table.schema
        let prefix = options.string("key.fields-prefix") ?? ""
        let excludesKey = try options.choice("value.fields-include", ["ALL", "EXCEPT_KEY"]) == "EXCEPT_KEY"
        if isUpsert {
            guard options.has("key.format"), options.has("value.format") else {
                let missing = options.has("key.format") ? "value.format" : "key.format"
                throw StreamError(.validate, "table \(table.name): connector 'upsert-kafka' needs option '\(missing)'", fix: "add '\(missing)' = 'json' to its WITH options")
            }
            guard !table.primaryKey.isEmpty else {
                throw StreamError(.validate, "table \(table.name): connector 'upsert-kafka' needs a primary key: it becomes the messages' key",
                                  fix: "add PRIMARY KEY (column, ...) NOT ENFORCED")
            }
            if options.has("key.fields") { throw options.error("key.fields", "is given by the primary key here", fix: "leave it out") }
        }

        if let format = options.string("key.format") {
            _ = format
            let names = isUpsert ? table.primaryKey : (options.string("key.fields") ?? "").split(separator: ";").map { String($0).trimmed }.filter { !$0.isEmpty }
            guard !names.isEmpty else { throw options.error("key.format", "stands without 'key.fields'", fix: "name the key's columns: 'key.fields' = 'a;b'") }
            keyColumns = try names.map { name in
                guard let column = schema.firstIndex(where: { $0.name == name }) else {
                    throw options.error("key.fields", "names the column '\(name)', which the table does not have", fix: NearName.hint(for: name, in: schema.map(\.name)))
                }
                guard name.hasPrefix(prefix) else {
                    throw options.error("key.fields-prefix", "does not begin the name of key column '\(name)'", fix: "name all key columns \(prefix)...")
                }
                return column
            }
            if !prefix.isEmpty, !excludesKey {
                throw options.error("key.fields-prefix", "needs the key's columns to be left out of the value", fix: "add 'value.fields-include' = 'EXCEPT_KEY'")
            }
            keyFormat = try FormatFactory.format(of: table, prefix: "key.")
            keyTable = Self.completed(
                FormatFactory.table(table, prefix: "key.", columns: keyColumns.map { (schema[$0], String(schema[$0].name.dropFirst(prefix.count))) }),
                keyFormat!, topics, isKey: true)
        } else {
            if options.has("key.fields") { throw options.error("key.fields", "stands without 'key.format'", fix: "add 'key.format' = 'raw', 'json' or another") }
            if excludesKey { throw options.error("value.fields-include", "leaves out the key's columns, but there is no key", fix: "add 'key.format' and 'key.fields'") }
            (keyColumns, keyFormat, keyTable) = ([], nil, nil)
        }
        let keys = Set(excludesKey ? keyColumns : [])
        valueColumns = schema.indices.filter { !keys.contains($0) }
        let valuePrefix = options.has("value.format") ? "value." : ""
        valueFormat = try FormatFactory.format(of: table, prefix: valuePrefix)
        valueTable = Self.completed(
            FormatFactory.table(table, prefix: valuePrefix, columns: valueColumns.map { (schema[$0], schema[$0].name) }), valueFormat, topics, isKey: false)
        if let keyFormat, keyFormat.producesChanges {
            throw options.error("key.format", "is a format of changes, which a key cannot have", fix: "use json, csv, raw or avro")
        }
        if isUpsert, valueFormat.producesChanges {
            throw options.error("value.format", "is a format of changes; upsert-kafka makes its own of keys and tombstones", fix: "use json, csv or avro, or the connector 'kafka'")
        }
        if let keyTable { try Self.check(keyFormat!, keyTable) }
        try Self.check(valueFormat, valueTable)
    }

    /// With the options of the format that follow from the topic, when there is one.
    private static func completed(_ table: TableDescriptor, _ format: any Format, _ topics: Topics, isKey: Bool) -> TableDescriptor {
        guard case .names(let names) = topics, names.count == 1 else { return table }
        var copy = table
        copy.options.merge(format.topicDefaults(topic: names[0], isKey: isKey)) { given, _ in given }
        return copy
    }

    private static func check(_ format: any Format, _ table: TableDescriptor) throws {
        _ = try format.decoder(table, projection: Array(table.schema.indices), metrics: OperatorMetrics())
    }
}
