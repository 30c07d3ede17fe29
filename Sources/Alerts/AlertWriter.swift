import Foundation
import StreamCore
import StreamFormats

/// Follows one rule's condition over the rows of its query.
///
/// With a time column rows wait until the watermark has passed them, and are taken in the order of their times: what comes of them
/// does not depend on how they were batched or which source they came from. Without one they count as they come, by the clock.
final class AlertWriter: SinkWriter {
    private struct Waiting: Codable {
        var seen: AlertObservation
        /// The row is gone.
        var isRemoval: Bool
    }

    /// All that a recovery needs.
    private struct Kept: Codable {
        var state: AlertState
        var waiting: [Waiting]
        var withdrawn: Waiting?
        var changes: Bool
        var watermark: Int64
    }

    private let options: AlertSinkOptions
    private let rule: AlertRule
    private let policy: AlertPolicy
    private let service: AlertService
    private let host: StreamCore.Host
    private let encoder: any RecordEncoder
    private let metrics: OperatorMetrics
    /// Begins the names of all that this sink of this job comes to.
    private let tag: String
    private var bytes = EncodedBytes(capacity: 1 << 14)
    private var ends: [Int] = []
    private var kept = Kept(state: AlertState(), waiting: [], withdrawn: nil, changes: false, watermark: .min)
    /// Rows of `kept.waiting` for which the condition holds.
    private var waitingAlerts = 0
    private var events: [AlertEvent] = []
    private var askedAt: UInt64 = 0

    private static let waitingMax = 1_000_000
    /// What a checkpoint may have to hold.
    private static let eventsMax = 200_000
    private static let askInterval: UInt64 = 500_000_000

    init(_ options: AlertSinkOptions, _ service: AlertService, _ context: SinkContext, _ host: StreamCore.Host) throws {
        (self.options, self.service, self.host) = (options, service, host)
        rule = options.rule
        policy = rule.policy
        encoder = try FormatFactory.encoder(for: options.table)
        metrics = context.metrics
        // A job without checkpoints never comes to the same names twice.
        tag = context.isRecoverable ? context.tag : String(host.randomBits(), radix: 16)
        for bytes in context.restoredStates {
            guard let found = try? JSONDecoder().decode(Kept.self, from: Data(bytes)) else {
                throw StreamError(.corrupt, "the checkpoint's state of alert \(rule.name) cannot be read", fix: "start from an older checkpoint")
            }
            kept = found
            waitingAlerts = kept.waiting.count { $0.seen.holds }
            // The end of an input that has grown since was none.
            if kept.watermark == .max { kept.watermark = .min }
        }
        // A query that is new, or another than before: what was firing is not known to it.
        if context.restoredStates.isEmpty { try service.history.forgetInstances(topology: rule.topology, rule: rule.name) }
        try followSwitch()
    }

    private var now: Int64 { options.time == nil ? host.now() : .min }

    /// Asks whether an operator has switched the rule, about twice a second.
    private func followSwitch() throws {
        let clock = Clock.monotonicNanoseconds()
        guard askedAt == 0 || clock - askedAt >= Self.askInterval else { return }
        askedAt = clock
        let enabled = try service.history.isEnabled(topology: rule.topology, rule: rule.name) ?? rule.isEnabled
        kept.state.setEnabled(enabled, at: now, policy, into: &events)
    }

    // MARK: Rows

    func write(_ batch: Batch) throws {
        try followSwitch()
        guard !batch.isEmpty, !isQuiet(batch) else { return }
        var own = batch
        own.columns = options.kept.map { batch.columns[$0] }
        bytes.removeAll()
        ends.removeAll(keepingCapacity: true)
        try encoder.encode(own, into: &bytes, ends: &ends)
        let clock = now
        var start = 0
        for i in 0..<batch.count {
            let row = String(decoding: bytes.bytes[start..<ends[i]], as: UTF8.self), kind = batch.kind(atPhysical: batch.row(i))
            start = ends[i]
            if rule.isEvent, !kind.isAdd { continue }
            let document = try JSONValue(json: row)
            let time = try options.time.map { try self.time(batch.columns[$0], batch.row(i)) } ?? clock
            let holds = options.condition.map { batch.columns[$0].value(at: batch.row(i)) == .bool(true) } ?? true
            let value = rule.value.flatMap { document[$0] }.flatMap { $0 == .null ? nil : $0.plain }
            let seen = AlertObservation(key: AlertDocument.key(rule.key, in: document), time: time, holds: holds && kind.isAdd, value: value, row: row)
            try take(Waiting(seen: seen, isRemoval: !kind.isAdd), kind)
        }
    }

