import StreamCore

extension HudiConnector {
    /// Options of Hudi's Flink connector that say how Flink and Hudi are to go about it.
    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] { Self.foreign }

    private static let foreign: [ForeignOption] = {
        let tasks = "the parallelism of the job counts", merging = "there are no log files to merge", index = "keys are found by an index of this engine's own"
        let sync = "there is no metastore; swiftwater table ddl prints the table's definition for other engines", memory = "buffers take what 'write.task.max.size' allows"
        let metadata = "files are found by the timeline, not by the metadata table", upkeep = "'clean.*' and 'clustering.*' say what is kept and rewritten"
        let payload = "rows are merged by ordering field or by commit, as a whole", mergeFix = "leave the option out, and write whole rows"
        let zone = "TIMESTAMP columns are stored as they are", zoneEffect = ForeignOption.Effect.refusedOutsideUTC(fix: "write 'true', or SET 'table.local-time-zone' = 'UTC'")
        let payloads: Set = [
            "org.apache.hudi.common.model.eventtimeavropayload", "org.apache.hudi.common.model.defaulthoodierecordpayload",
            "org.apache.hudi.common.model.overwritewithlatestavropayload",
        ]
        return [
            .init("write.tasks", tasks), .init("write.bucket_assign.tasks", tasks), .init("bucket_assign.tasks", tasks), .init("write.index_bootstrap.tasks", tasks),
            .init("read.tasks", tasks), .init("compaction.", merging), .init("hoodie.compact.", merging), .init("hoodie.compaction.", merging),
            .init("hoodie.log.", merging), .init("hoodie.logfile.", merging), .init("write.log_block.size", merging), .init("write.log.max.size", merging),
            .init("write.merge.max_memory", merging), .init("read.streaming.skip_compaction", merging),
            .init("read.streaming.skip_clustering", "rewritten files give no changes", usual: ["true"]),
            .init("changelog.enabled", "each commit keeps the newest row of a key, and not the changes between",
                  .refused(fix: "leave it out, or write 'false'; 'read.streaming.changelog' = 'all' reads the changes from commit to commit"), usual: ["false"]),
            .init("index.type", index), .init("index.bootstrap.enabled", index), .init("index.state.ttl", index), .init("index.partition.regex", index),
            .init("hoodie.bucket.", index), .init("hoodie.index.", index), .init("hoodie.bloom.", index), .init("hoodie.simple.", index),
            .init("hive_sync.", sync), .init("hoodie.datasource.hive_sync.", sync), .init("hoodie.datasource.meta.sync.", sync), .init("hoodie.meta.sync.", sync),
            .init("metadata.enabled", metadata), .init("metadata.", metadata), .init("hoodie.metadata.", metadata),
            .init("read.data.skipping.enabled", "files are skipped by their statistics whenever a condition allows it"),
            .init("read.utc-timezone", zone, zoneEffect, usual: ["true"]), .init("write.utc-timezone", zone, zoneEffect, usual: ["true"]),
            .init("write.batch.size", memory), .init("write.buffer.", memory), .init("write.sort.memory", memory), .init("write.memory.segment.page.size", memory),
            .init("write.rate.limit", "sources are read as fast as commits take rows"), .init("write.retry.", "a commit that fails is made again by the job's restart"),
            .init("write.commit.ack.timeout", "a commit belongs to its checkpoint"), .init("write.bulk_insert.", "rows of an insert fill files in their order"),
            .init("write.ignore.failed", "a row that cannot be written ends the job", .refused(fix: "write WHERE conditions that leave such rows out, or set the option to 'false'"), usual: ["false"]),
            .init("write.partition.format", "partition columns hold what is written", .refused(fix: "use 'hoodie.keygen.timebased.output.dateformat' with the timestamp-based key generator")),
            .init("archive.", upkeep), .init("clustering.", upkeep), .init("hoodie.clustering.", upkeep), .init("hoodie.archive.", upkeep), .init("hoodie.clean.", upkeep),
            .init("hoodie.cleaner.", upkeep), .init("hoodie.keep.", upkeep), .init("clean.", upkeep), .init("hoodie.table.services.", upkeep),
            .init("hoodie.memory.", memory), .init("hoodie.embed.", "there is no timeline server"), .init("hoodie.embedded.", "there is no timeline server"),
            .init("hoodie.filesystem.", "commits are seen when they are complete"), .init("hoodie.client.", "a commit belongs to its checkpoint"),
            .init("hoodie.upsert.", tasks), .init("hoodie.insert.", tasks), .init("hoodie.bulkinsert.", tasks), .init("hoodie.parquet.", "files are laid out in a way of their own"),
            .init("hoodie.write.markers.", "markers are files"), .init("hoodie.metrics.", "metrics are served under Flink's names by swiftwater serve"),
            .init("hoodie.write.lock.", "a table has one writer"), .init("hoodie.schema.on.read.enable", "columns that come and widen are always read"),
            .init("hoodie.datasource.query.type", "the options 'read.*' say what is read", .refused(fix: "write 'read.start-commit', or 'read.streaming.enabled' = 'true'"), usual: ["snapshot"]),
            .init("hoodie.write.concurrency.mode", "a table has one writer", .refused(fix: "write one table from one job, and leave the option out"), usual: ["single_writer"]),
            .init("payload.class", payload, .refused(fix: mergeFix), usual: payloads), .init("write.payload.class", payload, .refused(fix: mergeFix), usual: payloads),
            .init("hoodie.datasource.write.payload.class", payload, .refused(fix: mergeFix), usual: payloads),
            .init("record.merger.impls", payload, .refused(fix: mergeFix)), .init("record.merger.strategy", payload, .refused(fix: mergeFix)),
            .init("cdc.enabled", "changes are read from the versions of files", usual: ["false"]), .init("cdc.supplemental.logging.mode", "changes are read from the versions of files"),
        ]
    }()
}
