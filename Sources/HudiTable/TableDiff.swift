import LakeTable
import StreamCore

/// What differs between a table as of two instants, by record key.
public struct TableDiff: Sendable {
    /// One row that is not the same. `before` is nil for an inserted row, `after` for a deleted one; values are those of `schema`.
    public struct Change: Sendable, Hashable {
        public var key: String
        public var before: [Value]?, after: [Value]?
    }

    public var schema: Schema
    /// By key.
    public var changes: [Change]
}

extension HudiTable {
    /// What happened after one instant until another one. Rows that were rewritten with the same values are not among it. Takes
    /// memory for the changed rows.
    ///
    /// - Parameters:
    ///   - from: an instant, a time in UTC, or `earliest`: before the first commit.
    ///   - to: an instant, a time in UTC, or `latest`.
    /// - Throws: `.validate` when cleaning has removed what it needs.
    public func diff(from: String, to: String) throws -> TableDiff {
        let history = try TableHistory(files, properties)
        let start = history.moment(try Self.instant(from)), end = history.moment(try Self.instant(to))
        guard start <= end else {
            throw StreamError(.validate, "\(from) is later than \(to)", fix: "give the earlier instant first")
        }
        let old = try history.slices(asOf: start), new = try history.slices(asOf: end)
        func groups(_ slices: [FileSlice]) -> [String: FileSlice] {
            Dictionary(uniqueKeysWithValues: slices.map { ($0.partition + "/" + $0.fileId, $0) })
        }
        let before = groups(old), after = groups(new)
        let changed = Set(before.keys).union(after.keys).sorted().filter { before[$0]?.path != after[$0]?.path }
        func path(_ slice: FileSlice?) -> String? { slice.map { files.absolute($0.path) } }
        var comparison = KeyComparison()
        var commits = CommitTimes.Lookup(history.commits(after: start, until: end))
        for (i, group) in changed.enumerated() {
            try comparison.add(before: path(before[group]), after: path(after[group]), file: i) { commits.contains($0) }
        }
        let found = comparison.finish()
        let wanted = [Field("_hoodie_record_key", DataType.string)] + schema
        /// The rows at some places, by file and row number.
        func rows(_ places: [KeyComparison.Place], _ slices: [String: FileSlice]) throws -> [Int: [Int64: [Value]]] {
            try Dictionary(grouping: places, by: \.file).mapValues { places in
                let numbers = places.map(\.row).sorted()
                let parts = try FileRowPicker.rows(numbers, of: path(slices[changed[places[0].file]])!, wanted)
                let values = parts.flatMap { columns in (0..<columns[0].count).map { row in columns.map { $0.value(at: row) } } }
                return Dictionary(uniqueKeysWithValues: zip(numbers, values))
            }
        }
        let olds = try rows(found.deleted + found.written.compactMap(\.before), before), news = try rows(found.written.map(\.after), after)
        var changes: [TableDiff.Change] = []
        func add(_ before: KeyComparison.Place?, _ after: KeyComparison.Place?) {
            let a = before.map { olds[$0.file]![$0.row]! }, b = after.map { news[$0.file]![$0.row]! }
            guard a != b, case .string(let key)? = (a ?? b)?[0] else { return }
            changes.append(.init(key: key, before: a.map { Array($0.dropFirst()) }, after: b.map { Array($0.dropFirst()) }))
        }
        for place in found.deleted { add(place, nil) }
        for pair in found.written { add(pair.before, pair.after) }
        changes.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        return TableDiff(schema: schema, changes: changes)
    }

    /// A file group's live version as of an instant, with the range of its record keys.
    public struct FileDetails: Sendable, Hashable {
        public var file: BaseFile
        public var smallestKey: String?, largestKey: String?
        public var rowGroups: Int
        /// Versions of the group on the disk, this one included.
        public var versions: Int
    }

    /// - Parameters:
    ///   - time: an instant or a time in UTC; nil = now.
    ///   - partition: only files of this partition path, or of those below it; nil = all.
    public func fileDetails(asOf time: String? = nil, partition: String? = nil) throws -> [FileDetails] {
        let history = try TableHistory(files, properties)
        let slices = try history.slices(asOf: try time.map(Self.instant) ?? InstantTime.latest).filter { slice in
            partition.map { slice.partition == $0 || slice.partition.hasPrefix($0 + "/") } ?? true
        }
        var versions: [String: Int] = [:]
        for slice in try TableListing.baseFiles(files) where history.timeline.isCommitted(slice.instant) { versions[slice.partition + "/" + slice.fileId, default: 0] += 1 }
        return try slices.map { slice in
            let reader = try ParquetReader(path: files.absolute(slice.path))
            let file = BaseFile(path: slice.path, partition: slice.partition, fileId: slice.fileId, instant: slice.instant, rows: reader.rows,
                                bytes: files.size(slice.path))
            return FileDetails(file: file, smallestKey: reader.metadata("hoodie_min_record_key"), largestKey: reader.metadata("hoodie_max_record_key"),
                               rowGroups: reader.rowGroups.count, versions: versions[slice.partition + "/" + slice.fileId] ?? 1)
        }
    }

    private static func instant(_ text: String) throws -> String {
        switch text.lowercased() {
        case "earliest": return ""
        case "latest": return InstantTime.latest
        default:
            guard let time = InstantTime.complete(text) else {
                throw StreamError(.validate, "'\(text)' is no instant",
                                  fix: "write an instant such as '20260131120000000', a time in UTC such as '2026-01-31 12:00:00.000', 'earliest' or 'latest'")
            }
            return time
        }
    }
}
