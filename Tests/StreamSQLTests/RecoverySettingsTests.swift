import StreamCore
import StreamRuntime
import Testing
@testable import StreamSQL

@Suite("Settings of checkpoints, restarts and state") struct RecoverySettingsTests {
    private func settings(_ pairs: KeyValuePairs<String, String>) throws -> SessionSettings {
        var settings = SessionSettings()
        for (key, value) in pairs { #expect(try settings.set(key, to: value) == nil, "\(key)") }
        return settings
    }

    private func error(_ key: String, _ value: String) throws -> StreamError? {
        var settings = SessionSettings()
        do {
            _ = try settings.set(key, to: value)
            return nil
        } catch let error as StreamError {
            return error
        }
    }

    @Test("checkpoint settings are Flink's, under their new and old names")
    func checkpoints() throws {
        let s = try settings([
            "execution.checkpointing.interval": "10 s", "execution.checkpointing.timeout": "2 min", "execution.checkpointing.min-pause": "500 ms",
            "execution.checkpointing.max-concurrent-checkpoints": "2", "execution.checkpointing.tolerable-failed-checkpoints": "3",
            "execution.checkpointing.num-retained": "5", "execution.checkpointing.dir": "file:///c", "execution.checkpointing.savepoint-dir": "s",
            "execution.checkpointing.mode": "exactly_once", "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.savepoint.path": "s/1", "execution.savepoint.ignore-unclaimed-state": "true",
        ])
        let options = s.checkpoints
        #expect(options.interval == .seconds(10) && options.timeout == .seconds(120) && options.minPause == .milliseconds(500))
        #expect(options.maxConcurrent == 2 && options.tolerableFailures == 3 && options.alignedTimeout == nil)
        #expect(s.recovery.retained == 5 && s.recovery.directory == "/c" && s.recovery.savepointDirectory == "s")
        #expect(s.recovery.keepsCheckpointsAtEnd && s.recovery.startFrom == "s/1" && s.recovery.allowsNonRestoredState)
        let old = try settings(["state.checkpoints.dir": "/c", "state.savepoints.dir": "s", "state.checkpoints.num-retained": "5"])
        #expect(old.recovery.retained == 5 && old.recovery.directory == "/c" && old.recovery.savepointDirectory == "s")
    }

    @Test("barriers overtake rows at once, after a wait, or never")
    func unaligned() throws {
        let (on, wait) = ("execution.checkpointing.unaligned.enabled", "execution.checkpointing.aligned-checkpoint-timeout")
        #expect(try settings([on: "true"]).checkpoints.alignedTimeout == .zero)
        #expect(try settings(["execution.checkpointing.unaligned": "true", wait: "30 s"]).checkpoints.alignedTimeout == .seconds(30))
        #expect(try settings([wait: "30 s"]).checkpoints.alignedTimeout == .seconds(30))
        #expect(try settings([wait: "0 s"]).checkpoints.alignedTimeout == nil)
        #expect(try settings([wait: "30 s", on: "false"]).checkpoints.alignedTimeout == nil)
    }

    @Test("restart strategies and their defaults")
    func restarts() throws {
        #expect(try settings([:]).restart == .none)
        #expect(try settings(["execution.checkpointing.interval": "1 s"]).restart == .defaultExponentialDelay)
        #expect(try settings(["execution.checkpointing.interval": "1 s", "restart-strategy.type": "none"]).restart == .none)
        #expect(try settings(["restart-strategy": "fixed-delay"]).restart == .fixedDelay(attempts: 1, delay: .seconds(1)))
        #expect(
            try settings([
                "restart-strategy.fixed-delay.delay": "10 ms", "restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.attempts": "7",
            ]).restart == .fixedDelay(attempts: 7, delay: .milliseconds(10)))
        #expect(
            try settings([
                "restart-strategy.type": "failure-rate", "restart-strategy.failure-rate.max-failures-per-interval": "3",
                "restart-strategy.failure-rate.failure-rate-interval": "5 min", "restart-strategy.failure-rate.delay": "2 s",
            ]).restart == .failureRate(failures: 3, interval: .seconds(300), delay: .seconds(2)))
        let growing = "restart-strategy.exponential-delay."
        #expect(
            try settings([
                "restart-strategy.type": "exponential-delay", growing + "initial-backoff": "100 ms", growing + "max-backoff": "2 s",
                growing + "backoff-multiplier": "2", growing + "reset-backoff-threshold": "1 min", growing + "jitter-factor": "0",
                growing + "attempts-before-reset-backoff": "9",
            ]).restart
                == .exponentialDelay(
                    initial: .milliseconds(100), maximum: .seconds(2), multiplier: 2, resetAfter: .seconds(60), jitter: 0, attempts: 9))
    }

    @Test("where state is kept, and for how long")
    func state() throws {
        #expect(try settings([:]).stateBackend == .memory && settings([:]).stateTTL == nil)
        #expect(try settings(["state.backend.type": "hashmap"]).stateBackend == .memory)
        let s = try settings(["state.backend.type": "rocksdb", "state.backend.rocksdb.memory.managed-limit": "512 mb", "table.exec.state.ttl": "1 d"])
        #expect(s.stateBackend == .rocksdb && s.recovery.rocksDBMemory == 512 << 20 && s.stateTTL == .seconds(86_400))
        #expect(try settings(["state.backend.rocksdb.memory.fixed-per-slot": "64m"]).recovery.rocksDBMemory == 64 << 20)
        #expect(try settings(["table.exec.state.ttl": "0"]).stateTTL == nil)
    }

    @Test(
        "bad values and misspelled names say what to write",
        arguments: [
            ("execution.checkpointing.interval", "soon", "is not a length of time", "write for example '10 s', '500 ms' or '2 min'"),
            ("execution.checkpointing.timeout", "0 s", "must be longer than nothing", "write for example '10 s' or '2 min'"),
            ("execution.checkpointing.num-retained", "0", "is not a number from 1 to 10000", nil),
            ("execution.checkpointing.unaligned.enabled", "yes", "is neither true nor false", "write 'true' or 'false'"),
            ("execution.savepoint.path", "s3://bucket/c", "there is no file system for s3://", "name a directory of this machine"),
            ("execution.checkpointing.intervall", "1 s", "there is no setting", "write \"execution.checkpointing.interval\""),
            ("restart-strategy.type", "fixed-dealy", "is not known", "write \"fixed-delay\""),
            ("restart-strategy.fixed-delay.attemps", "3", "there is no setting", "write \"restart-strategy.fixed-delay.attempts\""),
            ("restart-strategy.exponential-delay.jitter-factor", "2", "is not a number from 0.0 to 1.0", nil),
            ("state.backend.type", "rocksbd", "is not known", "write \"rocksdb\""),
            ("state.backend.typ", "rocksdb", "there is no setting", "write \"state.backend.type\""),
            ("state.backend.rocksdb.memory.managed-limit", "lots", "is not a size", "write for example '512 mb' or '2 gb'"),
            ("table.exec.state.ttl", "-1 s", "is not a length of time", "write for example '10 s', '500 ms' or '2 min'"),
        ] as [(String, String, String, String?)])
    func refused(key: String, value: String, problem: String, fix: String?) throws {
        let error = try #require(try error(key, value))
        #expect(error.problem.contains(problem) && error.problem.contains(key) && error.fix == fix, "\(error)")
    }

    @Test("other settings of Flink about checkpoints and state are kept with a warning")
    func unread() throws {
        for key in ["execution.checkpointing.incremental", "execution.checkpointing.storage", "state.backend.local-recovery", "state.latency-track.keyed-state-enabled"] {
            var settings = SessionSettings()
            #expect(try settings.set(key, to: "true")?.hasPrefix("setting '\(key)' means nothing here: ") == true)
        }
    }

    @Test("RESET gives the defaults back")
    func reset() throws {
        var s = try settings(["execution.checkpointing.interval": "1 s", "restart-strategy.type": "fixed-delay", "state.backend.type": "rocksdb"])
        try s.reset("restart-strategy.type")
        #expect(s.restart == .defaultExponentialDelay && s.stateBackend == .rocksdb)
        try s.reset(nil)
        #expect(s.restart == .none && s.checkpointInterval == nil && s.stateBackend == .memory)
    }
}

