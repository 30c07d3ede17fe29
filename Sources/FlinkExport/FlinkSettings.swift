import StreamCore
import StreamSQL

/// What SET lines are in Flink, and which ones a script gets that its file leaves to this engine.
public enum FlinkSettings {
    /// Our names for what Flink has under others.
    private static let own: [String: String] = [
        "scan.watermark.idle-timeout": "table.exec.source.idle-timeout", "state.backend.rocksdb.memory.managed-limit": "state.backend.rocksdb.memory.fixed-per-slot",
    ]

    /// What a setting is called in Flink 2, which no longer knows older names.
    static func name(of key: String) -> String {
        let newest = SessionSettings.newestName(of: key)
        return own[newest] ?? newest
    }

    /// Settings that are lengths of time.
    private static let durations: Set<String> = [
        "execution.checkpointing.interval", "execution.checkpointing.timeout", "execution.checkpointing.min-pause", "execution.checkpointing.aligned-checkpoint-timeout",
        "table.exec.state.ttl", "table.exec.source.idle-timeout", "table.exec.emit.early-fire.delay", "table.exec.emit.late-fire.delay", "table.exec.emit.allow-lateness",
        "table.exec.mini-batch.allow-latency", "restart-strategy.fixed-delay.delay", "restart-strategy.exponential-delay.initial-backoff",
        "restart-strategy.exponential-delay.max-backoff", "restart-strategy.exponential-delay.reset-backoff-threshold", "restart-strategy.failure-rate.delay",
        "restart-strategy.failure-rate.failure-rate-interval",
    ]

    /// Those that this engine reads and that mean the same in Flink.
    private static let same: Set<String> = [
        "table.local-time-zone", "parallelism.default", "pipeline.name", "pipeline.max-parallelism", "table.exec.source.idle-timeout", "table.exec.resource.default-parallelism",
        "table.exec.sink.upsert-materialize", "table.optimizer.reuse-sub-plan-enabled", "table.optimizer.join-reorder-enabled", "table.exec.source.cdc-events-duplicate",
        "table.exec.sink.not-null-enforcer", "sql-client.execution.result-mode", "table.dml-sync",
        "execution.checkpointing.timeout", "execution.checkpointing.min-pause", "execution.checkpointing.max-concurrent-checkpoints",
        "execution.checkpointing.tolerable-failed-checkpoints", "execution.checkpointing.aligned-checkpoint-timeout", "execution.checkpointing.unaligned.enabled",
        "execution.checkpointing.mode", "execution.checkpointing.num-retained", "execution.checkpointing.externalized-checkpoint-retention",
        "state.backend.rocksdb.memory.fixed-per-slot", "table.exec.state.ttl",
        "table.exec.emit.early-fire.enabled", "table.exec.emit.early-fire.delay", "table.exec.emit.late-fire.enabled", "table.exec.emit.late-fire.delay", "table.exec.emit.allow-lateness",
        "table.exec.mini-batch.enabled", "table.exec.mini-batch.allow-latency", "table.exec.mini-batch.size", "table.optimizer.agg-phase-strategy",
        "table.optimizer.distinct-agg.split.enabled", "table.optimizer.distinct-agg.split.bucket-num", "python.executable",
    ]

    /// Prefixes of settings that are Flink's own even where nothing here reads them.
    private static let flinkPrefixes = ["table.", "pipeline.", "execution.", "parallelism.", "state.", "restart-strategy.", "sql-client.", "python.", "metrics."]

    /// Prefixes of what topologies set for services of this process.
    private static let ownPrefixes = ["alerts.", "view.", "views.", "swiftwater."]

