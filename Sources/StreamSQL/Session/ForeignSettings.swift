import StreamCore

/// What settings of Flink 1.11 to 2.3 mean that nothing here reads.
enum ForeignSettings {
    enum Meaning: Equatable {
        /// It says what is done anyway.
        case usual
        /// It does nothing: why.
        case idle(String)
        /// It would make another script of it.
        case refused(String, fix: String)
        /// A setting that is read is nearly called so.
        case misspelt(String)
    }

    static func newestName(of key: String) -> String { newerNames[key] ?? key }

    /// Older names of settings that are read here, and what they are called now.
    private static let newerNames: [String: String] = [
        "execution.type": "execution.runtime-mode", "execution.parallelism": "parallelism.default", "execution.max-parallelism": "pipeline.max-parallelism",
        "execution.result-mode": "sql-client.execution.result-mode", "execution.min-idle-state-retention": "table.exec.state.ttl",
        "execution.checkpointing.alignment-timeout": "execution.checkpointing.aligned-checkpoint-timeout",
        "execution.checkpointing.unaligned": "execution.checkpointing.unaligned.enabled",
        "execution.restart-strategy.type": "restart-strategy.type", "execution.restart-strategy.attempts": "restart-strategy.fixed-delay.attempts",
        "execution.restart-strategy.delay": "restart-strategy.fixed-delay.delay",
        "execution.restart-strategy.failure-rate-interval": "restart-strategy.failure-rate.failure-rate-interval",
        "execution.restart-strategy.max-failures-per-interval": "restart-strategy.failure-rate.max-failures-per-interval",
        "execution.savepoint.path": "execution.state-recovery.path", "execution.savepoint.ignore-unclaimed-state": "execution.state-recovery.ignore-unclaimed-state",
        "restart-strategy": "restart-strategy.type", "state.backend": "state.backend.type", "state.backend.fs.checkpointdir": "execution.checkpointing.dir",
        "state.checkpoints.dir": "execution.checkpointing.dir", "state.checkpoints.num-retained": "execution.checkpointing.num-retained",
        "state.savepoints.dir": "execution.checkpointing.savepoint-dir", "savepoints.state.backend.fs.dir": "execution.checkpointing.savepoint-dir",
    ]

    /// Settings with values that are taken, and others that are not: by the newest name.
    static func byValue(_ key: String, _ value: String) -> Meaning? {
        let word = value.lowercased()
        switch key {
        case "execution.runtime-mode" where word == "batch":
            return .idle("input with an end is read to it in streaming mode; queries give the same final rows, and sinks the changes that lead to them")
        case "execution.checkpointing.mode" where word == "at_least_once": return .idle("checkpoints are exactly once, which is more")
        case "execution.checkpointing.dir" where isRemote(word), "execution.checkpointing.savepoint-dir" where isRemote(word):
            return .idle("there is no file system for \(value.prefix { $0 != ":" })://; checkpoints and savepoints are kept on this machine, in the data directory")
        case "sql-client.execution.result-mode" where ["table", "changelog"].contains(word): return .idle("rows are shown as they come")
        case "table.sql-dialect":
            return word == "default" ? .usual : .refused("statements are read in Flink's own dialect", fix: "write them in Flink's dialect, and leave the setting out")
        case "table.exec.legacy-cast-behaviour":
            return ["disabled", "false"].contains(word) ? .usual : .refused("a CAST that fails ends the job", fix: "write TRY_CAST where NULL is wanted")
        case "table.exec.sink.type-length-enforcer", "table.exec.sink.nested-constraint-enforcer":
            return word == "ignore" ? .usual : .refused("sinks take values as they are", fix: "write CAST(column AS VARCHAR(n)) in the query, and leave the setting out")
        case "table.column-expansion-strategy":
            return word.isEmpty ? .usual : .refused("* stands for all columns", fix: "list the columns that are wanted")
        case "table.dynamic-table-options.enabled" where word == "false": return .idle("hints with OPTIONS are always taken")
        case "execution.state-recovery.claim-mode" where word == "no_claim": return .usual
        case "execution.current-catalog": return .refused("the catalog is chosen by a statement", fix: "write USE CATALOG \(value)")
        case "execution.current-database": return .refused("the database is chosen by a statement", fix: "write USE \(value)")
        default: return nil
        }
    }

    private static func isRemote(_ value: String) -> Bool { value.contains("://") && !value.hasPrefix("file:") }

