import AWSProtocol
import JobControl
import StreamCore
import StreamRuntime
import Synchronization

/// A job of a topology, running or ended.
package struct KnownJob: Sendable {
    /// 32 hexadecimal digits, as Flink's.
    package var id: String
    package var topology: String
    var report: JobReport
    /// When it ended; nil while its process lives.
    var endedAt: Int64?
    /// Rows into the job per second, as of the two newest reports.
    var rowsPerSecond: Double
    /// Rows that sinks take per second.
    var rowsOutPerSecond = 0.0
    /// 0 to 1, of the operator that has the most of it, over the last minute.
    var busy = 0.0, backPressured = 0.0

    /// Records behind the ends of the sources.
    var lag: Int64? {
        let lags = report.vertices.flatMap(\.subtasks).compactMap(\.lag)
        return lags.isEmpty ? nil : lags.reduce(0, +)
    }

    var state: String { report.state.rawValue }
}

/// What is known of all jobs. Reports are asked for when somebody looks, and at most once in a while: daemons that nobody watches are idle.
package final class JobDirectory: Sendable {
    private struct Entry: Sendable {
        var jobs: [KnownJob] = []
        var takenAt: UInt64 = 0
        /// Whose answers these are: another process is asked anew.
        var process: Int32?
        /// Since when somebody asks; nil = nobody does.
        var askedAt: UInt64?
        /// The process has been asked and has answered, or none was there.
        var isKnown = false
        var rows: [String: (rows: Int64, at: UInt64)] = [:]
        var trackers: [String: RateTracker] = [:]
        /// Where jobs that run are asked, by their ids.
        var places: [String: HostedFolder.Job] = [:]
    }
    private let entries = Monitor([String: Entry]())
    private let service: Service
    private let maximumAge: UInt64
    /// One who asks has an answer or none by then, so that others need not wait longer.
    private static let patience: UInt64 = JobFinder.lookNanoseconds + 1_000_000_000

    package init(_ service: Service, maximumAgeMilliseconds: UInt64 = 500) {
        self.service = service
        maximumAge = maximumAgeMilliseconds * 1_000_000
    }

    package func all() -> [KnownJob] { jobs(of: service.all) }

    func jobs(of host: TopologyHost) -> [KnownJob] { jobs(of: [host]) }

    /// All processes are asked at once: however many do not answer, it takes as long as one of them may.
    private func jobs(of hosts: [TopologyHost]) -> [KnownJob] {
        let now = Clock.monotonicNanoseconds()
        // One asks; others take what is known until then.
        let ours = entries.withLock { entries in
            hosts.filter { host in
                var entry = entries[host.name] ?? Entry()
                // Another thread may have taken it down after this one has looked at the clock.
                if entry.isKnown, entry.process == host.snapshot.process, now.saturatingSubtract(entry.takenAt) < maximumAge { return false }
                if let askedAt = entry.askedAt, now.saturatingSubtract(askedAt) < 10_000_000_000 { return false }
                entry.askedAt = now
                entries[host.name] = entry
                return true
            }
        }
        if !ours.isEmpty { ask(ours, now) }
        // Before the first answer there is nothing to take: it is waited for.
        let deadline = now + Self.patience
        return entries.wait { entries -> Monitor<[String: Entry]>.Decision<[KnownJob]> in
            let time = Clock.monotonicNanoseconds()
            let isMissing = hosts.contains { host in entries[host.name].map { !$0.isKnown && $0.askedAt != nil } ?? false }
            if isMissing, time < deadline { return .wait(nanoseconds: deadline - time) }
            return .take(hosts.flatMap { entries[$0.name]?.jobs ?? [] })
        }
    }

    private func ask(_ hosts: [TopologyHost], _ now: UInt64) {
        let processes = hosts.map(\.snapshot.process), places = hosts.map { $0.folder.isAlive ? $0.folder.jobs : [] }
        let outcomes = JobFinder.ask(places.joined().map { .init(name: $0.name, directory: $0.directory) }, ControlRequest(request: .report))
        var next = 0
        for ((host, process), places) in zip(zip(hosts, processes), places) {
            take(host, process, zip(places, outcomes[next..<next + places.count]).map { ($0, $1) }, now)
            next += places.count
        }
        entries.broadcast()
    }

    private func take(_ host: TopologyHost, _ process: Int32?, _ outcomes: [(place: HostedFolder.Job, outcome: JobFinder.Outcome)], _ now: UInt64) {
        let known = entries.withLock { $0[host.name] } ?? Entry()
        var entry = Entry()
        for (place, outcome) in outcomes {
            switch outcome {
            case .answer(let answer):
                guard let report = answer.report else { continue }
                let id = Self.id(report)
                entry.places[id] = place
                if report.state == .running { host.noteRunning() }
                entry.jobs.append(live(report, id, host.name, known, &entry, now))
            case .silent:
                // It lives, and is as it was when it has last said something.
                for job in known.jobs where job.endedAt == nil && known.places[job.id] == place {
                    entry.places[job.id] = place
                    (entry.rows[job.id], entry.trackers[job.id]) = (known.rows[job.id], known.trackers[job.id])
                    entry.jobs.append(job)
                }
            case .notRunning, .notUnderstood: continue
            }
        }
        if entry.jobs.isEmpty { entry.jobs = ended(host) }
        (entry.isKnown, entry.process, entry.takenAt) = (true, process, Clock.monotonicNanoseconds())
        let taken = entry
        entries.withLock { $0[host.name] = taken }
    }

    /// As its last process has left them.
    private func ended(_ host: TopologyHost) -> [KnownJob] {
        let state = host.snapshot
        guard let end = state.lastEnd else { return [] }
        return end.reports.map { report in
            var report = report
            switch state.phase {
            case .canceled: report.state = .canceled
            case .failed: report.state = .failed
            case .restarting, .starting: report.state = .restarting
            default: if report.state == .running || report.state == .initializing { report.state = end.end == "failed" ? .failed : .finished }
            }
            return KnownJob(id: Self.id(report), topology: host.name, report: report, endedAt: end.at, rowsPerSecond: 0)
        }
    }

    private func live(_ report: JobReport, _ id: String, _ topology: String, _ known: Entry, _ entry: inout Entry, _ now: UInt64) -> KnownJob {
        let rows = Self.rowsIn(report)
        entry.rows[id] = (rows, now)
        var tracker = known.trackers[id] ?? RateTracker()
        tracker.observe(report)
        entry.trackers[id] = tracker
        var rate = 0.0
        if let before = known.rows[id], now > before.at, rows >= before.rows { rate = Double(rows - before.rows) / (Double(now - before.at) / 1e9) }
        var job = KnownJob(id: id, topology: topology, report: report, endedAt: nil, rowsPerSecond: rate)
        for vertex in report.vertices {
            for subtask in vertex.subtasks {
                func perSecond(_ counter: RateTracker.Counter) -> Double { tracker.perSecond(counter, vertex: vertex.id, subtask: subtask.index) ?? 0 }
                job.busy = max(job.busy, min(1, perSecond(.busy) / 1_000))
                job.backPressured = max(job.backPressured, min(1, perSecond(.backPressured) / 1_000))
                if vertex.kind == .sink { job.rowsOutPerSecond += perSecond(.rowsIn) }
            }
        }
        return job
    }

    /// Rates of a job's counters over the last minute.
    func rates(of job: KnownJob) -> RateTracker? { entries.withLock { $0[job.topology]?.trackers[job.id] } }

    func job(_ id: String) throws -> KnownJob {
        // Of one that is known, only its own topology is asked.
        let name = entries.withLock { entries in entries.first { $0.value.places[id] != nil }?.key }
        if let name, let host = try? service.host(name), let job = jobs(of: host).first(where: { $0.id == id }) { return job }
        let all = all()
        if let job = all.first(where: { $0.id == id || $0.report.name == id }) { return job }
        throw StreamError(.validate, "there is no job \(id)", fix: "GET /v1/jobs/overview lists them").notFound
    }

    static func id(_ report: JobReport) -> String { id(report.id, name: report.name) }

    static func id(_ own: String, name: String) -> String {
        let digits = own.filter { $0 != "-" }.lowercased()
        if digits.count == 32, digits.allSatisfy(\.isHexDigit) { return digits }
        return Digest.hexadecimal(Digest.md5(Array("\(own)/\(name)".utf8)))
    }

    /// What the job's process remembers of the last seconds; nothing for a job that does not run any more.
    func history(of job: KnownJob, seconds: Int) throws -> [JobHistory.Point] {
        guard job.endedAt == nil else { return [] }
        guard let place = entries.withLock({ $0[job.topology]?.places[job.id] }) else { return [] }
        switch JobFinder.ask([.init(name: place.name, directory: place.directory)], ControlRequest(request: .history, seconds: seconds))[0] {
        case .answer(let answer):
            if let history = answer.history { return history.points }
            if let error = answer.error { throw StreamError(.conflict, error.problem, fix: "restart topology \(job.topology): its process is of an older version") }
            return []
        case .notRunning: return []
        case .silent: throw StreamError(.conflict, "the process of job \(job.report.name) has not answered within \(JobFinder.lookNanoseconds / 1_000_000_000) s", fix: "try again in a moment; look at whether the process is stopped")
        case .notUnderstood: throw StreamError(.conflict, "the process of job \(job.report.name) gave an answer that is not understood", fix: "restart topology \(job.topology): its process is of another version")
        }
    }

    /// Rows that the sources have read.
    static func rowsIn(_ report: JobReport) -> Int64 {
        report.vertices.filter { $0.kind == .source }.reduce(0) { $0 + $1.subtasks.reduce(0) { $0 + max($1.rowsOut, $1.rowsIn) } }
    }
}

extension UInt64 {
    /// 0 when `other` is greater.
    fileprivate func saturatingSubtract(_ other: UInt64) -> UInt64 { self > other ? self - other : 0 }
}
