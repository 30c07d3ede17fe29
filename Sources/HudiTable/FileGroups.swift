import LakeTable
import StreamCore

/// Names a file group. Ids are unique in a table; the partition goes with them in all metadata.
struct FileGroupKey: Hashable, Sendable {
    var partition: String
    var fileId: String
}

extension FileSlice {
    /// The parts of `<fileId>_<writeToken>_<instant>.parquet`; nil for other names.
    init?(partition: String, name: String) {
        let text = name.utf8
        guard text.count > 8, text.suffix(8).elementsEqual(".parquet".utf8), let first = text.firstIndex(of: 0x5F), first > text.startIndex else { return nil }
        let end = text.index(text.endIndex, offsetBy: -8)
        guard let second = text[text.index(after: first)...].firstIndex(of: 0x5F) else { return nil }
        let instant = name[text.index(after: second)..<end]
        guard InstantTime.isTime(instant.utf8) else { return nil }
        self.init(partition: partition, fileId: String(name[..<first]), name: name, instant: String(instant))
    }
}

/// What lies in a table's folders, committed or not.
enum TableListing {
    /// All base files, by partition and name.
    ///
    /// - Parameter pruning: folders that it leaves out are not read.
    static func baseFiles(_ files: TableFiles, _ pruning: PartitionPruning? = nil) throws -> [FileSlice] {
        var out: [FileSlice] = []
        try forEachFolder(files, pruning, sizes: false) { slices in out += slices.map(\.slice).sorted { $0.name < $1.name } }
        return out
    }

    /// Calls `body` with the base files of each folder that has some, in no order; folders come in theirs.
    /// - Parameter sizes: also ask for the files' sizes, which are 0 else.
    static func forEachFolder(_ files: TableFiles, _ pruning: PartitionPruning?, sizes: Bool,
                              _ body: ([(slice: FileSlice, bytes: Int64)]) throws -> Void) throws {
        try walk(files, "", pruning, sizes, body)
    }

    private static func walk(_ files: TableFiles, _ folder: String, _ pruning: PartitionPruning?, _ sizes: Bool,
                             _ body: ([(slice: FileSlice, bytes: Int64)]) throws -> Void) throws {
        var slices: [(slice: FileSlice, bytes: Int64)] = [], below: [String] = []
        for entry in try files.entries(in: folder, sizes: sizes) where entry.name.utf8.first != 0x2E {
            if entry.isFolder {
                below.append(folder.isEmpty ? entry.name : "\(folder)/\(entry.name)")
            } else if let slice = FileSlice(partition: folder, name: entry.name) {
                slices.append((slice, entry.size))
            }
        }
        if !slices.isEmpty { try body(slices) }
        for path in below.sorted() where pruning?.mayMatch(path) ?? true { try walk(files, path, pruning, sizes, body) }
    }
}

/// A version of a file group that is not live any more.
struct RetiredVersion: Sendable, Hashable {
    var slice: FileSlice
    /// The write that put another version in its place, or replaced its group.
    var by: String
    /// It was the last version of its group.
    var isReplaced = false

    /// Tells the live versions from the others.
    /// - Parameter committed: all committed versions of some file groups.
    /// - Returns: the live ones by file id.
    static func split(_ committed: [(slice: FileSlice, bytes: Int64)], replaced: [FileGroupKey: String])
        -> (live: [(slice: FileSlice, bytes: Int64)], retired: [RetiredVersion]) {
        let versions = committed.sorted { $0.slice.fileId == $1.slice.fileId ? $0.slice.instant < $1.slice.instant : $0.slice.fileId < $1.slice.fileId }
        var live: [(slice: FileSlice, bytes: Int64)] = [], retired: [RetiredVersion] = []
        live.reserveCapacity(versions.count)
        for (i, version) in versions.enumerated() {
            let slice = version.slice
            if i + 1 < versions.count, versions[i + 1].slice.fileId == slice.fileId {
                retired.append(RetiredVersion(slice: slice, by: versions[i + 1].slice.instant))
            } else if !replaced.isEmpty, let by = replaced[FileGroupKey(partition: slice.partition, fileId: slice.fileId)] {
                retired.append(RetiredVersion(slice: slice, by: by, isReplaced: true))
            } else {
                live.append(version)
            }
        }
        return (live, retired)
    }
}

/// A table as of one moment: its timeline, its columns and the live version of each file group.
struct TableSnapshot: Sendable {
    let timeline: Timeline
    /// The newest completed write's columns, as stored; those of the creation when nothing was committed yet.
    let schema: Schema?
    /// By partition and file id.
    let slices: [FileSlice]
    /// Of the slices, when they were asked for.
    let sizes: [Int64]
    /// Committed versions that are on the disk and not live.
    let retired: [RetiredVersion]

    /// - Parameters:
    ///   - pruning: slices of partitions that it leaves out are not among them.
    ///   - timeline: as it is now, when the caller has it.
    static func load(_ files: TableFiles, _ properties: TableProperties, _ pruning: PartitionPruning? = nil, timeline: Timeline? = nil,
                     sizes wantsSizes: Bool = false) throws -> TableSnapshot {
        let timeline = try timeline ?? Timeline.load(files, version: properties.version)
        let replaced = try timeline.replaced(in: files)
        var slices: [FileSlice] = [], sizes: [Int64] = [], retired: [RetiredVersion] = []
        try TableListing.forEachFolder(files, pruning, sizes: wantsSizes) { found in
            let (live, old) = RetiredVersion.split(found.filter { timeline.isCommitted($0.slice.instant) }, replaced: replaced)
            for (slice, bytes) in live {
                slices.append(slice)
                if wantsSizes { sizes.append(bytes) }
            }
            retired += old
        }
        return TableSnapshot(timeline: timeline, schema: try schema(timeline, files, properties), slices: slices, sizes: sizes, retired: retired)
    }

    /// The newest columns, as stored, without a look at the files.
    static func schema(_ timeline: Timeline, _ files: TableFiles, _ properties: TableProperties) throws -> Schema? {
        try timeline.schema(in: files, table: properties.name) ?? properties.createSchema.map { try AvroSchema.parse($0, table: properties.name) }
    }
}
