import StreamCore

/// Writes the rows of each checkpoint as one text file per writer.
///
///     <directory>/<tag>-<unique>          committed
///     <directory>/.<tag>-<unique>         prepared
struct LinesSink: TableSink {
    let directory: String
    let host: Host

    var commitInterval: Duration? { .seconds(10) }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try host.createDirectories(directory)
        return LinesWriter(sink: self, tag: context.tag)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        let committer = LinesCommitter(sink: self, tag: context.tag)
        // A first try of this job that ended before its first checkpoint is not gone on from.
        if context.isRecoverable, context.restoredCheckpoint == nil { try committer.removePrepared() }
        return committer
    }
}

final class LinesWriter: SinkWriter {
    private let sink: LinesSink
    private let tag: String
    private var lines = ""

    init(sink: LinesSink, tag: String) { (self.sink, self.tag) = (sink, tag) }

    func write(_ batch: Batch) throws {
        for row in batch.rows() { lines += row.map { "\($0)" }.joined(separator: " ") + "\n" }
    }

    /// On disk under a hidden name when it returns: `replaceFile` flushes the file and the directory.
    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        guard !lines.isEmpty else { return [] }
        let name = "\(tag)-\(sink.host.uuid())"
        try sink.host.replaceFile(sink.directory + "/." + name, Array(lines.utf8))
        lines = ""
        return [Committable(Array(name.utf8))]
    }

    /// What was prepared stays; what was only written is in memory here and goes with it.
    func abort() { lines = "" }
}

final class LinesCommitter: SinkCommitter {
    private let sink: LinesSink
    private let tag: String

    init(sink: LinesSink, tag: String) { (self.sink, self.tag) = (sink, tag) }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        for committable in committables {
            let name = String(decoding: committable.bytes, as: UTF8.self)
            let hidden = sink.directory + "/." + name, visible = sink.directory + "/" + name
            // The same committable may come again: then it is there already.
            if !Host.exists(hidden), Host.exists(visible) { continue }
            guard sink.host.rename(hidden, visible) == 0 else { throw Host.failure("rename \(hidden) to", visible) }
        }
        // Also when nothing was renamed now: the crash may have come before this.
        try sink.host.syncDirectory(sink.directory)
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        try commit(checkpoint, committables)
        try removePrepared()
    }

    /// Only files of this sink of this job: others may be at work in the same directory.
    func removePrepared() throws {
        for name in try Host.names(in: sink.directory) where name.hasPrefix("." + tag + "-") {
            try sink.host.remove(sink.directory + "/" + name)
        }
    }
}
