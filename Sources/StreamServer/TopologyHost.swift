import Foundation
import JobControl
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Keeps the process of one topology running while it is wanted, whoever started it.
///
/// A thread waits for the process to end, and starts it again later each time. The process holds the lock of its folder, so
/// that a daemon that was killed finds it again, and two never run.
final class TopologyHost: Sendable {
    enum Phase: String, Sendable {
        case starting = "STARTING", running = "RUNNING", restarting = "RESTARTING", stopped = "STOPPED", finished = "FINISHED",
            failed = "FAILED", canceled = "CANCELED"
    }

    struct State: Sendable {
        var topology: DeployedTopology
        var phase: Phase
        /// Starts of the process beyond the first, since it was deployed or started by somebody.
        var restarts = 0
        var startedAt: Int64?
        var error: String?
        /// Counts ends of processes.
        var ends = 0
        /// How the last one ended.
        var lastEnd: HostedFolder.End?
        var isClosing = false
        /// Somebody has asked the process to stop: that it ends is no failure.
        var isStopping = false
        /// The supervising thread may start the process.
        var mayStart = true
        /// The supervising thread is about a process: from before it is started until its end has been taken down.
        var isWatching = false
        var process: pid_t?
        /// What holds the process that this daemon has started to its share: its control group, or limits of its own.
        var limits: String?
        /// The restart under way has to wait until then.
        var notBefore: UInt64 = 0
    }

    let name: String
    let folder: HostedFolder
    private let service: ServiceContext
    private let state: Monitor<State>
    /// One change at a time: deployments, stops and the like.
    private let operations = Monitor(false)
    /// Held while the topology is written: what is newest is written last.
    private let writing = Mutex(())

    init(_ topology: DeployedTopology, _ service: ServiceContext) throws {
        name = topology.name
        self.service = service
        folder = HostedFolder(service.directory + "/topologies/" + JobHome.directoryName(topology.name))
        try Host.system.createDirectories(folder.directory)
        var phase = Phase.stopped
        if topology.desired == .running { phase = .starting } else if let ending = topology.ending, let known = Phase(rawValue: ending) { phase = known }
        var first = State(topology: topology, phase: phase)
        first.error = topology.error
        first.lastEnd = folder.end
        state = Monitor(first)
    }

    var snapshot: State { state.withLock { $0 } }

    /// Writes what is wanted of the topology now. The disk is waited for, but not by those who only look.
    private func keep() throws { try writing.withLock { _ in try service.store.save(snapshot.topology) } }

    /// For what nobody waits for. What cannot be kept is told: the daemon goes on with what it knows.
    private func keepOrTell() {
        do { try keep() } catch { service.log("error: topology \(name) is not kept for the daemon's next start: \(error)") }
    }

    /// One at a time; others wait.
    /// - Throws: `.conflict` when another change takes long; when the topology has been removed meanwhile.
    func exclusively<T>(_ body: () throws -> T) throws -> T {
        let deadline = Clock.monotonicNanoseconds() + 10_000_000_000
        let isOurs = operations.wait { busy -> Monitor<Bool>.Decision<Bool> in
            let now = Clock.monotonicNanoseconds()
            if busy { return now >= deadline ? .take(false) : .wait(nanoseconds: deadline - now) }
            busy = true
            return .take(true)
        }
        guard isOurs else { throw StreamError(.conflict, "another change of topology \(name) is under way", fix: "try again in a moment") }
        defer {
            operations.withLock { $0 = false }
            operations.broadcast()
        }
        if snapshot.isClosing { throw StreamError(.validate, "there is no topology '\(name)' any more", fix: "deploy it again").notFound }
        return try body()
    }

    // MARK: The supervising thread