    /// Nothing comes of these rows: no condition holds, and none did before.
    private func isQuiet(_ batch: Batch) -> Bool {
        guard let condition = options.condition, kept.state.isQuiet, waitingAlerts == 0, kept.withdrawn == nil else { return false }
        let column = batch.columns[condition]
        guard column.dictionary == nil else { return !(0..<batch.count).contains { column.value(at: batch.row($0)) == .bool(true) } }
        let values = column.pointer(as: UInt8.self)
        for i in 0..<batch.count where values[batch.row(i)] != 0 && column.isValid(batch.row(i)) { return false }
        return true
    }

    private func time(_ column: Column, _ row: Int) throws -> Int64 {
        guard case .int(let time) = column.value(at: row) else {
            throw StreamError(.runtime, "alert \(rule.name): a row has no \(rule.time ?? "time")", fix: "leave such rows out of the query with WHERE \(rule.time ?? "time") IS NOT NULL")
        }
        let unit = options.timeUnit
        return time >= 0 ? time / unit : -((-time + unit - 1) / unit)
    }

    /// A row that is withdrawn and at once replaced by one with the same key is a change of that key, not its end.
    private func take(_ row: Waiting, _ kind: RowKind) throws {
        if let withdrawn = kept.withdrawn {
            kept.withdrawn = nil
            if kind != .updateAfter || row.seen.key != withdrawn.seen.key { try add(withdrawn) }
        }
        if kind == .updateBefore { kept.withdrawn = row } else { try add(row) }
        if kind != .insert { kept.changes = true }
    }

    private func add(_ row: Waiting) throws {
        guard options.time != nil else { return try apply(row) }
        kept.waiting.append(row)
        if row.seen.holds { waitingAlerts += 1 }
        guard kept.waiting.count <= Self.waitingMax else {
            throw StreamError(.runtime, "alert \(rule.name): more than \(Self.waitingMax) rows wait for the watermark, which stands at \(kept.watermark)",
                              fix: "see that the watermark of its tables moves on, or leave time: out")
        }
    }

    private func apply(_ row: Waiting) throws {
        if row.isRemoval {
            try kept.state.remove(row.seen.key, at: row.seen.time, policy, into: &events)
        } else {
            try kept.state.observe(row.seen, policy, into: &events)
        }
        guard events.count <= Self.eventsMax else {
            throw StreamError(.runtime, "alert \(rule.name) fires more than \(Self.eventsMax / 2) times between two checkpoints", fix: "narrow its query with WHERE, or name fewer columns in key:")
        }
    }

    func watermark(_ time: EventTime) throws {
        guard options.time != nil, time.milliseconds > kept.watermark else { return }
        try followSwitch()
        kept.watermark = time.milliseconds
        try settleWithdrawn()
        let isEnd = time == .max
        if !kept.waiting.isEmpty {
            var ready: [Waiting] = []
            if isEnd { swap(&ready, &kept.waiting) } else {
                ready = kept.waiting.filter { $0.seen.time < time.milliseconds }
                kept.waiting.removeAll { $0.seen.time < time.milliseconds }
            }
            waitingAlerts = kept.waiting.count { $0.seen.holds }
            // Changes of a key come in their order; rows that stand by themselves are put into one by what they hold.
            let changes = kept.changes
            let order = ready.enumerated().sorted { a, b in
                let (x, y) = (a.element.seen, b.element.seen)
                if x.time != y.time { return x.time < y.time }
                if x.key != y.key { return x.key < y.key }
                return changes ? a.offset < b.offset : (x.row ?? "") < (y.row ?? "")
            }
            for row in order { try apply(row.element) }
        }
        // The end of the input says nothing about what comes after its last row.
        kept.state.advance(to: isEnd ? kept.state.now : time.milliseconds - 1, policy, into: &events)
    }

    private func settleWithdrawn() throws {
        guard let withdrawn = kept.withdrawn else { return }
        kept.withdrawn = nil
        try add(withdrawn)
    }

    // MARK: Checkpoints

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try followSwitch()
        if options.time == nil { kept.state.advance(to: host.now(), policy, into: &events) }
        guard !events.isEmpty else { return [] }
        let records = try AlertDocument.records(events, rule, tag: tag)
        events = []
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return [Committable(Array(try encoder.encode(records)))]
    }

    func state() throws -> [UInt8]? {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return Array(try encoder.encode(kept))
    }

    func finish() throws { try settleWithdrawn() }

    func abort() { events = [] }
}
