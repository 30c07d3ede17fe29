import StreamCore

/// How the record keys and partition paths of a table are made.
package struct KeyRules: Sendable, Equatable {
    package var tableName: String
    package var recordKeyFields: [String]
    package var partitionFields: [String]
    /// Keys are written `a:1,b:2` even when there is one column. Several columns always are.
    package var namesKeys: Bool
    /// Folders are called `field=value`.
    package var hiveStyle: Bool
    package var urlEncode: Bool
    /// The one partition column's values become paths by the time that they stand for.
    package var timestamps: TimestampPartition?
    /// The empty text and NULL belong to one partition, as in Hive.
    package var emptyIsNull = true

    package init(tableName: String, recordKeyFields: [String], partitionFields: [String], namesKeys: Bool, hiveStyle: Bool, urlEncode: Bool,
                 timestamps: TimestampPartition? = nil) {
        self.timestamps = timestamps
        (self.tableName, self.recordKeyFields, self.partitionFields) = (tableName, recordKeyFields, partitionFields)
        (self.namesKeys, self.hiveStyle, self.urlEncode) = (namesKeys, hiveStyle, urlEncode)
    }
}

/// Makes record keys and partition paths of rows.
package final class KeyGenerator {
    private let rules: KeyRules
    private let keyColumns: [Int]
    private let partitionColumns: [Int]
    private let table: String
    /// Partition number -> path, in the order of their appearance.
    package private(set) var partitions: [String]
    /// Partition path -> the text of each partition column, nil = NULL, of the partitions that rows were seen of.
    package private(set) var values: [String: [String?]] = [:]
    /// Numbers of partitions that rows come to whose partition columns are NULL.
    package private(set) var unknownPartitions: Set<Int32> = []
    private var numbers: [String: Int] = [:]
    /// The path of NULL times.
    private let nullTime: String?
    private var lookup: PartitionLookup

    package init(_ rules: KeyRules, schema: Schema) {
        self.rules = rules
        table = rules.tableName
        keyColumns = rules.recordKeyFields.map { name in schema.firstIndex { $0.name == name }! }
        partitionColumns = rules.partitionFields.map { name in schema.firstIndex { $0.name == name }! }
        lookup = PartitionLookup()
        partitions = []
        nullTime = rules.timestamps.flatMap { times in
            let type: DataType = if case .text = times.input { .string } else { .bigint }
            return (try? times.texts(.nulls(type: type, count: 1), name: "")).map { String(decoding: $0.value(0), as: UTF8.self) }
        }
        if partitionColumns.isEmpty { _ = number(ofPath: "") }
    }

    package func number(ofPath path: String) -> Int {
        if let number = numbers[path] { return number }
        partitions.append(path)
        numbers[path] = partitions.count - 1
        return partitions.count - 1
    }

    /// The key columns alone.
    package func keySchema(_ schema: Schema) -> Schema { rules.recordKeyFields.map { name in schema.first { $0.name == name }! } }

    /// The key columns whose values the record key tells for certain: in a key of named parts, a text may look like several of them, or
    /// like what stands for NULL.
    package func columnsToldByKeys(_ schema: Schema) -> Set<String> {
        let isNamed = rules.namesKeys || keyColumns.count > 1
        // Between two texts nothing is certain.
        if isNamed, keySchema(schema).count(where: { $0.type.physical == .view }) > 1 { return [] }
        return Set(keySchema(schema).filter { !isNamed || $0.type.physical != .view }.map(\.name))
    }

    /// Makes the same record keys of batches that have the columns of `keySchema`.
    package func ofKeysOnly(_ schema: Schema) -> KeyGenerator {
        var rules = rules
        rules.partitionFields = []
        return KeyGenerator(rules, schema: keySchema(schema))
    }

    /// The record keys of all physical rows of a batch.
    package func recordKeys(_ columns: [Column]) throws -> TextColumn {
        let complex = rules.namesKeys || keyColumns.count > 1
        let parts = try zip(rules.recordKeyFields, keyColumns).map { name, c in
            (name: name, values: try TextColumn(columns[c], null: complex ? "__null__" : nil, empty: complex ? "__empty__" : nil,
                                               what: "table \(table): record key column \(name)"))
        }
        // A table without keys: all rows have the empty one, which nobody looks for.
        guard !parts.isEmpty else { return TextColumn(empty: columns.first?.count ?? 0) }
        return complex ? TextColumn(named: parts) : parts[0].values
    }

    /// numbers[i] = the partition of physical row i.
    /// - Returns: the one partition of all rows, or nil when there are several.
    package func partitions(_ columns: [Column], count: Int, into out: UnsafeMutablePointer<Int32>) throws -> Int? {
        if partitionColumns.isEmpty {
            out.update(repeating: 0, count: count)
            return 0
        }
        let values = try zip(rules.partitionFields, partitionColumns).map { name, c in
            // A constant column needs only one text.
            let column = columns[c].isConstant && columns[c].validity == nil ? columns[c].dictionary! : columns[c]
            if let timestamps = rules.timestamps { return try timestamps.texts(column, name: name) }
            return try TextColumn(column, null: PartitionPath.defaultName, empty: rules.emptyIsNull ? PartitionPath.defaultName : "", what: "partition column \(name)")
        }
        var key: [UInt8] = [], previous: [UInt8] = []
        var last: Int32 = -1, single = true
        for i in 0..<count {
            key.removeAll(keepingCapacity: true)
            for texts in values {
                let text = texts.value(texts.count == 1 ? 0 : i)
                // The length in front keeps ("a", "bc") and ("ab", "c") apart.
                withUnsafeBytes(of: Int32(truncatingIfNeeded: text.count)) { key.append(contentsOf: $0) }
                key.append(contentsOf: text)
            }
            if key != previous || last < 0 {
                let known = lookup.find(key)
                let number = known >= 0 ? known : try add(key)
                single = single && (last < 0 || number == last)
                last = number
                swap(&key, &previous)
            }
            out[i] = last
            if i == 0, values.allSatisfy({ $0.count == 1 }), count > 1 {
                out.update(repeating: last, count: count)
                break
            }
        }
        return single && last >= 0 ? Int(last) : nil
    }

    private func add(_ key: [UInt8]) throws -> Int32 {
        var parts: [String] = [], texts: [String?] = [], at = 0
        for field in rules.partitionFields {
            let length = Int(key[at..<at + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            let text = String(decoding: key[at + 4..<at + 4 + length], as: UTF8.self)
            parts.append(try PartitionPath.level(field: field, value: text, rules))
            texts.append(text == PartitionPath.defaultName || text == nullTime ? nil : text)
            at += 4 + length
        }
        let path = parts.joined(separator: "/")
        values[path] = texts
        let number = Int32(number(ofPath: path))
        lookup.add(key, number)
        if texts.contains(nil) { unknownPartitions.insert(number) }
        return number
    }
}

/// Partition values -> partition number.
private struct PartitionLookup {
    private var keys: [[UInt8]] = []
    private var numbers: [Int32] = []
    private var slots = [Int32](repeating: -1, count: 64)

    private func hash(_ key: [UInt8]) -> Int {
        key.withUnsafeBytes { Int(truncatingIfNeeded: RowHash.bytes($0.baseAddress!, $0.count) & UInt64(slots.count - 1)) }
    }

    func find(_ key: [UInt8]) -> Int32 {
        var slot = hash(key)
        while slots[slot] >= 0 {
            if keys[Int(slots[slot])] == key { return numbers[Int(slots[slot])] }
            slot = (slot + 1) & (slots.count - 1)
        }
        return -1
    }

    mutating func add(_ key: [UInt8], _ number: Int32) {
        keys.append(key)
        numbers.append(number)
        if keys.count * 2 > slots.count {
            slots = [Int32](repeating: -1, count: slots.count * 2)
            for i in keys.indices { place(i) }
        } else {
            place(keys.count - 1)
        }
    }

    private mutating func place(_ i: Int) {
        var slot = hash(keys[i])
        while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = Int32(i)
    }
}

/// The folder names of partitions.
package enum PartitionPath {
    package static let defaultName = "__HIVE_DEFAULT_PARTITION__"

    /// One level of a path: `field=value` or `value`.
    /// - Throws: `.runtime` for values that cannot be a folder's name.
    package static func level(field: String, value: String, _ rules: KeyRules) throws -> String {
        let text = rules.urlEncode ? escape(value) : value
        func refuse(_ why: String, fix: String) -> StreamError {
            StreamError(.runtime, "table \(rules.tableName): partition column \(field) has the value '\(value)', \(why)", fix: fix)
        }
        if value == "." || value == ".." { throw refuse("which is no name for a folder", fix: "replace it in the query, for example with CASE WHEN") }
        if text.utf8.contains(0) { throw refuse("which has a zero byte", fix: "replace it in the query") }
        if text.contains("/"), rules.timestamps == nil {
            throw refuse("which has a '/'", fix: "create the table with 'hoodie.datasource.write.partitionpath.urlencode' = 'true'")
        }
        if !rules.hiveStyle, text.hasPrefix(".") {
            throw refuse("and readers skip folders whose name starts with a dot",
                         fix: "create the table with 'hoodie.datasource.write.hive_style_partitioning' = 'true'")
        }
        return rules.hiveStyle ? "\(field)=\(text)" : text
    }

    private static let special = Set("\"#%'*/:=?\\\u{7F}{[]^".unicodeScalars.map(\.value))

    package static func escape(_ text: String) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            if scalar.value < 0x20 || special.contains(scalar.value) {
                let hex = String(scalar.value, radix: 16, uppercase: true)
                out += "%" + (hex.count < 2 ? "0" : "") + hex
            } else {
                out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