    func supervise() {
        Background.run { [self] in
            // It ended while no daemon was there: what is finished is not begun anew.
            if snapshot.topology.desired == .running, !folder.isAlive, folder.end?.end == "finished" { settle(.finished, error: nil, "its input has ended") }
            while let work = next() {
                switch work {
                case .adopt:
                    service.log("topology \(name): its process is there already")
                    let process = folder.process
                    let isInGroup = process.map { service.groups?.holds($0, in: groupName) ?? false } ?? false
                    state.withLock { state in
                        state.phase = .running
                        state.startedAt = state.startedAt ?? Clock.milliseconds()
                        state.limits = isInGroup ? "control group" : nil
                    }
                    state.broadcast()
                    folder.waitForEnd()
                    // Of a daemon that this one has replaced, its children are this one's.
                    ended(process.flatMap { ChildProcess.wait($0) })
                case .start(let topology): start(topology)
                }
            }
        }
    }

    private enum Work { case adopt, start(DeployedTopology) }

    private func next() -> Work? {
        state.wait { state -> Monitor<State>.Decision<Work?> in
            if state.isClosing { return .take(nil) }
            // Also one that should not run any more is waited for: it is told to stop by those who know why.
            if folder.isAlive {
                state.isWatching = true
                return .take(.adopt)
            }
            guard state.topology.desired == .running, state.mayStart else { return .wait(nanoseconds: nil) }
            let now = Clock.monotonicNanoseconds()
            if now < state.notBefore { return .wait(nanoseconds: state.notBefore - now) }
            state.isWatching = true
            return .take(.start(state.topology))
        }
    }

    private func start(_ topology: DeployedTopology) {
        do {
            let path = folder.directory + "/v\(topology.version).\(topology.kind.rawValue)"
            if !Host.exists(path) { try Host.system.replaceFile(path, Array(topology.text.utf8)) }
            var topology = topology
            let version = topology.version
            // What the last process was stopped with is newer than what it was started from.
            if let savepoint = folder.end?.savepoint, savepoint != topology.startFrom {
                topology.startFrom = savepoint
                state.withLock { state in if state.topology.version == version { state.topology.startFrom = savepoint } }
                try keep()
            }
            let savepoint = topology.startFrom
            try folder.forgetEnd()
            service.trimLog(folder.log, keeping: 1 << 20, above: 16 << 20)
            var arguments = ["run", path, "--hosted", folder.directory, "--data", service.data, "--output", "json"]
            if let n = topology.options.parallelism { arguments += ["--parallelism", "\(n)"] }
            if let n = topology.options.workers { arguments += ["--workers", "\(n)"] }
            if let savepoint { arguments += ["--from-savepoint", savepoint] }
            if topology.options.allowsNonRestoredState { arguments.append("--allow-non-restored-state") }
            var group = group(topology)
            var limits: [String] = []
            if let memory = topology.options.memory { limits += ["--memory-limit", "\(memory)"] }
            if let weight = topology.options.cpuWeight { limits += ["--cpu-weight", "\(weight)"] }
            func spawn(_ limits: [String]) throws -> pid_t { try ChildProcess.spawn(service.executable, arguments + limits, log: folder.log, environment: topology.options.variables) }
            let killed = group?.memoryKills(groupName) ?? 0
            var pid = try spawn(group == nil ? limits : [])
            if let wanted = group {
                do { try wanted.add(pid, to: groupName) } catch {
                    // It must not run without limits: it is ended before it has done much, and another one sets its own.
                    kill(pid, SIGKILL)
                    _ = ChildProcess.wait(pid)
                    service.note(name, "no control group", "its process cannot be put into its control group, and limits itself: \(error)")
                    group = nil
                    pid = try spawn(limits)
                }
            }
            let isInGroup = group != nil, started = pid
            state.withLock { state in
                state.limits = isInGroup ? "control group" : limits.isEmpty ? nil : "process"
                state.phase = state.restarts > 0 ? .restarting : .starting
                state.startedAt = Clock.milliseconds()
                state.process = started
            }
            state.broadcast()
            let exit = ChildProcess.wait(pid)
            state.withLock { $0.process = nil }
            if let group, group.memoryKills(groupName) > killed { service.note(name, "killed", "its process needed more memory than its control group may take") }
            ended(exit)
        } catch {
            failed("its process cannot be started: \(error)", mayPass: true)
            state.withLock { state in
                state.ends += 1
                state.isWatching = false
            }
            state.broadcast()
        }
    }