@Suite("The STATE_TTL hint") struct StateTTLHintTests {
    private func optimized(_ query: String) throws -> String {
        let text = try SQLHarness(PlanTests.tables).explain(query)
        return String(text.split(separator: "== Optimized plan ==\n")[1].split(separator: "\n\n==")[0])
    }

    @Test("it reaches the sides of a join, by alias where there is one")
    func join() throws {
        let plan = try optimized("SELECT /*+ STATE_TTL('e' = '1 d', 'users' = '12h') */ name, k FROM ev AS e JOIN users ON e.id = users.uid")
        #expect(plan.contains("Join(id = uid, state TTL: left 1 d, right 12 h)"), "\(plan)")
        let chain = try optimized("""
            SELECT /*+ STATE_TTL('a' = '1 s', 'b' = '2 s', 'c' = '0') */ a.id FROM o2 AS a JOIN users AS b ON a.id = b.uid JOIN users AS c ON b.uid = c.uid
            """)
        #expect(chain.contains("state TTL: left 1 s, right 2 s)") && chain.contains("state TTL: right 0 ms)"), "\(chain)")
    }

    @Test("it reaches GROUP BY and DISTINCT over one table, and no inner query")
    func groups() throws {
        #expect(try optimized("SELECT /*+ STATE_TTL('ev' = '90 s') */ k, COUNT(*) FROM ev GROUP BY k").contains("COUNT(*), state TTL: 90 s)"))
        #expect(try optimized("SELECT /*+ STATE_TTL('users' = '5 min') */ DISTINCT name FROM users").contains("state TTL: 5 min)"))
        let inner = try optimized("SELECT /*+ STATE_TTL('t' = '1 d') */ MAX(n) FROM (SELECT k, COUNT(*) AS n FROM ev GROUP BY k) AS t")
        #expect(inner.components(separatedBy: "state TTL").count == 2, "\(inner)")
    }

    @Test(
        "what it cannot mean is refused",
        arguments: [
            ("SELECT /*+ STATE_TTL('usres' = '1 d') */ DISTINCT name FROM users", "STATE_TTL names 'usres', but FROM has no such table", "write \"users\""),
            ("SELECT /*+ STATE_TTL('users' = '1 d') */ DISTINCT name FROM users AS u", "STATE_TTL names 'users', but FROM has no such table", "use one of u"),
            ("SELECT /*+ STATE_TTL('users' = 'long') */ DISTINCT name FROM users", "STATE_TTL('users' = 'long'): that is not a length of time",
             "write for example '1 d', '12 h' or '30 min'"),
            ("SELECT /*+ STATE_TTL('users' = '1 d', 'users' = '2 d') */ DISTINCT name FROM users", "'users' is given twice in STATE_TTL", "remove one"),
            ("SELECT /*+ BROADCATS('users') */ DISTINCT name FROM users", "not supported yet: the hint \"BROADCATS\"",
             "use STATE_TTL('table' = '1 d'), or remove it"),
        ])
    func refused(query: String, problem: String, fix: String) throws {
        let error = try #require(try SQLHarness(PlanTests.tables).error(query))
        #expect(error.problem == problem && error.fix == fix, "\(error)")
    }
}
