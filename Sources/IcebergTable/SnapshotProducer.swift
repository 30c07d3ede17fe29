import LakeTable
import StreamCore

/// How a table's metadata is kept small.
struct Upkeep: Sendable {
    /// Manifests below the target size are merged when there are this many.
    var minManifestsToMerge = 100
    var manifestTargetBytes: Int64 = 8 << 20
    var mergesManifests = true
    /// Snapshots older than this are removed, with what only they need; nil = none.
    var maxSnapshotAge: Int64?
    var minSnapshotsToKeep = 1
    /// Metadata files that the table remembers.
    var previousVersions = 100
    /// Those that it forgets are deleted.
    var deletesOldMetadata = false
}

/// Makes the next state of a table from the current one and what a commit did.
struct SnapshotProducer {
    let files: TableFiles
    let store: ManifestStore
    let location: TableLocation
    let upkeep: Upkeep
    let metadata: TableMetadata
    let prepared: PreparedSnapshot

    struct Result {
        var metadata: TableMetadata
        /// Files that nobody needs once the new metadata is there, relative to the table.
        var garbage: [String]
    }

    /// Writes manifests and the manifest list. Nothing is visible yet.
    /// - Parameter metadataFile: the path of the newest metadata file.
    func run(metadataFile: String) throws -> Result {
        var next = metadata
        let schema = try newSchema(&next)
        let tuple = try PartitionTuple(metadata.spec, schema)
        guard metadata.defaultSpecID == prepared.specID else {
            throw StreamError(.conflict, "the partitions of the Iceberg table \(location.uri) were changed by another engine while this job was writing",
                              fix: "start the job again from the checkpoint before")
        }
        let parent = metadata.currentSnapshot, sequence = metadata.lastSequence + 1
        var (manifests, entries) = try carriedOver(parent)
        let added = try prepared.added.map { try dataFile($0, schema, tuple) }
        for file in added { entries.append(ManifestEntry(status: .added, snapshot: prepared.id, sequence: nil, fileSequence: nil, file: file)) }
        try merge(&manifests, &entries)
        manifests = try write(entries, schema, tuple, sequence: sequence) + manifests
        let list = "\(MetadataFolder.folder)/snap-\(prepared.id)-1-\(files.host.uuid()).avro"
        try files.publish(list, try ManifestCoding.listBytes(manifests, snapshot: prepared.id, parent: parent?.id, sequence: sequence), flushingFolder: false)
        let now = max(files.host.now(), metadata.lastUpdated + 1)
        let snapshot = Snapshot(id: prepared.id, parent: parent?.id, sequence: sequence, time: now, manifestList: location.absolute(list), schemaID: schema.id,
                                summary: try summary(parent, entries, manifests))
        next.snapshots.append(snapshot)
        next.snapshotLog.append((now, snapshot.id))
        next.metadataLog.append((metadata.lastUpdated, location.absolute(metadataFile)))
        (next.currentSnapshotID, next.lastSequence, next.lastUpdated) = (snapshot.id, sequence, now)
        var garbage = try expire(&next)
        let forgotten = next.metadataLog.dropLast(max(1, upkeep.previousVersions))
        if upkeep.deletesOldMetadata { garbage += forgotten.compactMap { try? location.relative($0.file) } }
        next.metadataLog.removeFirst(forgotten.count)
        return Result(metadata: next, garbage: garbage)
    }

    // MARK: Columns

    private func newSchema(_ next: inout TableMetadata) throws -> IcebergSchema {
        let wanted = prepared.schema.fields
        if wanted == metadata.schema.fields { return metadata.schema }
        if let based = metadata.schemas.first(where: { $0.id == prepared.schema.id }), based.fields == wanted { return metadata.schema }
        let goesOn = metadata.schema.fields.allSatisfy { old in
            wanted.contains { $0.id == old.id && $0.name == old.name && ($0.type == old.type || IcebergTypes.promotes(old.type.dataType, $0.type.dataType)) }
        }
        let known = Set(metadata.schema.allTypes.keys)
        let isFree = IcebergSchema(id: 0, fields: wanted, identifierIDs: []).allTypes.keys.allSatisfy { known.contains($0) || $0 > metadata.lastColumnID }
        guard goesOn, isFree else {
            throw StreamError(.conflict, "the columns of the Iceberg table \(location.uri) were changed by another engine while this job changed them too",
                              fix: "start the job again from the checkpoint before")
        }
        if let same = metadata.schemas.first(where: { $0.fields == wanted && $0.identifierIDs == prepared.schema.identifierIDs }) {
            next.currentSchemaID = same.id
            return same
        }
        let schema = IcebergSchema(id: metadata.schemas.map(\.id).max()! + 1, fields: wanted, identifierIDs: prepared.schema.identifierIDs)
        next.schemas.append(schema)
        next.currentSchemaID = schema.id
        next.lastColumnID = max(next.lastColumnID, prepared.lastColumnID)
        return schema
    }