    private var groupName: String { JobHome.directoryName(name) }

    /// The control group for the process, ready for it; nil = there is none.
    private func group(_ topology: DeployedTopology) -> ControlGroups? {
        guard let groups = service.groups else { return nil }
        do {
            try groups.prepare(groupName, memory: topology.options.memory, weight: topology.options.cpuWeight)
            return groups
        } catch {
            service.log("error: topology \(name) gets no control group: \(error)")
            return nil
        }
    }

    /// As its user knows the file: not by the name of the copy that the process reads.
    private func shown(_ text: String) -> String {
        let topology = snapshot.topology, kind = topology.kind.rawValue
        return text.replacingOccurrences(of: "\(folder.directory)/v\(topology.version).\(kind)", with: "\(name).\(kind)")
    }

    /// Takes down how the process ended, and decides whether it is started again.
    private func ended(_ exit: ChildProcess.Exit?) {
        var end = folder.end
        if let problem = end?.error?.problem { end!.error!.problem = shown(problem) }
        let taken = end
        let (isStopping, isClosing, ranFor) = state.withLock { state in
            state.lastEnd = taken
            return (state.isStopping, state.isClosing, Clock.milliseconds() - (state.startedAt ?? 0))
        }
        defer {
            state.withLock { state in
                state.ends += 1
                state.isWatching = false
            }
            state.broadcast()
        }
        if end?.end == "finished", !isStopping { return settle(.finished, error: nil, "its input has ended") }
        if isStopping || isClosing { return }
        switch end?.end {
        case "finished"?: settle(.finished, error: nil, "its input has ended")
        case "stopped"?: settle(.stopped, error: nil, "it was stopped" + (end?.savepoint.map { " with savepoint \($0)" } ?? ""), startFrom: end?.savepoint)
        default:
            let reason = end?.error.map { $0.problem + ($0.fix.map { ". Fix: \($0)" } ?? "") }
                ?? "its process ended without a word" + (exit.map { ", with \($0)" } ?? "") + "; its log is \(folder.log)"
            // What a file or an option is wrong with is not mended by trying again.
            let mayPass = !["parse", "validate", "plan", "corrupt"].contains(end?.error?.kind ?? "")
            if ranFor > 60_000 { state.withLock { $0.restarts = 0 } }
            failed(reason, mayPass: mayPass)
        }
    }

    private func settle(_ phase: Phase, error: String?, _ text: String, startFrom: String? = nil) {
        state.withLock { state in
            state.phase = phase
            state.error = error
            state.topology.desired = .stopped
            state.topology.ending = phase.rawValue
            state.topology.error = error
            if let startFrom { state.topology.startFrom = startFrom }
        }
        keepOrTell()
        service.note(name, phase.rawValue.lowercased(), text)
    }

    private func failed(_ reason: String, mayPass: Bool) {
        guard mayPass else { return settle(.failed, error: reason, reason) }
        let delay: Int64 = state.withLock { state in
            state.phase = .restarting
            state.error = reason
            let delay = min(Int64(60_000), 1_000 << Int64(min(state.restarts, 6)))
            state.restarts += 1
            state.notBefore = Clock.monotonicNanoseconds() + UInt64(delay) * 1_000_000
            return delay
        }
        service.note(name, "failed", "\(reason); it is started again in \(delay / 1_000) s")
        state.broadcast()
    }

    // MARK: What others ask for

