import StreamCore
import StreamRuntime
import StreamState

/// Runs a whole job under one seed: the order of its steps, the sizes of its pieces, faults of its disk, crashes between any
/// two steps and within them, and restarts at other parallelisms, until its input has ended and all is committed.
///
/// After every crash and every recovery, what is visible must be what some completed checkpoint holds, and never less than
/// before; in the end it must be what the topology expects, and survive a power cut.
public final class Simulation {
    public let seed: UInt64
    public let name: String
    /// A bug to be found.
    public var planted: PlantedBug?
    /// The store that operators keep state in; nil = memory. One that writes on threads of its own makes runs differ.
    public var makeBackend: ((Host) throws -> any StateBackend)?
    /// Crashes and faults; without, only the order is drawn from the seed.
    public var isRough = true
    /// Called with a line for everything that happens.
    public var trace: ((String) -> Void)?

    public let disk: SimulatedDisk
    private let topology: any SimulatedTopology
    private var random: SeededRandom
    private var report: SimulationReport
    private var digest: UInt64 = 0xCBF2_9CE4_8422_2325

    private var crashesLeft: Int
    private var failuresLeft = 6
    /// What readers saw when the last commits were done; nil = not known.
    private var seen: [String: VisibleOutput]?
    /// Barriers since then up to which something may have been published.
    private var prepared = 0
    private var hasLoosePieces = false
    private var lastCompleted: UInt64 = 0

    /// - Parameter make: makes the topology, with its input on the disk if it wants that there.
    public init(name: String, seed: UInt64, make: (SimulatedDisk) throws -> any SimulatedTopology) throws {
        self.name = name
        self.seed = seed
        disk = try SimulatedDisk(seed: seed, name: "\(name)-\(seed)")
        random = SeededRandom(seed)
        report = SimulationReport(seed: seed)
        crashesLeft = Int.random(in: 0...5, using: &random)
        topology = try make(disk)
    }

    // MARK: a run

    /// - Throws: ``SimulationFailure``.
    public func run() throws -> SimulationReport {
        do {
            let log = Recorder { [unowned self] in note($0) }
            disk.observe { log.record("  disk " + $0) }
            defer { disk.observe(nil) }
            if planted == .lostFlush { disk.loseFlush(after: Int.random(in: 0..<60, using: &random)) }
            while try !start() {}
            try checkEnd()
            report.digest = digest
            report.diskCalls = disk.calls
            return report
        } catch let failure as SimulationFailure {
            note("FAILED \(failure.problem)")
            throw failure
        } catch {
            note("FAILED \(error)")
            throw failure("\(error)")
        }
    }

    private final class Recorder: @unchecked Sendable {  // SAFETY: the simulation is on one thread
        let record: (String) -> Void
        init(_ record: @escaping (String) -> Void) { self.record = record }
    }

    private func note(_ line: @autoclosure () -> String) {
        let line = line()
        for byte in line.utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
        trace?(line)
    }

    private func failure(_ problem: String) -> SimulationFailure {
        SimulationFailure(topology: name, seed: seed, problem: problem, step: report.steps)
    }

    private enum Cut: Error { case power, kill }

    /// One life of the job. True when its input has ended and everything is committed.
    private func start() throws -> Bool {
        report.starts += 1
        guard report.starts <= 40 else { throw failure("the job does not end: started \(report.starts) times") }
        let plan = drawPlan()
        note("start \(report.starts): \(plan)")
        let faultsBefore = disk.injectedFaults
        var execution: SteppedExecution?
        do {
            defer { quieten() }
            let storage = try CheckpointStorage(directory: disk.root + "/checkpoints", host: disk.host, retained: plan.retained)
            execution = try restore(storage, plan)
            stir(plan)
            let hasEnded = try steps(execution!, plan)
            note((hasEnded ? "ended: " : "stopped: ") + execution!.status().map { "\($0.name) \($0.rowsIn)>\($0.rowsOut)" + ($0.lateRows > 0 ? ", \($0.lateRows) late" : "") }.joined(separator: "; "))
            execution!.close()
            return hasEnded
        } catch {
            // The power may have failed below a call whose error has been turned into another.
            let cut = disk.isPowerless ? .power : error as? Cut
            switch cut {
            case .power:
                report.powerCuts += 1
                note("power cut: \(error)")
                try disk.crash(&random)
            case .kill:
                report.kills += 1
                note("killed")
                disk.kill()
            case nil:
                guard disk.injectedFaults > faultsBefore, !(error is SimulationFailure) else { throw error }
                report.failures += 1
                failuresLeft -= 1
                note("failed: \(error)")
            }
            execution?.abandon()
            execution = nil
            try checkAfterCrash()
            return false
        }
    }