    // MARK: Files

    private func dataFile(_ added: PreparedSnapshot.Added, _ schema: IcebergSchema, _ tuple: PartitionTuple) throws -> DataFile {
        let reader = try ParquetReader(path: files.absolute(added.path))
        guard reader.rows == added.rows else {
            throw StreamError(.corrupt, "\(files.absolute(added.path)) has \(reader.rows) rows instead of \(added.rows)", fix: "restore from an older checkpoint")
        }
        let metrics = try FileMetrics(reader, types: schema.allTypes)
        return DataFile(path: location.absolute(added.path), partition: try tuple.tuple(added.partition), rows: added.rows, bytes: added.bytes,
                        columnSizes: metrics.columnSizes, valueCounts: metrics.valueCounts, nullCounts: metrics.nullCounts, lower: metrics.lower,
                        upper: metrics.upper, sortOrder: 0)
    }

    /// Manifests that stay as they are, and the entries of those that files were removed from.
    private func carriedOver(_ parent: Snapshot?) throws -> ([ManifestFile], [ManifestEntry]) {
        guard let parent else { return ([], []) }
        var removed = Set(prepared.removed), manifests: [ManifestFile] = [], entries: [ManifestEntry] = []
        for manifest in try store.list(parent, location) where manifest.mayHaveLiveFiles {
            if removed.isEmpty, manifest.content == 0 {
                manifests.append(manifest)
                continue
            }
            let live = try store.entries(manifest, metadata, location).filter(\.isLive)
            if manifest.content != 0, let first = live.first { throw ManifestStore.deletes(metadata, first.file.path) }
            let gone = try live.map { removed.remove(try location.relative($0.file.path)) != nil }
            guard gone.contains(true) else {
                if !live.isEmpty { manifests.append(manifest) }
                continue
            }
            for (var entry, isGone) in zip(live, gone) {
                entry.status = isGone ? .deleted : .existing
                if isGone { entry.snapshot = prepared.id }
                entries.append(entry)
            }
        }
        if let path = removed.min() {
            throw StreamError(.conflict, "commit \(prepared.id) of the Iceberg table \(location.uri) replaces \(path), which another engine removed",
                              fix: "run one writer per table, and start the job again from the checkpoint before")
        }
        return (manifests, entries)
    }

    /// Takes small manifests in when there are many.
    private func merge(_ manifests: inout [ManifestFile], _ entries: inout [ManifestEntry]) throws {
        let small = manifests.filter { $0.specID == metadata.defaultSpecID && $0.length < upkeep.manifestTargetBytes }
        guard upkeep.mergesManifests, small.count + (entries.isEmpty ? 0 : 1) >= upkeep.minManifestsToMerge else { return }
        let paths = Set(small.map(\.path))
        manifests.removeAll { paths.contains($0.path) }
        for manifest in small {
            for var entry in try store.entries(manifest, metadata, location) where entry.isLive {
                entry.status = .existing
                entries.append(entry)
            }
        }
    }

    private func write(_ entries: [ManifestEntry], _ schema: IcebergSchema, _ tuple: PartitionTuple, sequence: Int64) throws -> [ManifestFile] {
        // About what an entry with bounds takes when compressed; the limit is a wish, not a bound.
        let bytesPerEntry = Int64(40 + 12 * schema.fields.count), limit = Int(max(1, upkeep.manifestTargetBytes / bytesPerEntry))
        var out: [ManifestFile] = [], start = 0
        while start < entries.count {
            let part = Array(entries[start..<min(start + limit, entries.count)])
            start += limit
            let bytes = try ManifestCoding.entryBytes(part, schema: schema, spec: metadata.spec, partition: tuple.avroFields)
            let path = "\(MetadataFolder.folder)/\(prepared.id)-m\(out.count)-\(files.host.uuid()).avro"
            try files.publish(path, bytes, flushingFolder: false)
            func count(_ status: ManifestEntry.Status) -> (files: Int64, rows: Int64) {
                part.reduce((0, 0)) { $1.status == status ? ($0.0 + 1, $0.1 + $1.file.rows) : $0 }
            }
            let (added, existing, deleted) = (count(.added), count(.existing), count(.deleted))
            out.append(ManifestFile(
                path: location.absolute(path), length: Int64(bytes.count), specID: metadata.defaultSpecID, content: 0, sequence: sequence,
                minSequence: part.filter(\.isLive).map { $0.sequence ?? sequence }.min() ?? sequence, addedSnapshot: prepared.id, addedFiles: added.files,
                existingFiles: existing.files, deletedFiles: deleted.files, addedRows: added.rows, existingRows: existing.rows, deletedRows: deleted.rows,
                partitions: tuple.summaries(part.map(\.file))))
        }
        return out
    }

