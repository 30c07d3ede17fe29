import StreamCore

/// Makes record keys and partition paths of rows, as the table's key generator says.
final class KeyGenerator {
    private let properties: TableProperties
    private let keyColumns: [Int]
    private let partitionColumns: [Int]
    private let table: String
    /// Partition number -> path, in the order of their appearance.
    private(set) var partitions: [String]
    private var numbers: [String: Int] = [:]
    private var lookup: PartitionLookup

    init(_ properties: TableProperties, schema: Schema) {
        self.properties = properties
        table = properties.name
        keyColumns = properties.recordKeyFields.map { name in schema.firstIndex { $0.name == name }! }
        partitionColumns = properties.partitionFields.map { name in schema.firstIndex { $0.name == name }! }
        lookup = PartitionLookup()
        partitions = []
        if partitionColumns.isEmpty { _ = number(ofPath: "") }
    }

    func number(ofPath path: String) -> Int {
        if let number = numbers[path] { return number }
        partitions.append(path)
        numbers[path] = partitions.count - 1
        return partitions.count - 1
    }

    /// The record keys of all physical rows of a batch.
    func recordKeys(_ columns: [Column]) throws -> TextColumn {
        let complex = properties.keyGenerator == .complex || keyColumns.count > 1
        let parts = try zip(properties.recordKeyFields, keyColumns).map { name, c in
            (name: name, values: try TextColumn(columns[c], null: complex ? "__null__" : nil, empty: complex ? "__empty__" : nil,
                                               what: "table \(table): record key column \(name)"))
        }
        return complex ? TextColumn(named: parts) : parts[0].values
    }

    /// numbers[i] = the partition of physical row i.
    /// - Returns: the one partition of all rows, or nil when there are several.
    func partitions(_ columns: [Column], count: Int, into out: UnsafeMutablePointer<Int32>) throws -> Int? {
        if partitionColumns.isEmpty {
            out.update(repeating: 0, count: count)
            return 0
        }
        let values = try zip(properties.partitionFields, partitionColumns).map { name, c in
            // A constant column needs only one text.
            let column = columns[c].isConstant && columns[c].validity == nil ? columns[c].dictionary! : columns[c]
            return try TextColumn(column, null: PartitionPath.defaultName, empty: PartitionPath.defaultName, what: "partition column \(name)")
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
        var parts: [String] = [], at = 0
        for field in properties.partitionFields {
            let length = Int(key[at..<at + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
            let text = String(decoding: key[at + 4..<at + 4 + length], as: UTF8.self)
            parts.append(try PartitionPath.level(field: field, value: text, properties))
            at += 4 + length
        }
        let number = Int32(number(ofPath: parts.joined(separator: "/")))
        lookup.add(key, number)
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
enum PartitionPath {
    static let defaultName = "__HIVE_DEFAULT_PARTITION__"

    /// One level of a path: `field=value` or `value`.
    /// - Throws: `.runtime` for values that cannot be a folder's name.
    static func level(field: String, value: String, _ properties: TableProperties) throws -> String {
        let text = properties.urlEncodePartitions ? escape(value) : value
        func refuse(_ why: String, fix: String) -> StreamError {
            StreamError(.runtime, "table \(properties.name): partition column \(field) has the value '\(value)', \(why)", fix: fix)
        }
        if value == "." || value == ".." { throw refuse("which is no name for a folder", fix: "replace it in the query, for example with CASE WHEN") }
        if text.utf8.contains(0) { throw refuse("which has a zero byte", fix: "replace it in the query") }
        if text.contains("/") {
            throw refuse("which has a '/'", fix: "create the table with 'hoodie.datasource.write.partitionpath.urlencode' = 'true'")
        }
        if !properties.hiveStylePartitioning, text.hasPrefix(".") {
            throw refuse("and readers skip folders whose name starts with a dot",
                         fix: "create the table with 'hoodie.datasource.write.hive_style_partitioning' = 'true'")
        }
        return properties.hiveStylePartitioning ? "\(field)=\(text)" : text
    }

    private static let special = Set("\"#%'*/:=?\\\u{7F}{[]^".unicodeScalars.map(\.value))

    static func escape(_ text: String) -> String {
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
