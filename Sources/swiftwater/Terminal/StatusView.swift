import JobControl
import StreamCore
import StreamRuntime
import Synchronization

/// The live table of a running job: per operator rows/s, totals, watermark and lag.
final class StatusView: Sendable {
    /// live: redrawn on a terminal; final: the totals at the end; json: a line a second.
    enum Mode: Sendable { case live, final, json, silent }

    private let job: JobRunner
    private let mode: Mode
    private let stopped = Mutex(false)
    private let started = Clock.monotonicNanoseconds()
    private let drawn = Mutex(0)

    init(_ job: JobRunner, mode: Mode) {
        self.job = job
        self.mode = mode
    }

    func start() {
        guard mode == .live || mode == .json else { return }
        Background.run { [self] in
            var before = job.status(), at = Clock.monotonicNanoseconds()
            while true {
                pause(milliseconds: mode == .live ? 500 : 1_000)
                let now = job.status(), time = Clock.monotonicNanoseconds()
                let finished = stopped.withLock { stopped in
                    if !stopped { show(now, before, seconds: Double(time - at) / 1e9) }
                    return stopped
                }
                if finished { return }
                (before, at) = (now, time)
            }
        }
    }

    /// Shows the totals over the whole run.
    /// - Parameter end: how it ended; nil when it failed.
    func finish(_ end: String?) {
        stopped.withLock { stopped in
            stopped = true
            let seconds = Double(Clock.monotonicNanoseconds() - started) / 1e9
            let status = job.status()
            switch mode {
            case .final where end == nil: break
            case .live, .final:
                clear()
                Terminal.error(table(status, rates: status.map { rate($0.rowsIn + ($0.rowsIn == 0 ? $0.rowsOut : 0), seconds) }))
                Terminal.error("\(end ?? "failed") after \(fixed(seconds, 1)) s")
            case .json: Terminal.write(json(status, event: end ?? "failed", seconds: seconds) + "\n")
            case .silent: break
            }
        }
    }

    /// A line above the table.
    func log(_ line: String) {
        guard mode != .silent else { return }
        // The table is drawn again at the next turn.
        stopped.withLock { _ in
            clear()
            Terminal.error(line)
        }
    }

    private func show(_ now: [VertexStatus], _ before: [VertexStatus], seconds: Double) {
        switch mode {
        case .live:
            clear()
            let rates = zip(now, before).map { rate($0.rowsIn - $1.rowsIn + ($0.rowsIn == 0 ? $0.rowsOut - $1.rowsOut : 0), seconds) }
            let (text, lines) = Terminal.cut(table(now, rates: rates))
            drawn.withLock { $0 = lines }
            Terminal.error(text)
        case .json: Terminal.write(json(now, event: "progress", seconds: Double(Clock.monotonicNanoseconds() - started) / 1e9) + "\n")
        case .final, .silent: break
        }
    }

    private func clear() {
        let lines = drawn.withLock { lines in defer { lines = 0 }; return lines }
        if lines > 0 { Terminal.write(Terminal.up(lines), to: 2) }
    }

    private func table(_ status: [VertexStatus], rates: [String]) -> String {
        let rows = zip(status, rates).map { s, rate in
            [s.name, "\(s.parallelism)", rate, grouped(s.rowsIn), grouped(s.rowsOut), s.watermark.map(time) ?? "-",
             s.lag.map(grouped) ?? "-", s.lateRows > 0 ? grouped(s.lateRows) : "-", s.badRecords > 0 ? grouped(s.badRecords) : "-"]
        }
        return TextTable(columns: ["operator", "par", "rows/s", "in", "out", "watermark", "lag", "late", "bad"],
                         alignRight: [false, true, true, true, true, false, true, true, true], rows: rows,
                         maxCell: Terminal.errorIsTerminal ? max(16, min(56, Terminal.width - 76)) : 56).plain()
    }

    private func json(_ status: [VertexStatus], event: String, seconds: Double) -> String {
        let vertices = status.map { s in
            "{\"id\":\(s.id),\"name\":\(JSONText.quote(s.name)),\"parallelism\":\(s.parallelism),\"rows_in\":\(s.rowsIn),\"rows_out\":\(s.rowsOut),"
                + "\"late_rows\":\(s.lateRows),\"bad_records\":\(s.badRecords),\"watermark\":\(s.watermark.map { $0 == .max ? "null" : "\($0.milliseconds)" } ?? "null"),"
                + "\"lag\":\(s.lag.map { "\($0)" } ?? "null")}"
        }
        return "{\"event\":\(JSONText.quote(event)),\"job\":\(JSONText.quote(job.graph.name)),\"seconds\":\(fixed(seconds, 3)),"
            + "\"operators\":[\(vertices.joined(separator: ","))]}"
    }

    private func time(_ watermark: EventTime) -> String {
        watermark == .max ? "end" : DateTimeText.timestamp(watermark.milliseconds, precision: 3)
    }

    private func rate(_ rows: Int64, _ seconds: Double) -> String { seconds > 0 ? grouped(Int64(Double(rows) / seconds)) : "-" }
}

/// 1234567 as 1,234,567.
func grouped(_ n: Int64) -> String {
    let digits = String(n.magnitude)
    var out = ""
    for (i, c) in digits.enumerated() {
        if i > 0, (digits.count - i) % 3 == 0 { out.append(",") }
        out.append(c)
    }
    return (n < 0 ? "-" : "") + out
}

/// A number with a fixed count of decimals.
func fixed(_ x: Double, _ decimals: Int) -> String {
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int64((x * scale).rounded())
    let text = String(scaled.magnitude)
    let padded = String(repeating: "0", count: max(0, decimals + 1 - text.count)) + text
    let cut = padded.index(padded.endIndex, offsetBy: -decimals)
    return (scaled < 0 ? "-" : "") + padded[..<cut] + (decimals > 0 ? "." + padded[cut...] : "")
}

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

func pause(milliseconds: Int) { usleep(UInt32(milliseconds) * 1_000) }