    /// What a setting that is not read means; nil = Flink has none of the name.
    static func meaning(of key: String, _ value: String) -> Meaning? {
        if let found = byValue(newestName(of: key), value) { return found }
        if let reason = reasons[key] { return .idle(reason) }
        if let near = misspelt(key, edits: 2) { return .misspelt(near) }
        if let found = prefixes.first(where: { key.hasPrefix($0.prefix) }) { return .idle(found.reason) }
        return (fuller(key) ?? misspelt(key, edits: 4)).map { .misspelt($0) }
    }

    /// The shortest name of a setting that has all the parts of the key, in their order: `state.ttl` of `table.exec.state.ttl`.
    private static func fuller(_ key: String) -> String? {
        let parts = key.split(separator: ".")
        guard parts.count > 1 else { return nil }
        return (SessionSettings.allKnown + reasons.keys).filter { name in
            var rest = parts[...]
            for part in name.split(separator: ".") where part == rest.first { rest.removeFirst() }
            return rest.isEmpty
        }.min { ($0.count, $0) < ($1.count, $1) }
    }

    /// It is one of those that have a reason.
    static func isKnown(_ key: String) -> Bool { reasons[key] != nil || prefixes.contains { key.hasPrefix($0.prefix) } }

    /// The setting that is read whose name is so few edits away.
    private static func misspelt(_ key: String, edits: Int) -> String? {
        guard let near = NearName.nearest(to: key, in: SessionSettings.allKnown) else { return nil }
        return NearName.distance(Array(key), Array(near)) <= edits ? near : nil
    }

    // MARK: Names

    private static let jvm = "there is no JVM"
    private static let cluster = "one process runs the job: there is no cluster"
    private static let network = "there is no network shuffle"
    private static let jars = "there are no JAR files"
    private static let planner = "plans are improved by rules of this engine's own"
    private static let store = "the embedded store chooses it by itself"
    private static let batch = "there is no batch mode"
    private static let checkpoints = "checkpoints are written in a way of their own"
    private static let client = "it is of Flink's SQL client"
    private static let memory = "operators take the memory that they need"
    private static let python = "Python functions run in worker processes of this engine"
    private static let metrics = "metrics are served under Flink's names by swiftwater serve"
    private static let files = "a table's own options say how its files are reached"
    private static let asynchronous = "calls are made in the order of the rows"