    /// What a SET line becomes.
    ///
    /// - Parameter location: of the line, for refusals.
    /// - Returns: the lines to write; none when the setting is left out (which a note says) or refused.
    public static func translate(key: String, value: String, target: FlinkTarget, findings: inout Findings, at location: SourceLocation? = nil) -> [(String, String)] {
        let name = Self.name(of: key), about = "SET '\(key)'", given = value.trimmed
        // Old settings took numbers of milliseconds: with the unit nobody has to know.
        let text = durations.contains(name) && Int64(given) != nil ? given + " ms" : given
        func leaveOut(_ reason: String) -> [(String, String)] {
            findings.note("left out: \(reason)", about: about)
            return []
        }
        func refuse(_ reason: String, _ instead: String) -> [(String, String)] {
            findings.refuse(about, reason: reason, instead: instead, at: location)
            return []
        }
        switch name {
        case "table.local-time-zone": return [(name, text.lowercased() == "default" ? "UTC" : text)]
        case "execution.runtime-mode":
            if text.lowercased() == "automatic" {
                findings.note("'automatic' is 'streaming', which is what runs here", about: about)
                return [(name, "streaming")]
            }
            return [(name, text.lowercased())]
        case "execution.checkpointing.interval":
            return Durations.milliseconds(text) == 0 ? leaveOut("0 means no checkpoints of the job's own; Flink has none then, and its sinks would never commit") : [(name, text)]
        case "execution.checkpointing.dir", "execution.checkpointing.savepoint-dir":
            guard let there = target.path(text) else {
                return refuse("only this machine has '\(text)'", "name storage that all workers reach: --map \(target.absolute(text))=s3://bucket/checkpoints, or set it on the cluster")
            }
            if let jar = FlinkJars.fileSystem(there, target.version) { findings.need(jar) }
            return [(name, there.hasPrefix("/") ? "file://" + there : there)]
        case "execution.state-recovery.path":
            return refuse("Flink cannot read a savepoint of this engine", "export with --from-savepoint \(text), which gives the tables their start positions")
        case "execution.state-recovery.ignore-unclaimed-state": return [(name, text)]
        case "state.backend.type":
            let backends = ["memory": "hashmap", "hashmap": "hashmap", "filesystem": "hashmap", "jobmanager": "hashmap", "rocksdb": "rocksdb"]
            return backends[text.lowercased()].map { [(name, $0)] } ?? refuse("there is no backend '\(text)' here", "write 'hashmap' or 'rocksdb'")
        case "restart-strategy.type":
            let strategies = ["off": "none", "disable": "none", "fixeddelay": "fixed-delay", "exponentialdelay": "exponential-delay", "failurerate": "failure-rate"]
            return [(name, strategies[text.lowercased()] ?? text.lowercased())]
        case "metrics.latency.interval": return [(name, Durations.milliseconds(text).map { "\($0)" } ?? text)]
        case "python.files":
            let files = text.split(separator: ",").map { String($0).trimmed }
            let there = files.map { target.path($0) }
            guard let missing = there.firstIndex(of: nil) else { return [(name, there.map { $0! }.joined(separator: ","))] }
            return refuse("only this machine has '\(files[missing])'", "put the files where the workers reach them: --map \(target.absolute(files[missing]))=...")
        case "execution.max-idle-state-retention": return leaveOut("'table.exec.state.ttl' is all that Flink 2 knows")
        case "python.worker.timeout": return leaveOut("Flink's Python workers have no such limit")
        case _ where name.hasPrefix("state.backend.rocksdb.metrics."), _ where name.hasPrefix("restart-strategy."): return [(name, text)]
        case _ where same.contains(name): return [(name, text)]
        case _ where ownPrefixes.contains(where: { name.hasPrefix($0) }): return leaveOut("it is for services of this process, which Flink does not have")
        case _ where flinkPrefixes.contains(where: { name.hasPrefix($0) }):
            findings.note("kept as it is: nothing here reads it, so it first counts on Flink", about: about)
            return [(name, value)]
        case _ where SessionSettings.isOfFlink(key): return leaveOut("it is no setting of a job: set it in the cluster's configuration, its config.yaml")
        default: return refuse("it is no setting of Flink", "leave it out")
        }
    }

    /// Lines that a script needs because this engine and Flink do different things without them.
    ///
    /// - Parameters:
    ///   - given: names of the settings that the script has already, as ``translate(key:value:target:findings:at:)`` gave them.
    ///   - name: of the job.
    ///   - commitInterval: milliseconds between commits that the sinks ask for: ``commitInterval(of:)``.
    public static func defaults(given: Set<String>, name: String?, parallelism: Int = 1, commitInterval: Int64?) -> [(String, String)] {
        var lines: [(String, String)] = []
        func add(_ key: String, _ value: String) { if !given.contains(key) { lines.append((key, value)) } }
        if let name { add("pipeline.name", name) }
        add("execution.runtime-mode", "streaming")
        // Flink takes the zone of the machine that plans the script.
        add("table.local-time-zone", "UTC")
        if !given.contains("table.exec.resource.default-parallelism") { add("parallelism.default", "\(parallelism)") }
        // Sinks here commit by themselves; Flink's with checkpoints alone.
        add("execution.checkpointing.interval", "\(commitInterval ?? 10_000) ms")
        return lines
    }

    /// How often the tables that are written ask to be committed, in milliseconds: the shortest of them; nil when none asks.
    public static func commitInterval(of tables: [SourceTable]) -> Int64? {
        tables.filter(\.isWritten).compactMap(commitInterval(of:)).min()
    }

    private static func commitInterval(of table: SourceTable) -> Int64? {
        let options = table.declaration.options
        for key in ["sink.commit.interval", "write.commit.interval", "view.commit.interval"] {
            if let text = options[key], let time = Durations.milliseconds(text), time > 0 { return time }
        }
        switch table.connector {
        case "kafka", "upsert-kafka": return options["sink.delivery-guarantee"]?.lowercased() == "exactly-once" ? 1_000 : nil
        case "kinesis": return 1_000
        case "hudi", "delta", "iceberg": return 10_000
        case "filesystem":
            let rollover = options["sink.rolling-policy.rollover-interval"].flatMap(Durations.milliseconds) ?? 30 * 60_000
            let check = options["sink.rolling-policy.check-interval"].flatMap(Durations.milliseconds) ?? 60_000
            // Nothing is lost by checkpoints that come more often than files end.
            return min(rollover, max(check, 10_000))
        default: return nil
        }
    }
}
