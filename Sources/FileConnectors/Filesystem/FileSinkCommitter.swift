import Foundation
import StreamCore

/// Renames part files to the names that readers see, and says which partitions are complete.
final class FileSinkCommitter: SinkCommitter {
    private let sink: FilesystemSink
    private let host: StreamCore.Host
    private let tag: String
    /// Relative folders with files, whose partitions are not complete, and when their first file was seen.
    private var pending: [String: Int64]?

    init(_ sink: FilesystemSink, tag: String) {
        self.sink = sink
        self.tag = tag
        host = sink.host
    }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        try publish(committables.map { try FileCommittable($0) })
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        let parts = try committables.map { try FileCommittable($0) }
        try publish(parts)
        try removeLeftovers(keeping: Set(parts.compactMap { if case .growing(let note) = $0 { note } else { nil } }.map {
            $0.hiddenPath(in: sink.directory)
        }))
    }

    // MARK: Files

    private func publish(_ parts: [FileCommittable]) throws {
        let finished = parts.compactMap { if case .finished(let note) = $0 { note } else { nil } }
        for note in finished where note.aside != nil { try host.createDirectories(note.folderPath(in: sink.directory)) }
        for note in finished { try show(note) }
        let folders = Set(finished.map(\.folder)).sorted()
        for note in Set(finished.map { $0.folderPath(in: sink.directory) }).sorted() { try host.syncDirectory(note) }
        for note in finished { if let source = note.source { try host.remove((note.base ?? sink.directory) + "/" + source) } }
        guard sink.delivery == nil else { return }
        try sink.registering?(try folders.map { try sink.partition($0) })
        if let partitionCommit = sink.partitionCommit { try complete(partitionCommit, folders, parts) }
    }

    private func show(_ note: PartNote) throws {
        let hidden = note.hiddenPath(in: sink.directory), visible = note.path(in: sink.directory)
        guard let size = StreamCore.Host.size(of: hidden) else {
            // It was renamed before, by a commit that did not get to say so.
            if StreamCore.Host.exists(visible) { return }
            throw StreamError(.io, "part file \(visible), which a checkpoint holds, is missing, and so is \(hidden)",
                              fix: "put it back; an empty file will do if its rows were taken elsewhere")
        }
        guard size == note.length else {
            throw StreamError(.corrupt, "\(hidden) has \(size) bytes; the checkpoint counts on \(note.length)",
                              fix: "restore the file, or start from another checkpoint")
        }
        guard host.rename(hidden, visible) == 0 else { throw StreamCore.Host.failure("rename \(hidden) to", visible) }
    }

    /// Removes hidden files of this sink that no checkpoint counts on.
    func removeLeftovers(keeping kept: Set<String>) throws {
        guard sink.delivery == nil else {
            let directory = sink.directory + "/" + FilesystemDelivery.asidePrefix + tag
            for name in try StreamCore.Host.names(in: directory) where !kept.contains(directory + "/" + name) { try host.remove(directory + "/" + name) }
            return
        }
        func clear(_ directory: String, depth: Int) throws {
            for name in try StreamCore.Host.names(in: directory) {
                let path = directory + "/" + name
                if depth > 0 {
                    if name.contains("="), StreamCore.Host.isDirectory(path) { try clear(path, depth: depth - 1) }
                } else if name.hasPrefix(".part-\(tag)-"), name.hasSuffix(PartNote.suffix), !kept.contains(path) {
                    try host.remove(path)
                }
            }
        }
        try clear(sink.directory, depth: sink.partitionColumns.count)
    }

    // MARK: Partitions

    private var pendingPath: String { sink.directory + "/.partitions-" + tag }

    /// Adds folders to those that are pending, and marks those whose time has come.
    private func complete(_ commit: PartitionCommit, _ folders: [String], _ parts: [FileCommittable]) throws {
        let before = try pending ?? loadPending()
        var now = host.now()
        var after = before
        for folder in folders where after[folder] == nil { after[folder] = now }
        // Of each subtask the newest; one that has finished takes no part any more.
        var watermarks: [Int: Int64] = [:]
        for case .progress(let subtask, let watermark) in parts { watermarks[subtask] = max(watermarks[subtask] ?? .min, watermark) }
        let watermark = watermarks.values.min() ?? .min
        if watermark == .max { now = .max }
        for folder in after.keys.sorted() {
            let isDue = switch commit.trigger {
            case .processTime: now == .max || now - after[folder]! >= commit.delay
            case .partitionTime(let time):
                try watermark == .max || watermark > time.milliseconds(FilesystemSink.values(folder), folder: folder) + commit.delay
            }
            guard isDue else { continue }
            try mark(sink.directory + "/" + folder, commit.successFile)
            after[folder] = nil
        }
        if after != before { try savePending(after) }
        pending = after
    }

    private func mark(_ folder: String, _ name: String) throws {
        let path = folder + "/" + name
        let fd = host.open(path, O_WRONLY | O_CREAT, 0o644)
        guard fd >= 0 else { throw StreamCore.Host.failure("create", path) }
        _ = host.close(fd)
        try host.syncDirectory(folder)
    }

    private func loadPending() throws -> [String: Int64] {
        guard StreamCore.Host.exists(pendingPath) else { return [:] }
        let bytes = try StreamCore.Host.read(pendingPath)
        do {
            return try JSONDecoder().decode([String: Int64].self, from: Data(bytes))
        } catch {
            throw StreamError(.corrupt, "\(pendingPath), the list of partitions that are not complete, is damaged",
                              fix: "delete it, and create the success files of those partitions by hand")
        }
    }

    private func savePending(_ folders: [String: Int64]) throws {
        guard !folders.isEmpty else { return try host.remove(pendingPath) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try host.replaceFile(pendingPath, Array(try encoder.encode(folders)))
    }
}