    /// Names, or beginnings of names that end in ".", with what they have in common.
    private static let groups: [(reason: String, keys: String)] = [
        (jvm, "env. classloader. jmx. taskmanager.memory. jobmanager.memory. taskmanager.jvm-exit-on-oom taskmanager.debug. table.generated-code. compiler. user. plugin."),
        (cluster, """
            taskmanager. jobmanager. yarn. kubernetes. mesos. high-availability high-availability. recovery. zookeeper. rest. web. akka. pekko. blob. historyserver. \
            heartbeat. slotmanager. slot. resourcemanager. cluster. minicluster. local. process. io.tmp.dirs jobstore. job-result-store. job-event. job-event-store. \
            application-result-store. completed-application-store. cleanup-strategy cleanup-strategy. external-resources external-resource. scheduler-mode queryable-state. \
            security. task. client. fine-grained. library-cache-manager. job-manager. query. timerservice. slow-task-detector. deployment. events. \
            execution.target execution.attached execution.shutdown-on-attached-exit execution.shutdown-on-application-finish execution.submit-failed-job-on-application-error \
            execution.program-config. execution.allow-client-job-configurations execution.job-listeners execution.job-status-changed-listeners \
            execution.terminate-application-on-any-job-terminated-exceptionally execution.mode pipeline.jobvertex-parallelism-overrides
            """),
        (network, "shuffle. shuffle-service-factory. execution.buffer-timeout execution.buffer-timeout. execution.batch-shuffle-mode table.exec.shuffle-mode"),
        (jars, "pipeline.jars pipeline.classpaths pipeline.cached-files table.resources.download-dir"),
        (planner, """
            table.optimizer. table.planner execution.planner table.exec.operator-fusion-codegen.enabled table.exec.disabled-operators table.exec.simplify-operator-name-enabled \
            table.plan. pipeline.operator-chaining pipeline.operator-chaining. pipeline.vertex-description-mode pipeline.vertex-name-include-index-prefix pipeline.object-reuse \
            table.exec.delta-join. table.exec.unbounded-over.version table.exec.interval-join.min-cleanup-interval table.exec.sink.keyed-shuffle
            """),
        ("operators are named by what they do", "pipeline.auto-generate-uids table.exec.uid. table.exec.legacy-transformation-uids"),
        ("rows are kept in columns", "pipeline.force-avro pipeline.force-kryo pipeline.force-kryo-avro pipeline.generic-types pipeline.serialization-config pipeline.default-kryo-serializers pipeline.registered-kryo-types pipeline.registered-pojo-types pipeline.auto-type-registration pipeline.closure-cleaner-level"),
        ("watermarks follow each row", "pipeline.auto-watermark-interval pipeline.watermark-alignment."),
        ("the WATERMARK of a table says it", "pipeline.time-characteristic execution.time-characteristic execution.periodic-watermarks-interval"),
        ("only functions in Java ask for it", "pipeline.global-job-parameters"),
        (memory, "table.exec.resource. table.exec.rank.topn-cache-size table.exec.window-agg.buffer-size-limit pipeline.cep. execution.sorted-inputs. execution.sort-partition.memory execution.sort-keyed-partition.memory table.exec.local-hash-agg."),
        ("tables are read with the parallelism of the job", "table.exec.iceberg. table.exec.hive."),
        (batch, "execution.batch. execution.batch-state-backend. table.exec.sort. table.exec.spill-compression. table.exec.range-sort. table.exec.hash-join. table.exec.async-sort."),
        (asynchronous, "table.exec.async-lookup. table.exec.async-scalar. table.exec.async-table. table.exec.async-ml-predict. table.exec.async-vector-search. table.exec.async-state. table.exec.async-agg. execution.async-state."),
        ("plans do it where keys require it", "table.exec.sink.rowtime-inserter table.exec.sink.upsert-materialize-strategy. table.exec.sink.require-on-conflict"),
        ("first rows come as +I", "table.exec.deduplicate."),
        ("a table is made before its job starts", "table.rtas-ctas."),
        ("it is read when a session of Flink starts", "table.builtin-catalog-name table.builtin-database-name table.catalog-store. table.secret-store. table.catalog-modification. table.legacy-nested-row-nullability table.exec.fallback-legacy-time-function"),
        (client, "sql-client. sql-gateway. table.display. execution.max-table-result-rows deployment-mode workflow-scheduler. materialized-table."),
        (checkpoints, """
            execution.checkpointing.incremental execution.checkpointing.storage execution.checkpointing.create-subdir execution.checkpointing.data-inline-threshold \
            execution.checkpointing.write-buffer-size execution.checkpointing.file-merging. execution.checkpointing.local-backup. execution.checkpointing.snapshot-compression \
            execution.checkpointing.cleaner.parallel-mode execution.checkpointing.checkpoints-after-tasks-finish execution.checkpointing.checkpoints-after-tasks-finish.enabled \
            execution.checkpointing.unaligned. execution.checkpointing.during-recovery.enabled execution.checkpointing.interval-during-backlog execution.checkpointing.force-unaligned \
            execution.checkpointing.max-subtasks-per-channel-state-file execution.checkpointing.approximate-local-recovery execution.checkpointing.prefer-checkpoint-for-recovery \
            execution.checkpointing.recover-without-channel-state.checkpoint-id execution.state-recovery.from-local execution.state-recovery.approximate-local-recovery \
            execution.state-recovery.without-channel-state.checkpoint-id pipeline.sources.pause-until-first-checkpoint \
            state.backend.incremental state.backend.async state.backend.local-recovery state.backend.fs.memory-threshold state.backend.fs.write-buffer-size state.storage. \
            state.checkpoint-storage state.checkpoint.cleaner.parallel-mode state.checkpoints.create-subdir
            """),
        ("what a job starts from is left as it is", "execution.state-recovery.claim-mode execution.savepoint-restore-mode"),
        (store, "state.backend.rocksdb. state.backend.forst."),
        ("there is no log of state changes", "state.changelog. state.backend.changelog. dstl."),
        ("metrics of single states are not taken", "state.latency-track. state.size-track. state.backend.latency-track."),
        ("'table.exec.state.ttl' is enough", "execution.max-idle-state-retention"),
        (python, "python."),
        (metrics, "metrics. traces."),
        (files, "fs. s3. s3a. s3p. presto. oss. gs. hive. hadoop. flink.hadoop. hdfs."),
    ]

    private static let reasons: [String: String] = {
        var all: [String: String] = [:]
        for (reason, keys) in groups { for key in keys.split(separator: " ") where !key.hasSuffix(".") { all[String(key)] = reason } }
        return all
    }()

    /// The longest first: it says most.
    private static let prefixes: [(prefix: String, reason: String)] = groups.flatMap { reason, keys in
        keys.split(separator: " ").filter { $0.hasSuffix(".") }.map { (String($0), reason) }
    }.sorted { $0.prefix.count > $1.prefix.count }
}
