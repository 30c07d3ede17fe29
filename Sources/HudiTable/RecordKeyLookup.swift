import LakeTable
import StreamCore

/// The record keys that a query can want, when its filter fixes all key columns: point queries skip files by the range of keys
/// and the bloom filter in their footers.
struct RecordKeyLookup: Sendable {
    /// Ascending by bytes.
    let keys: [[UInt8]]

    /// More combinations of values than this are not looked for one by one.
    private static let keysMax = 1_000

    /// nil when the filter leaves the key open, or when writers disagree about the text of such a key.
    init?(_ filter: [ScanPredicate], table: TableDescriptor, _ properties: TableProperties) {
        let fields = properties.recordKeyFields
        guard Self.canFind(properties) else { return nil }
        var combinations: [[Value]] = [[]], schema: Schema = []
        for name in fields {
            guard let column = table.schema.firstIndex(where: { $0.name == name }), case let type = table.schema[column].type, Self.hasOneText(type),
                  let stored = try? StoredTypes.stored(type, column: name)
            else { return nil }
            let lists = filter.filter { $0.column == column }.compactMap(\.values)
            guard let values = lists.min(by: { $0.count < $1.count }), combinations.count * values.count <= Self.keysMax else { return nil }
            combinations = combinations.flatMap { key in values.map { key + [$0] } }
            schema.append(Field(name, stored))
        }
        let batch = Batch(schema: schema, rows: combinations)
        // A value that cannot be a key, such as an empty text, is in no file: the rows are looked for without its help.
        var rules = properties.keyRules
        rules.partitionFields = []
        guard let text = try? KeyGenerator(rules, schema: schema).recordKeys(batch.columns) else { return nil }
        keys = (0..<text.count).map { Array(text.value($0)) }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// The text of keys is known. Releases of Java's Hudi name the column in a complex key of one column, or do not.
    static func canFind(_ properties: TableProperties) -> Bool {
        !properties.recordKeyFields.isEmpty && !(properties.keyGenerator == .complex && properties.recordKeyFields.count == 1)
    }

    /// Engines agree about the text that a value has in a key.
    static func hasOneText(_ type: DataType) -> Bool {
        switch type {
        case .varchar, .tinyint, .smallint, .int, .bigint, .date, .boolean: true
        default: false
        }
    }

    /// The keys that a file may have, as its footer tells.
    func candidates(in file: ParquetReader) -> [[UInt8]] { RecordKeyFooter(file).candidates(keys) }
}

/// What the footer of a base file says of its record keys.
struct RecordKeyFooter: Sendable {
    private let range: (low: [UInt8], high: [UInt8])?
    private let bloom: BloomFilter.Stored?
    /// Memory that it takes, roughly.
    let bytes: Int

    init(_ file: ParquetReader) {
        if let smallest = file.metadata("hoodie_min_record_key"), let largest = file.metadata("hoodie_max_record_key") {
            range = (Array(smallest.utf8), Array(largest.utf8))
        } else {
            range = nil
        }
        let text = file.metadata("org.apache.hudi.bloomfilter")
        bloom = text.flatMap { BloomFilter.Stored($0, typeCode: file.metadata("hoodie_bloom_filter_type_code") ?? "SIMPLE") }
        bytes = (text?.utf8.count ?? 0) * 3 / 4 + 256
    }

    /// Those of the keys that the file may have.
    func candidates(_ keys: [[UInt8]]) -> [[UInt8]] {
        keys.filter { key in
            if let range, key.lexicographicallyPrecedes(range.low) || range.high.lexicographicallyPrecedes(key) { return false }
            return bloom?.mayContain(key) ?? true
        }
    }
}