    // MARK: the plan of a life

    private struct Plan: CustomStringConvertible {
        var parallelism = 1
        var options: JobOptions
        var retained: Int
        /// One turn in so many starts a checkpoint.
        var checkpointEvery: Int
        /// Turns until the process is killed or the power fails.
        var crashAtStep: Int?
        var crashIsKill = false
        /// Turns until the job is stopped, to go on in the next life.
        var stopAtStep: Int?
        /// One turn in so many takes a savepoint; 0 = none does.
        var savepointEvery = 0
        var savepointsLeft = 2
        /// Changing calls to the disk until the power fails.
        var cutAtCall: Int?
        var faults = DiskFaults()
        var freeBytes: Int?

        var description: String {
            let unaligned = options.checkpoints.alignedTimeout.map { ", unaligned after \($0)" } ?? ""
            let crash = crashAtStep.map { ", \(crashIsKill ? "kill" : "power cut") at turn \($0)" } ?? cutAtCall.map { ", power cut at call \($0)" }
                ?? stopAtStep.map { ", stop at turn \($0)" } ?? ""
            return "parallelism \(parallelism), batches of \(options.batchRows), queues of \(options.queueCapacity), a checkpoint in \(checkpointEvery) turns, "
                + "\(options.checkpoints.maxConcurrent) at a time\(unaligned)\(crash)"
        }
    }

    private func drawPlan() -> Plan {
        let clock = disk.clock
        var checkpoints = CheckpointOptions()
        checkpoints.maxConcurrent = Int.random(in: 0..<3, using: &random) == 0 ? 2 : 1
        checkpoints.tolerableFailures = Int.random(in: 0...2, using: &random)
        let isUnaligned = Int.random(in: 0..<3, using: &random) == 0
        if isUnaligned { checkpoints.alignedTimeout = .milliseconds([0, 5].randomElement(using: &random)!) }
        var options = JobOptions(
            batchRows: [1, 3, 7, 20].randomElement(using: &random)!, queueCapacity: Int.random(in: 1...4, using: &random), checkpoints: checkpoints,
            clock: { clock.now }, host: disk.host)
        // Without a draw, so that seeds stand for the same runs with and without.
        if seed % 4 == 1 { options.latencyInterval = .milliseconds(3) }
        var plan = Plan(options: options, retained: Int.random(in: 1...3, using: &random), checkpointEvery: [8, 20, 50].randomElement(using: &random)!)
        plan.parallelism = Int.random(in: 1...3, using: &random)
        guard isRough else { return plan }
        if crashesLeft > 0 {
            crashesLeft -= 1
            switch Int.random(in: 0..<7, using: &random) {
            case 0: plan.stopAtStep = Int.random(in: 1..<[30, 120].randomElement(using: &random)!, using: &random)
            case 1...2: plan.cutAtCall = Int.random(in: 0..<[40, 150, 500].randomElement(using: &random)!, using: &random)
            default:
                plan.crashAtStep = Int.random(in: 1..<[30, 120, 400].randomElement(using: &random)!, using: &random)
                plan.crashIsKill = Int.random(in: 0..<3, using: &random) == 0
            }
        }
        if Int.random(in: 0..<4, using: &random) == 0 { plan.savepointEvery = 60 }
        if failuresLeft > 0 {
            switch Int.random(in: 0..<8, using: &random) {
            case 0: plan.faults.failingSyncs = 40
            case 1: plan.faults.failingWrites = 60
            case 2: plan.freeBytes = Int.random(in: 0..<60_000, using: &random)
            default: break
            }
        }
        if Int.random(in: 0..<3, using: &random) == 0 { plan.faults.shortWrites = 5 }
        if Int.random(in: 0..<3, using: &random) == 0 { plan.faults.syncLatency = .milliseconds(1) ... .milliseconds(30) }
        return plan
    }

    private func stir(_ plan: Plan) {
        disk.faults = plan.faults.keepingLost(of: disk.faults)
        disk.freeBytes = plan.freeBytes
        disk.cutPower(afterCalls: plan.cutAtCall)
    }

    private func quieten() {
        disk.faults = DiskFaults().keepingLost(of: disk.faults)
        disk.freeBytes = nil
    }

    // MARK: a start

