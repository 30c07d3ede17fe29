import Foundation
import StreamCore
import StreamRuntime
import Synchronization
import Topology

/// How a table of a replication stands.
public struct TableState: Codable, Hashable, Sendable {
    public enum State: String, Codable, Sendable {
        /// Its turn has not come.
        case waiting
        case running
        /// It failed, and is tried again after a pause.
        case retrying
        /// All that there was is in the target.
        case finished
        case stopped
        case failed
    }
    public var table: String
    public var state: State
    /// What it failed with; in a replication without end until it has committed again.
    public var error: String?
    /// Times that it was begun.
    public var attempts = 0
    /// Rows that its sources have given since it was last begun.
    public var rows: Int64 = 0
    /// Milliseconds since 1970-01-01 of the last change of state.
    public var since: Int64
}

/// What a table's job is told, and tells, while it runs.
public final class TableHandle: Sendable {
    private struct Stop {
        var isStopped = false
        var action: (@Sendable () -> Void)?
    }
    public let table: ReplicatedTable
    private let stop_ = Mutex(Stop())
    private let change: @Sendable (@Sendable (inout TableState) -> Void) -> Void

    init(_ table: ReplicatedTable, _ change: @escaping @Sendable (@Sendable (inout TableState) -> Void) -> Void) {
        self.table = table
        self.change = change
    }

    public var isStopped: Bool { stop_.withLock { $0.isStopped } }

    /// What stops the job under way; called at once when a stop was asked for before.
    public func whenStopped(_ action: @escaping @Sendable () -> Void) {
        let isStopped = stop_.withLock { stop in
            stop.action = action
            return stop.isStopped
        }
        if isStopped { action() }
    }

    /// The job is over: nothing of it is held on to.
    func forget() { stop_.withLock { $0.action = nil } }

    func stop() {
        let action = stop_.withLock { stop in
            stop.isStopped = true
            return stop.action
        }
        action?()
    }

    /// The job failed, and tries again by itself.
    public func noteRetry(_ error: any Error) {
        let text = "\(error)"
        change { state in
            state.state = .retrying
            state.error = text
            state.attempts += 1
        }
    }

    /// The job has committed: it works.
    public func noteProgress() {
        change { state in
            state.state = .running
            state.error = nil
        }
    }

    public func noteRows(_ rows: Int64) { change { $0.rows = rows } }
}

/// Runs the jobs of a replication's tables side by side. A table that fails does not stop the others.
///
///     let run = ReplicationRun(replication, discovery: discovery) { handle in ... }     // runs one table's jobs to their end
///     try run.run()                                                                     // on the calling thread
public final class ReplicationRun: Sendable {
    /// Runs the jobs of one table until they end or are stopped.
    public typealias Execute = @Sendable (TableHandle) throws -> Void

    /// What the user may want to read.
    public enum Event: Sendable {
        case warning(String)
        case changed(TableState)
    }

    private struct State {
        var tables: [String: TableState] = [:]
        var handles: [String: TableHandle] = [:]
        var isStopped = false
        var under = 0
        var queue: [TableHandle] = []
    }

    private let replication: Replication
    private let discovery: TableDiscovery
    private let only: Set<String>
    private let execute: Execute
    private let report: @Sendable (Event) -> Void
    private let state = Monitor(State())
    private let warned = Mutex(Set<String>())
    private let now: @Sendable () -> Int64

    /// - Parameters:
    ///   - only: names of tables; empty = all.
    ///   - now: milliseconds since 1970-01-01.
    public init(_ replication: Replication, discovery: TableDiscovery, only: Set<String> = [], now: @escaping @Sendable () -> Int64 = { Clock.milliseconds() },
                report: @escaping @Sendable (Event) -> Void = { _ in }, execute: @escaping Execute) {
        self.replication = replication
        self.discovery = discovery
        self.only = only
        self.now = now
        self.report = report
        self.execute = execute
    }

    /// Of each table, by name.
    public var tables: [TableState] { state.withLock { $0.tables.values.sorted { $0.table < $1.table } } }