    /// Answers of the jobs of the process that runs; those that do not answer are left out.
    private func ask(_ request: ControlRequest) -> [ControlAnswer] {
        guard folder.isAlive else { return [] }
        return JobFinder.ask(folder.jobs.map { .init(name: $0.name, directory: $0.directory) }, request).compactMap { outcome in
            if case .answer(let answer) = outcome { answer } else { nil }
        }
    }

    /// - Returns: when all jobs run and have not failed, or the input has ended.
    /// - Throws: why they do not.
    func waitUntilHealthy(seconds: Double, after ends: Int) throws {
        let deadline = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
        var healthySince: UInt64?
        while true {
            let now = Clock.monotonicNanoseconds(), state = snapshot
            if state.ends > ends {
                if state.lastEnd?.end == "finished" { return }
                let failure = state.lastEnd?.error
                throw StreamError(StreamError.Code.named(failure?.kind ?? "runtime"), failure?.problem ?? state.error ?? "its process ended", fix: failure?.fix)
            }
            let reports = ask(ControlRequest(request: .report)).compactMap(\.report)
            if let failure = reports.compactMap({ $0.failures.last }).first { throw StreamError(StreamError.Code.named(failure.kind), failure.message) }
            if !reports.isEmpty, reports.allSatisfy({ $0.state == .running }) {
                let since = healthySince ?? now
                healthySince = since
                // A job whose first checkpoint is complete has opened its sinks and sources; others get a moment to fail in.
                if reports.allSatisfy({ $0.checkpoints.completed > 0 }) || now - since > UInt64(service.healthSeconds * 1e9) {
                    self.state.withLock { state in
                        state.phase = .running
                        state.error = nil
                    }
                    return
                }
            } else {
                healthySince = nil
            }
            guard now < deadline else {
                throw StreamError(.runtime, "topology \(name) does not run after \(Int(seconds)) s", fix: "look at its log: swiftwater logs \(name)")
            }
            let wait = min(deadline - now, 20_000_000)
            let seen = state.ends
            self.state.wait { state -> Monitor<State>.Decision<Void> in
                state.ends != seen || Clock.monotonicNanoseconds() >= now + wait ? .take(()) : .wait(nanoseconds: wait)
            }
        }
    }

    /// The phase as the reports of its jobs have it, between what the thread knows.
    func noteRunning() {
        state.withLock { state in
            guard state.phase == .starting || state.phase == .restarting, !state.isStopping else { return }
            state.phase = .running
            state.error = nil
        }
    }

    /// Has the process run this topology from now on.
    func begin(_ topology: DeployedTopology) throws {
        var topology = topology
        // What the last process says of itself is for the one after it, not for those to come.
        if let savepoint = folder.end?.savepoint, topology.startFrom == nil { topology.startFrom = savepoint }
        let first = topology, before = snapshot
        try folder.forgetEnd()
        state.withLock { state in
            state.topology = first
            state.topology.desired = .running
            (state.topology.ending, state.topology.error, state.error) = (nil, nil, nil)
            (state.phase, state.restarts, state.notBefore, state.isStopping, state.mayStart) = (.starting, 0, 0, false, false)
        }
        // It is started when it is on the disk that it should run. If that cannot be written, what is there goes on.
        do { try keep() } catch {
            state.withLock { state in
                state.topology = before.topology
                state.topology.startFrom = before.topology.startFrom ?? first.startFrom
                (state.phase, state.restarts, state.notBefore, state.error) = (before.phase, before.restarts, before.notBefore, before.error)
                (state.isStopping, state.mayStart) = (false, true)
            }
            state.broadcast()
            throw error
        }
        state.withLock { $0.mayStart = true }
        state.broadcast()
    }

    /// Nothing runs, and this is what would.
    func keepStopped(_ topology: DeployedTopology) {
        state.withLock { state in
            state.topology = topology
            state.phase = topology.ending.flatMap(Phase.init(rawValue:)) ?? .stopped
            (state.isStopping, state.mayStart) = (false, true)
        }
        keepOrTell()
        state.broadcast()
    }