    private func summary(_ parent: Snapshot?, _ entries: [ManifestEntry], _ manifests: [ManifestFile]) throws -> [JSON.Member] {
        let added = entries.filter { $0.status == .added }.map(\.file), removed = entries.filter { $0.status == .deleted }.map(\.file)
        func sum(_ files: [DataFile], _ value: (DataFile) -> Int64) -> Int64 { files.reduce(0) { $0 + value($1) } }
        var out: [(String, String)] = [
            ("operation", prepared.isRearrangement ? "replace" : removed.isEmpty ? "append" : added.isEmpty ? "delete" : "overwrite"), ("engine-name", "swiftwater"),
            (Snapshot.jobKey, prepared.job), (Snapshot.checkpointKey, "\(prepared.checkpoint)"),
            ("added-data-files", "\(added.count)"), ("added-records", "\(sum(added, \.rows))"), ("added-files-size", "\(sum(added, \.bytes))"),
        ]
        if !removed.isEmpty {
            out += [("deleted-data-files", "\(removed.count)"), ("deleted-records", "\(sum(removed, \.rows))"), ("removed-files-size", "\(sum(removed, \.bytes))"),
                    ("swiftwater.updated-rows", "\(prepared.updated)"), ("swiftwater.deleted-rows", "\(prepared.deleted)")]
        }
        out.append(("changed-partition-count", "\(Set((added + removed).map(\.partition)).count)"))
        if manifests.allSatisfy({ $0.addedFiles != nil && $0.existingFiles != nil && $0.addedRows != nil && $0.existingRows != nil }) {
            out += [("total-data-files", "\(manifests.reduce(0) { $0 + $1.addedFiles! + $1.existingFiles! })"),
                    ("total-records", "\(manifests.reduce(0) { $0 + $1.addedRows! + $1.existingRows! })")]
        }
        if let before = parent == nil ? 0 : parent!.summary("total-files-size").flatMap({ Int64($0) }) {
            out.append(("total-files-size", "\(before + sum(added, \.bytes) - sum(removed, \.bytes))"))
        }
        out += [("total-delete-files", "0"), ("total-position-deletes", "0"), ("total-equality-deletes", "0")]
        return out.map { .init($0.0, .string($0.1)) }
    }

    // MARK: Old snapshots

    /// Removes snapshots that are too old from the metadata.
    /// - Returns: the files that only they need.
    private func expire(_ next: inout TableMetadata) throws -> [String] {
        guard let maxAge = upkeep.maxSnapshotAge else { return [] }
        var keep: Set<Int64> = []
        let history = next.ancestors(of: next.currentSnapshotID)
        for (i, snapshot) in history.enumerated() where i < max(1, upkeep.minSnapshotsToKeep) || snapshot.time > next.lastUpdated - maxAge { keep.insert(snapshot.id) }
        for ref in next.otherRefs { keep.formUnion(ref.isBranch ? next.ancestors(of: ref.id).map(\.id) : [ref.id]) }
        let expired = next.snapshots.filter { !keep.contains($0.id) }
        guard !expired.isEmpty else { return [] }
        next.snapshots.removeAll { !keep.contains($0.id) }
        // Time travel must not find a gap: the log begins behind the last snapshot that is gone.
        if let last = next.snapshotLog.lastIndex(where: { !keep.contains($0.id) }) { next.snapshotLog.removeFirst(last + 1) }
        var needed: Set<String> = [], manifests: [ManifestFile] = []
        for snapshot in next.snapshots {
            for manifest in try store.list(snapshot, location) where needed.insert(manifest.path).inserted { manifests.append(manifest) }
        }
        var garbage: [String] = [], candidates: Set<String> = [], seen: Set<String> = []
        for snapshot in expired {
            garbage.append(try location.relative(snapshot.manifestList))
            for manifest in try store.list(snapshot, location) where !needed.contains(manifest.path) && seen.insert(manifest.path).inserted {
                garbage.append(try location.relative(manifest.path))
                for entry in try store.entries(manifest, metadata, location) where entry.isLive { candidates.insert(entry.file.path) }
            }
        }
        for manifest in manifests where !candidates.isEmpty {
            for entry in try store.entries(manifest, metadata, location) where entry.isLive { candidates.remove(entry.file.path) }
        }
        return try garbage + candidates.sorted().map { try location.relative($0) }
    }
}
