import LakeTable
import StreamCore

extension HudiConnector: LookupConnector {
    /// With 'lookup.cache' = FULL, the default, the newest snapshot is kept as a whole, and read again when a commit has made another.
    /// With PARTIAL or NONE rows are looked for by record key: files are left out by the ranges of keys and bloom filters in their
    /// footers, row groups by their statistics.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        try Parquet.require()
        let files = try HudiOptions(table: table).files()
        if let cache = table.options["lookup.cache"]?.uppercased(), cache == "PARTIAL" || cache == "NONE" {
            return .byKey(try HudiKeyedTable(files, table, request))
        }
        let scan = ScanRequest(projection: request.projection, timeZone: request.timeZone)
        // Names of base files hold the instants that wrote them.
        return .whole(ScannedTable(
            version: { try HudiSource(files: files, table: table, scan: scan).splits().map(\.id).sorted().joined(separator: "\n") },
            source: { HudiSource(files: files, table: table, scan: scan) }))
    }
}

/// A table too large to be kept, whose rows are found by record key.
struct HudiKeyedTable: KeyedTable {
    let files: TableFiles
    let table: TableDescriptor
    let request: LookupRequest
    let properties: TableProperties

    init(_ files: TableFiles, _ table: TableDescriptor, _ request: LookupRequest) throws {
        func refuse(_ problem: String) -> StreamError {
            StreamError(.validate, "table \(table.name): 'lookup.cache' = '\(table.options["lookup.cache"] ?? "")': \(problem)",
                        fix: "use 'lookup.cache' = 'FULL'", at: table.optionLocations["lookup.cache"])
        }
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "table \(table.name): there is no Hudi table at \(files.root)",
                              fix: "check 'path', or write to the table first", at: table.optionLocations[HudiOption.path])
        }
        guard RecordKeyLookup.canFind(properties) else { throw refuse("the text of this table's record keys is not known for certain") }
        for name in properties.recordKeyFields {
            guard let key = request.keys.first(where: { table.schema[$0].name == name }) else {
                throw refuse("the join does not fix column \(name) of the record key (\(properties.recordKeyFields.joined(separator: ", ")))")
            }
            guard RecordKeyLookup.hasOneText(table.schema[key].type) else { throw refuse("keys of type \(table.schema[key].type) cannot be looked for") }
        }
        (self.files, self.table, self.request, self.properties) = (files, table, request, properties)
    }

    func reader(metrics: OperatorMetrics) throws -> any LookupReader { try HudiLookupReader(self, metrics) }
}

final class HudiLookupReader: LookupReader {
    private let lookup: HudiKeyedTable
    private let metrics: OperatorMetrics
    private let wanted: Schema
    /// For each column of the record key: its place among the keys asked for, and how it is stored.
    private let keyPlaces: [Int], keySchema: Schema
    private let generator: KeyGenerator
    private let seeds = KeyHash.Seeds(Host.system)
    private var slices: [FileSlice] = []
    private var footers: [String: RecordKeyFooter] = [:]
    private var footerBytes = 0
    private var checkedAt: UInt64?
    private var newest: String?

    /// Footers that are kept.
    private static let footerBytesMax = 64 << 20
    /// Nanoseconds between two looks for new commits.
    private static let checkInterval: UInt64 = 1_000_000_000

    init(_ lookup: HudiKeyedTable, _ metrics: OperatorMetrics) throws {
        (self.lookup, self.metrics) = (lookup, metrics)
        let schema = lookup.table.schema, fields = lookup.properties.recordKeyFields
        wanted = lookup.request.projection.map { Field(schema[$0].name, schema[$0].type) }
        keyPlaces = fields.map { name in lookup.request.keys.firstIndex { schema[$0].name == name }! }
        keySchema = try keyPlaces.map { place in
            let field = schema[lookup.request.keys[place]]
            return Field(field.name, try StoredTypes.stored(field.type, column: field.name))
        }
        var rules = lookup.properties.keyRules
        rules.partitionFields = []
        generator = KeyGenerator(rules, schema: keySchema)
    }

    func look(_ keys: [Column], count: Int) throws -> (columns: [Column], keys: [Int32]) {
        let stored = try zip(keyPlaces, keySchema).map { try ColumnConversion.convert(keys[$0], to: $1.type, name: $1.name) }
        // Texts that cannot be keys have no rows.
        var texts: [[UInt8]?] = (0..<count).map { _ in nil }
        if let all = try? generator.recordKeys(stored) {
            for i in 0..<count { texts[i] = Array(all.value(i)) }
        } else {
            for i in 0..<count {
                var row = Int32(truncatingIfNeeded: i)
                texts[i] = (try? generator.recordKeys(stored.map { $0.gather(&row, count: 1) })).map { Array($0.value(0)) }
            }
        }
        do { return try find(texts, keys) } catch let error as StreamError where error.code != .validate {
            // The files may have been cleaned away: a newer snapshot has others in their place.
            checkedAt = nil
            newest = nil
            return try find(texts, keys)
        }
    }

