import StreamCore
import StreamSQL

/// `filesystem`: Flink's connector of the same name.
struct FilesystemTranslation: TableTranslation {
    let connector = "filesystem"

    /// Flink reads and writes these in files.
    private static let inFiles: Set<String> = ["json", "csv", "raw", "parquet", "debezium-json", "canal-json", "maxwell-json"]

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        path(&to)
        let header = HeaderFiles(to)
        to.brokenRecords()
        if let changes = RawChanges(to, prefix: "") {
            changes.apply(&to)
        } else if let header {
            RawChanges.build(header.shape(&to), "", &to)
        } else {
            to.format()
        }

        to.keep("source.monitor-interval", "source.path.regex-pattern", "partition.default-name")
        to.drop("source.split-size", because: "Flink cuts files of line formats into splits by itself")
        to.drop("source.new-files-on-restore", when: ["false"], reason: "Flink lists the files of a bounded read once, and a restored job does not look for more",
                instead: "set 'source.monitor-interval', with which new files are read as they come")
        to.drop("scan.parallelism", because: "the files are read with the job's parallelism: 'parallelism.default'")

        to.keep("sink.parallelism", "sink.shuffle-by-partition.enable", "auto-compaction", "compaction.file-size")
        to.keep("sink.rolling-policy.file-size", "sink.rolling-policy.rollover-interval", "sink.rolling-policy.check-interval")
        to.keep("sink.rolling-policy.inactivity-interval")
        to.drop("sink.rolling-policy.on-checkpoint", because: "Flink ends Parquet files with each checkpoint, and files of other formats by size and age alone")
        to.keep("sink.partition-commit.trigger", "sink.partition-commit.delay", "sink.partition-commit.policy.kind", "sink.partition-commit.success-file.name",
                "sink.partition-commit.watermark-time-zone", "partition.time-extractor.kind", "partition.time-extractor.class", "partition.time-extractor.timestamp-pattern",
                "partition.time-extractor.timestamp-formatter")
        if table.isWritten, to.value("format")?.trimmed.lowercased() != "parquet" {
            to.note("rows are seen once their file ends, which in Flink is by size and age ('sink.rolling-policy.rollover-interval', 30 min), and not with each commit")
        }
        if table.isWritten, table.takesChanges, let format = to.value("format")?.trimmed.lowercased(), !["debezium-json", "canal-json", "maxwell-json"].contains(format) {
            to.refuse("format", reason: "rows of the table are updated and deleted, which format '\(format)' has no form for", instead: "write 'debezium-json'")
        }
        for key in to.rest("sink.delivery.") {
            to.refuse(key, reason: "delivery streams are written by this engine alone", instead: "write with PARTITIONED BY and 'sink.rolling-policy.*', or send the rows to Amazon Data Firehose with Flink's connector 'firehose'")
        }
        for key in to.rest("lookup.") {
            to.refuse(key, reason: "Flink looks no rows up in files", instead: "keep the rows in a database and use Flink's connector 'jdbc', or join with a table that is read as a stream")
        }
        to.columns(readable: ["file.path": "file.path", "file.name": "file.name", "file.size": "file.size", "file.modification-time": "file.modification-time", "file": "file.name"]) { key in
            ["error.offset": BrokenRecords.instead, "position": "order the rows by 'file.name' and by a value in them"][key]
                ?? "make the value part of the records: Flink's formats tell metadata only in messages"
        }
        return to.finish(&findings)
    }

    private func path(_ to: inout OptionTranslation) {
        guard let text = to.value("path") else { return }
        if text.contains(where: { "*?[{".contains($0) }) {
            return to.refuse("path", reason: "Flink reads folders and files, and no patterns", instead: "name the folder, and the files in it with 'source.path.regex-pattern'")
        }
        if let there = to.path("path") {
            to.set("path", there)
            to.need(FlinkJars.fileSystem(there, to.version))
        }
    }
}