    /// Ends the process: with all that was read committed, with a savepoint, or at once.
    /// - Parameter isWanted: it will run again in a moment: what is to be is not changed.
    /// - Returns: the savepoint.
    /// - Throws: why there is none, or why it cannot be kept that the topology is to be stopped; then it still runs. When what came of it
    ///   cannot be kept, it is stopped, and the next stop or start keeps it.
    @discardableResult
    func stop(_ how: Stop, isWanted: Bool = false) throws -> String? {
        let before = snapshot.topology.desired
        state.withLock { state in
            (state.isStopping, state.mayStart) = (true, false)
            if !isWanted { state.topology.desired = .stopped }
        }
        func goOn() {
            state.withLock { state in
                (state.isStopping, state.mayStart) = (false, true)
                state.topology.desired = before
            }
        }
        var savepoint: String?
        do {
            if !isWanted { try keep() }
            if case .savepoint(let directory, let drain) = how, folder.isAlive { savepoint = try stopWithSavepoint(directory, drain) }
        } catch {
            goOn()
            if !isWanted { keepOrTell() }
            state.broadcast()
            throw error
        }
        if case .cancel = how { end(by: SIGKILL) } else { end(by: SIGTERM) }
        let end = folder.end
        savepoint = savepoint ?? end?.savepoint
        state.withLock { state in
            state.lastEnd = end
            if let savepoint { state.topology.startFrom = savepoint }
            if !isWanted {
                if case .cancel = how { state.phase = .canceled } else { state.phase = .stopped }
                state.topology.ending = state.phase.rawValue
                if let failure = end?.error { state.error = failure.problem }
            }
            state.isStopping = false
        }
        defer { state.broadcast() }
        do { try keep() } catch {
            // One that should run is not left without a process.
            if isWanted { state.withLock { $0.mayStart = true } }
            throw error
        }
        return savepoint
    }

    enum Stop: Sendable { case checkpoint, savepoint(directory: String?, drain: Bool), cancel }

    private func stopWithSavepoint(_ directory: String?, _ drain: Bool) throws -> String? {
        let request = ControlRequest(request: .stop, savepoint: true, directory: directory, drain: drain)
        guard let job = folder.jobs.last else {
            throw StreamError(.runtime, "topology \(name) has no job yet that a savepoint could be taken of", fix: "try again when it runs")
        }
        return try JobFinder.ask(JobFinder.Job(name: job.name, directory: job.directory), request).path
    }

    /// Returns when no process is there, and the supervising thread has taken that down.
    private func end(by number: Int32) {
        // A sink that waits for a service that is away must not keep a topology from its end for good.
        var deadline = Clock.monotonicNanoseconds() + UInt64(service.stopSeconds * 1e9), number = number, told: Set<pid_t> = []
        while true {
            let state = snapshot, isAlive = folder.isAlive
            if !isAlive, !state.isWatching || state.isClosing && state.process == nil { return }
            // One that is just being started is told as soon as it is there.
            for pid in [state.process, folder.process].compactMap({ $0 }) where !told.contains(pid) { if kill(pid, number) == 0 { told.insert(pid) } }
            if Clock.monotonicNanoseconds() > deadline {
                service.note(name, "killed", "its process did not end within \(Int(service.stopSeconds)) s and is killed; it goes on from its newest checkpoint")
                (number, told) = (SIGKILL, [])
                deadline = .max
            }
            pause(milliseconds: 5)
        }
    }

    /// The daemon ends.
    /// - Parameter leavingProcess: the process goes on without it.
    func close(leavingProcess: Bool) {
        state.withLock { $0.isClosing = true }
        state.broadcast()
        guard !leavingProcess else { return }
        end(by: SIGTERM)
        service.groups?.remove(groupName)
    }
}

private func pause(milliseconds: Int) { usleep(UInt32(milliseconds) * 1_000) }