    private func restore(_ storage: CheckpointStorage, _ plan: Plan) throws -> SteppedExecution {
        // A recovery may be cut short, too.
        if let call = plan.cutAtCall, call % 3 == 0 { disk.cutPower(afterCalls: call % 40) }
        var damaged: StreamError?
        let newest = try storage.newest { damaged = $0 }
        // Nothing but a lie of the disk can damage a checkpoint that was completed.
        if let damaged, !disk.isPowerless { throw failure("a completed checkpoint is damaged: \(damaged)") }
        let number = newest?.manifest.checkpoint ?? 0
        if number < lastCompleted { throw failure("checkpoint \(lastCompleted) was completed, but the newest one now is \(number)") }
        lastCompleted = number
        note("resume from \(number)")
        var options = plan.options
        var graph = try topology.graph(host: disk.host, parallelism: plan.parallelism)
        // Rows in flight belong to the subtasks that there were.
        if let newest, newest.manifest.isUnaligned {
            let before = newest.manifest.operators.map(\.parallelism).max() ?? 1
            graph = try topology.graph(host: disk.host, parallelism: before)
        }
        options.host = disk.host
        if let makeBackend {
            options.backend = try makeBackend(disk.host)
            options.workDirectory = disk.root + "/work"
            // What the life before has left there.
            try disk.host.removeTree(options.workDirectory)
        }
        if planted == .commitBeforeManifest { graph = graph.committingEarly() }
        let execution = try SteppedExecution(graph, options: options, recovery: JobRecovery(jobID: "simulated", storage: storage, restored: newest))
        do {
            try checkAfterRecovery(newest?.manifest)
        } catch {
            execution.abandon()
            throw error
        }
        return execution
    }

    // MARK: steps