    private func refresh() throws {
        let now = Clock.monotonicNanoseconds()
        if let checkedAt, now - checkedAt < Self.checkInterval { return }
        checkedAt = now
        let timeline = try Timeline.load(lookup.files, version: lookup.properties.version)
        let last = timeline.instants.last { $0.state == .completed }.map { $0.time + $0.action } ?? ""
        guard last != newest else { return }
        slices = try TableSnapshot.load(lookup.files, lookup.properties, timeline: timeline).slices
        newest = last
    }

    private func footer(_ slice: FileSlice) throws -> RecordKeyFooter {
        if let known = footers[slice.name] { return known }
        let read = RecordKeyFooter(try ParquetReader(path: lookup.files.absolute(slice.path)))
        if footerBytes + read.bytes > Self.footerBytesMax { (footers, footerBytes) = ([:], 0) }
        footers[slice.name] = read
        footerBytes += read.bytes
        return read
    }

    private func find(_ texts: [[UInt8]?], _ keys: [Column]) throws -> (columns: [Column], keys: [Int32]) {
        try refresh()
        // Several keys of a request can have one record key, as they differ in other columns.
        var owners: [[UInt8]: [Int32]] = [:]
        for (i, text) in texts.enumerated() { if let text { owners[text, default: []].append(Int32(truncatingIfNeeded: i)) } }
        let wantedKeys = owners.keys.sorted { $0.lexicographicallyPrecedes($1) }
        let columnOf = lookup.request.keys.map { key in lookup.request.projection.firstIndex(of: key) }
        var parts: [[Column]] = [], found: [(owner: Int32, row: Int32)] = [], base: Int32 = 0
        for slice in slices {
            let candidates = try footer(slice).candidates(wantedKeys)
            guard !candidates.isEmpty else {
                metrics.addToGauge("files.skipped", 1)
                continue
            }
            let (numbers, texts) = try rows(of: candidates, in: slice)
            guard !numbers.isEmpty else { continue }
            let columns = try FileRowPicker.rows(numbers, of: lookup.files.absolute(slice.path), wanted)
            let joined = wanted.indices.map { c in Column.concatenated(columns.map { $0[c] }) }
            for (row, text) in texts.enumerated() {
                for owner in owners[text]! where zip(columnOf, keys).allSatisfy({ place, key in
                    place.map { joined[$0].value(at: row) == key.value(at: Int(owner)) } ?? true
                }) { found.append((owner, base + Int32(truncatingIfNeeded: row))) }
            }
            base += Int32(truncatingIfNeeded: numbers.count)
            parts.append(joined)
        }
        found.sort { ($0.owner, $0.row) < ($1.owner, $1.row) }
        let order = found.map(\.row)
        let columns: [Column] = wanted.indices.map { c in
            guard !order.isEmpty else { return .nulls(type: wanted[c].type, count: 0) }
            return order.withUnsafeBufferPointer { Column.concatenated(parts.map { $0[c] }).gather($0.baseAddress!, count: $0.count) }
        }
        return (columns, found.map(\.owner))
    }

    /// Numbers of a file's rows with one of those keys, ascending, and their keys.
    private func rows(of keys: [[UInt8]], in slice: FileSlice) throws -> ([Int64], [[UInt8]]) {
        let condition = ColumnCondition(name: "_hoodie_record_key", type: .string, .isIn(keys.map { .string(String(decoding: $0, as: UTF8.self)) }))
        let reader = try DataFileReader(try ParquetReader(path: lookup.files.absolute(slice.path)), wanted: [Field("_hoodie_record_key", .string)], where: [condition])
        let hashes = Set(keys.map { key in key.withUnsafeBytes { KeyHash($0, salt: 0, seeds: seeds) } })
        var numbers: [Int64] = [], texts: [[UInt8]] = [], read: Int64 = 0
        while let batch = try reader.next() {
            let column = batch.columns[0].flat()
            for row in 0..<column.count where hashes.contains(KeyHash(column.bytes(at: row), salt: 0, seeds: seeds)) {
                numbers.append(reader.fileRow(after: read + Int64(row)))
                texts.append(Array(column.bytes(at: row)))
            }
            read += Int64(batch.physicalCount)
        }
        return (numbers, texts)
    }
}
