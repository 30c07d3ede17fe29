import LakeTable
import StreamCore
import Synchronization

/// Reads manifest lists and manifests, which never change, and keeps some of them in memory.
final class ManifestStore: Sendable {
    /// More entries than this are not kept.
    private static let keptEntries = 50_000

    private struct Kept {
        var lists: [String: [ManifestFile]] = [:]
        var manifests: [String: [ManifestEntry]] = [:]
        var entries = 0
    }

    let files: TableFiles
    private let kept = Mutex(Kept())

    init(_ files: TableFiles) { self.files = files }

    /// The manifests of a snapshot.
    func list(_ snapshot: Snapshot, _ location: TableLocation) throws -> [ManifestFile] {
        if let found = kept.withLock({ $0.lists[snapshot.manifestList] }) { return found }
        let path = try location.relative(snapshot.manifestList)
        let list = try ManifestCoding.list(try files.read(path), file: files.absolute(path))
        kept.withLock { kept in
            if kept.lists.count > 1_000 { kept.lists = [:] }
            kept.lists[snapshot.manifestList] = list
        }
        return list
    }

    /// The entries of a manifest, those of files that were deleted too.
    func entries(_ manifest: ManifestFile, _ metadata: TableMetadata, _ location: TableLocation) throws -> [ManifestEntry] {
        if let found = kept.withLock({ $0.manifests[manifest.path] }) { return found }
        guard let spec = metadata.specs.first(where: { $0.id == manifest.specID }) else {
            throw StreamError(.corrupt, "\(metadata.file): manifest \(manifest.path) has partition spec \(manifest.specID), which the table does not have", fix: "restore the file")
        }
        let path = try location.relative(manifest.path)
        let entries = try ManifestCoding.entries(try files.read(path), manifest, spec: spec, file: files.absolute(path))
        kept.withLock { kept in
            if kept.entries + entries.count > Self.keptEntries { (kept.manifests, kept.entries) = ([:], 0) }
            kept.manifests[manifest.path] = entries
            kept.entries += entries.count
        }
        return entries
    }

    /// The live data files of a snapshot, with the partition spec of each.
    /// - Throws: `.validate` when the table has row-level deletes.
    func liveFiles(_ snapshot: Snapshot, _ metadata: TableMetadata, _ location: TableLocation,
                   where wanted: (ManifestFile) -> Bool = { _ in true }) throws -> [(entry: ManifestEntry, specID: Int)] {
        var out: [(ManifestEntry, Int)] = []
        for manifest in try list(snapshot, location) where manifest.mayHaveLiveFiles {
            let entries = manifest.content == 0 && !wanted(manifest) ? [] : try entries(manifest, metadata, location).filter(\.isLive)
            if manifest.content != 0, !entries.isEmpty { throw Self.deletes(metadata, entries[0].file.path) }
            for entry in entries { out.append((entry, manifest.specID)) }
        }
        return out
    }

    static func deletes(_ metadata: TableMetadata, _ path: String) -> StreamError {
        StreamError(.validate, "the Iceberg table at \(metadata.location) has row-level deletes (\(path)), which are not supported here",
                    fix: "rewrite its data files (in Spark: CALL system.rewrite_data_files with 'delete-file-threshold' = '1'), and set its write modes to copy-on-write")
    }

    /// Everything that the snapshots of a table need: manifest lists, manifests and live files, relative to the table.
    func reachable(_ metadata: TableMetadata, _ location: TableLocation) throws -> Set<String> {
        var out: Set<String> = [], seen: Set<String> = []
        for snapshot in metadata.snapshots {
            out.insert(try location.relative(snapshot.manifestList))
            for manifest in try list(snapshot, location) where seen.insert(manifest.path).inserted {
                out.insert(try location.relative(manifest.path))
                for entry in try entries(manifest, metadata, location) where entry.isLive { out.insert(try location.relative(entry.file.path)) }
            }
        }
        for entry in metadata.metadataLog { if let path = try? location.relative(entry.file) { out.insert(path) } }
        return out
    }
}