    /// - Returns: false when the job was stopped before its input ended.
    private func steps(_ execution: SteppedExecution, _ plan: Plan) throws -> Bool {
        var plan = plan
        var turn = 0
        var isConcluding = false, isStopping = false
        let clock = disk.clock
        while true {
            turn += 1
            report.steps += 1
            if plan.crashAtStep == turn {
                throw plan.crashIsKill ? Cut.kill : Cut.power
            }
            guard turn < 200_000 else { throw failure("no end after \(turn) turns") }
            if plan.stopAtStep == turn, !isConcluding {
                isStopping = true
                note("stop")
                execution.stopSources()
            }
            let open = execution.open
            if open.isEmpty, !isConcluding {
                isConcluding = true
                note("input has ended")
                _ = execution.conclude()
            }
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<75 where !open.isEmpty:
                let chosen = open.randomElement(using: &random)!
                let result = try execution.step(chosen)
                switch result {
                case .progress: note("step \(chosen)")
                case .waiting: note("step \(chosen) waits")
                case .finished: note("step \(chosen) ends")
                }
                if case .waiting(let until?) = result, until < .max, Bool.random(using: &random) { clock.advance(to: until) }
            case 0..<85:
                if execution.writeStep() { note("write") }
            case 85..<92:
                try commit(execution)
            case 92..<95:
                execution.checkTimes()
            case 95..<98:
                clock.advance(by: .milliseconds(Int64.random(in: 0..<20, using: &random)))
            default:
                if let planted, planted == .skippedBarrier, let chosen = open.randomElement(using: &random), try execution.loseBarrier(at: chosen) {
                    note("barrier lost at \(chosen)")
                }
            }
            if plan.savepointEvery > 0, plan.savepointsLeft > 0, !isConcluding, !isStopping, Int.random(in: 0..<plan.savepointEvery, using: &random) == 0,
               let number = execution.startSavepoint(in: disk.root + "/savepoints") {
                plan.savepointsLeft -= 1
                note("savepoint \(number)")
            }
            if !isConcluding, !isStopping, Int.random(in: 0..<plan.checkpointEvery, using: &random) == 0 || execution.wantsCheckpoint,
               let number = execution.startCheckpoint() {
                note("checkpoint \(number)")
            }
            if disk.isPowerless { throw Cut.power }
            if isConcluding, execution.conclude() {
                try commit(execution)
                if execution.conclude() { return !isStopping }
            }
        }
    }

    private func commit(_ execution: SteppedExecution) throws {
        for (number, outcome) in execution.takeOutcomes() {
            prepared += 1
            // What was prepared for savepoints and failed checkpoints is published with a later one, as a piece of its own.
            switch outcome {
            case .success(let checkpoint): hasLoosePieces = hasLoosePieces || checkpoint.manifest.kind == .savepoint
            case .failure: hasLoosePieces = true
            }
            switch outcome {
            case .success(let checkpoint):
                report.checkpoints += 1
                if checkpoint.manifest.kind != .savepoint { lastCompleted = max(lastCompleted, number) }
                if checkpoint.manifest.isUnaligned { report.unaligned += 1 }
                note("completed \(number), \(checkpoint.manifest.files.count) files\(checkpoint.manifest.isUnaligned ? ", unaligned" : "")")
            case .failure(let error):
                note("checkpoint \(number) failed: \(error)")
                if disk.injectedFaults == 0, !disk.isPowerless { throw failure("checkpoint \(number) failed: \(error)") }
            }
        }
        let made = try execution.commitPending()
        guard made > 0 else { return }
        note("committed \(made)")
        // Looking costs time; not to look now and then also lets several commits lie between two looks.
        seen = Int.random(in: 0..<3, using: &random) > 0 ? try look() : nil
        prepared = 0
    }

    // MARK: checks

    private func look() throws -> [String: VisibleOutput] {
        let now = try topology.visible()
        if let violation = topology.violations.first { throw failure(violation) }
        for (output, expected) in topology.expected.sorted(by: { $0.key < $1.key }) where expected.kind == .log {
            let strange = now[output]?.excess(over: expected) ?? []
            if !strange.isEmpty { throw failure("\(output) shows \(strange.count) rows too many: \(strange.prefix(3))") }
        }
        return now
    }

    /// What the last look before a crash and the one after it show.
    private var atCrash: (before: [String: VisibleOutput]?, after: [String: VisibleOutput], prepared: Int)?

    private func checkAfterCrash() throws {
        let now = try look()
        try requireNothingLost(now, since: seen)
        // A recovery that was cut short may have published some of the pieces of its checkpoint.
        atCrash = (atCrash == nil && !hasLoosePieces ? seen : nil, now, prepared)
        hasLoosePieces = false
        seen = nil
        prepared = 0
    }

    private func checkAfterRecovery(_ manifest: CheckpointManifest?) throws {
        let now = try look()
        if manifest?.isUnaligned != true, let exact = topology.expected(at: manifest) {
            try require(now, exact, "after the recovery from checkpoint \(manifest?.checkpoint ?? 0)")
        }
        defer {
            atCrash = nil
            seen = now
        }
        guard let atCrash else { return }
        try requireNothingLost(now, since: atCrash.after)
        for (output, table) in now.sorted(by: { $0.key < $1.key }) where table.kind == .table {
            guard let before = atCrash.before?[output], let crashed = atCrash.after[output], atCrash.prepared <= 1 else { continue }
            if crashed != before, crashed != table {
                throw failure("\(output) showed after the crash what no checkpoint holds: \(crashed.excess(over: before).prefix(3)) more, "
                              + "\(before.excess(over: crashed).prefix(3)) less than before it")
            }
        }
    }

    private func requireNothingLost(_ now: [String: VisibleOutput], since before: [String: VisibleOutput]?) throws {
        for (output, old) in (before ?? [:]).sorted(by: { $0.key < $1.key }) where old.kind == .log {
            let lost = old.excess(over: now[output] ?? VisibleOutput(kind: .log, rows: []))
            if !lost.isEmpty { throw failure("\(output) has lost \(lost.count) rows that were committed: \(lost.prefix(3))") }
        }
    }

    private func checkEnd() throws {
        try requireExpected("in the end")
        // Committed means durable.
        try disk.crashLosingAll()
        try requireExpected("after a power cut at the end")
        try hashFiles(disk.root, "")
    }

    private func requireExpected(_ when: String) throws {
        let now = try topology.visible()
        if let violation = topology.violations.first { throw failure(violation) }
        try require(now, topology.expected, when)
    }

    private func require(_ now: [String: VisibleOutput], _ expected: [String: VisibleOutput], _ when: String) throws {
        for (output, expected) in expected.sorted(by: { $0.key < $1.key }) {
            guard let got = now[output], got != expected else {
                if now[output] == nil { throw failure("\(output) is not there \(when)") }
                continue
            }
            let missing = expected.excess(over: got), strange = got.excess(over: expected)
            throw failure("\(output) has \(got.rows.count) rows instead of \(expected.rows.count) \(when); missing \(missing.count): \(missing.prefix(3)); "
                          + "too many \(strange.count): \(strange.prefix(3))")
        }
    }

    private func hashFiles(_ path: String, _ shown: String) throws {
        for name in try Host.names(in: path) {
            let child = path + "/" + name
            if Host.isDirectory(child) {
                try hashFiles(child, shown + name + "/")
            } else {
                let bytes = try Host.read(child)
                let hash = bytes.withUnsafeBytes { $0.isEmpty ? 0 : RowHash.bytes($0.baseAddress!, $0.count) }
                note("file \(shown)\(name) \(bytes.count) \(String(hash, radix: 16))")
            }
        }
    }
}

extension DiskFaults {
    /// With what is lost on purpose, whatever the plan says.
    fileprivate func keepingLost(of other: DiskFaults) -> DiskFaults {
        var result = self
        result.lostSyncs = other.lostSyncs
        return result
    }
}

extension SimulatedDisk {
    fileprivate func loseFlush(after count: Int) { faults.lostSyncs = [count] }
}
