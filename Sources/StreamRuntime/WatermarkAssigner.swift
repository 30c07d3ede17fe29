import StreamCore

/// Follows the watermark of one split.
///
/// Lateness is decided row by row, as if a watermark followed every row that advances it: a batch is cut before a row that
/// is behind the watermark of the rows before it. Results then do not depend on how rows were batched.
package struct WatermarkAssigner {
    package let strategy: WatermarkStrategy
    private var watermark = Int64.min
    private var emitted = Int64.min

    package init(_ strategy: WatermarkStrategy) { self.strategy = strategy }

    /// Goes on from the watermark of an earlier run.
    package mutating func resume(at earlier: EventTime) { (watermark, emitted) = (earlier.milliseconds, earlier.milliseconds) }

    package enum Piece {
        case rows(Batch)
        case watermark(EventTime)
    }

    /// Pieces of the batch in order, with the watermarks that come between and after them.
    package mutating func assign(_ batch: Batch) throws -> [Piece] {
        guard batch.count > 0 else { return [] }
        let column = batch.columns[strategy.timeColumn].flat()
        if let validity = column.validity {
            for i in 0..<batch.count where !Bitmap.get(validity.base, batch.row(i)) {
                throw StreamError(.runtime, "the time attribute \(strategy.columnName) is NULL in a row, and a row without a time has no place in event time",
                                  fix: "declare a computed column such as COALESCE(\(strategy.columnName), ...) and put the watermark on that")
            }
        }
        let times = column.pointer(as: Int64.self)
        let ahead = watermark == .max ? 0 : strategy.tellsAhead
        let marks = try strategy.expression?(batch).flat()
        if marks == nil, batch.selection == nil, !anyBehind(times, count: batch.count) {
            watermark = max(watermark, greatest(times, count: batch.count))
            return advance(after: [.rows(batch)])
        }
        var pieces: [Piece] = []
        var start = 0
        for i in 0..<batch.count {
            let row = batch.row(i)
            if times[row] <= watermark &+ ahead, watermark > emitted {
                if i > start { pieces.append(.rows(batch.slice(start..<i))) }
                pieces.append(.watermark(EventTime(milliseconds: watermark)))
                emitted = watermark
                start = i
            }
            if let marks {
                if marks.isValid(row) { watermark = max(watermark, marks.pointer(as: Int64.self)[row]) }
            } else {
                watermark = max(watermark, Self.minus(times[row], strategy.delayMilliseconds))
            }
        }
        pieces.append(.rows(batch.slice(start..<batch.count)))
        return advance(after: pieces)
    }

    private mutating func advance(after pieces: [Piece]) -> [Piece] {
        guard watermark > emitted else { return pieces }
        emitted = watermark
        return pieces + [.watermark(EventTime(milliseconds: watermark))]
    }

    /// Whether a row's time is at or before the watermark of the rows before it.
    private func anyBehind(_ times: UnsafePointer<Int64>, count: Int) -> Bool {
        var high = watermark == .min ? .min : watermark &+ strategy.delayMilliseconds
        let delay = strategy.delayMilliseconds &- strategy.tellsAhead
        var behind = false
        for i in 0..<count {
            // `high` is the greatest time so far; comparing t + delay avoids an underflow at the start.
            let t = times[i]
            behind = behind || t &+ delay <= high
            high = max(high, t)
        }
        return behind
    }

    private func greatest(_ times: UnsafePointer<Int64>, count: Int) -> Int64 {
        var high = times[0]
        for i in 1..<max(count, 1) { high = max(high, times[i]) }
        return Self.minus(high, strategy.delayMilliseconds)
    }

    private static func minus(_ time: Int64, _ delay: Int64) -> Int64 {
        let (result, overflow) = time.subtractingReportingOverflow(delay)
        return overflow ? .min : result
    }
}