    /// Lets every table commit what it has read, and ends.
    public func stop() {
        let handles = state.withLock { state in
            state.isStopped = true
            return Array(state.handles.values)
        }
        state.broadcast()
        for handle in handles { handle.stop() }
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    /// The tables that there are now.
    /// - Throws: `.validate` for a table of ``only`` that is not replicated; errors of the source.
    public func planned() throws -> [ReplicatedTable] {
        let (tables, warnings) = try replication.plan(try discovery.tables())
        for warning in warnings where warned.withLock({ $0.insert(warning).inserted }) { report(.warning(warning)) }
        for name in only.sorted() where !tables.contains(where: { $0.name == name }) {
            throw StreamError(.validate, "replication \(replication.name) has no table \(name)", fix: NearName.hint(for: name, in: tables.map(\.name)))
        }
        return only.isEmpty ? tables : tables.filter { only.contains($0.name) }
    }

    /// Returns when all tables are done, or after ``stop()``.
    /// - Throws: `.runtime` naming the tables that failed; errors of the definition and of the source.
    public func run() throws {
        let first = try planned()
        if replication.isBounded { try runOnce(first) } else { try runOn(first) }
    }

    // MARK: To the end of what there is

    private func runOnce(_ tables: [ReplicatedTable]) throws {
        let handles = tables.map(handle)
        state.withLock { $0.queue = handles.reversed() }
        for _ in 0..<min(replication.tablesAtOnce, handles.count) {
            thread("replication \(replication.name)") { [self] in
                while let next = state.withLock({ state in state.isStopped ? nil : state.queue.popLast() }) { attempt(next) }
            }
        }
        waitForThreads()
        let failed = self.tables.filter { $0.state == .failed }
        guard failed.isEmpty else {
            throw StreamError(
                .runtime, "replication \(replication.name): \(failed.count) of \(tables.count) tables failed: \(failed.map(\.table).joined(separator: ", "))",
                fix: "mend what their messages say and run it again: each table goes on from where it stands")
        }
    }

    private func attempt(_ handle: TableHandle) {
        let name = handle.table.name
        change(name) { state in
            state.state = .running
            state.attempts += 1
        }
        do {
            defer { handle.forget() }
            try execute(handle)
            let isStopped = handle.isStopped
            change(name) { state in
                state.state = isStopped ? .stopped : .finished
                state.error = nil
            }
        } catch {
            let text = "\(error)"
            change(name) { state in
                state.state = .failed
                state.error = text
            }
        }
    }

    // MARK: Without end

    private func runOn(_ tables: [ReplicatedTable]) throws {
        var tables = tables
        while true {
            for table in tables where state.withLock({ $0.handles[table.name] == nil && !$0.isStopped }) {
                let handle = handle(table)
                thread("replication \(table.job)") { [self] in keepRunning(handle) }
            }
            let deadline = Clock.monotonicNanoseconds() + UInt64(replication.discoveryInterval) * 1_000_000
            let isOver = state.wait { state -> Monitor<State>.Decision<Bool> in
                let now = Clock.monotonicNanoseconds()
                return state.isStopped ? .take(true) : now >= deadline ? .take(false) : .wait(nanoseconds: deadline - now)
            }
            if isOver { break }
            do { tables = try planned() } catch {
                // The source may be away for a while; the tables under way find out by themselves.
                let text = "\(error)"
                if warned.withLock({ $0.insert(text).inserted }) { report(.warning("looking for tables failed and is tried again: \(text)")) }
            }
        }
        waitForThreads()
    }

    private func keepRunning(_ handle: TableHandle) {
        let name = handle.table.name
        var delay: Int64 = 1_000
        while !handle.isStopped {
            let began = Clock.monotonicNanoseconds()
            change(name) { state in
                state.state = .running
                state.attempts += 1
            }
            do {
                defer { handle.forget() }
                try execute(handle)
                let isStopped = handle.isStopped
                return change(name) { $0.state = isStopped ? .stopped : .finished }
            } catch {
                let text = "\(error)", isStopped = handle.isStopped
                change(name) { state in
                    state.state = isStopped ? .stopped : .retrying
                    state.error = text
                }
                // One that ran for a while may have failed for another reason than the last time.
                if Clock.monotonicNanoseconds() - began > 60_000_000_000 { delay = 1_000 }
                let deadline = Clock.monotonicNanoseconds() + UInt64(delay) * 1_000_000
                state.wait { state -> Monitor<State>.Decision<Void> in
                    let now = Clock.monotonicNanoseconds()
                    return state.isStopped || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
                }
                delay = min(delay * 2, 60_000)
            }
        }
    }

    // MARK: Threads and states

    private func handle(_ table: ReplicatedTable) -> TableHandle {
        let name = table.name
        let handle = TableHandle(table) { [weak self] in self?.change(name, $0) }
        let time = now()
        let isStopped = state.withLock { state in
            state.handles[name] = handle
            state.tables[name] = TableState(table: name, state: .waiting, since: time)
            return state.isStopped
        }
        if isStopped { handle.stop() }
        return handle
    }

    private func change(_ name: String, _ body: @Sendable (inout TableState) -> Void) {
        let time = now()
        let changed: TableState? = state.withLock { state in
            guard var table = state.tables[name] else { return nil }
            let before = table
            body(&table)
            if table.state != before.state { table.since = time }
            state.tables[name] = table
            return table.state != before.state || table.error != before.error ? table : nil
        }
        if let changed { report(.changed(changed)) }
    }

    private func thread(_ name: String, _ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.under += 1 }
        let thread = Thread { [self] in
            body()
            state.withLock { $0.under -= 1 }
            state.broadcast()
        }
        // Planning walks expressions as deep as the statements nest them.
        thread.stackSize = 8 << 20
        thread.name = name
        thread.start()
    }

    private func waitForThreads() {
        state.wait { state -> Monitor<State>.Decision<Void> in state.under == 0 ? .take(()) : .wait(nanoseconds: nil) }
    }
}
