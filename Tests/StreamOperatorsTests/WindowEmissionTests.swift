import StreamCore
import Synchronization
import Testing
@testable import StreamOperators

/// A wall clock that a test moves.
final class TestClock: Sendable {
    private let time: Mutex<Int64>
    init(_ time: Int64) { self.time = Mutex(time) }
    var now: Int64 {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }
}

/// Results of windows apart from the one at their end.
@Suite("early and late results of windows") struct WindowEmissionTests {
    func spec(_ window: WindowSpec, _ emission: WindowEmission, level: Int = 0, keys: [Int] = [0], changes: Bool = false) throws -> WindowAggregateSpec {
        var spec = WindowAggregateSpec(inputSchema: windowSchema, keys: keys, timeColumn: 5, window: window,
                                       aggregates: try WindowAggregateTests.aggregates(level), properties: [.start, .end, .time], inputChanges: changes)
        spec.emission = emission
        return spec
    }

    func row(_ time: Int64) -> [Value] { [.int(1), .null, .int(1), .null, .null, .int(time)] }
    func batch(_ times: Int64...) -> Batch { Batch(schema: windowSchema, rows: times.map(row)) }
    /// Kind, count, start and end.
    func changes(_ driver: Driver) -> [String] { driver.output.changes.map { "\($0.kind) \($0.row[1].number!) \($0.row[6].number!)..\($0.row[7].number!)" } }

    @Test func earlyResultsAreUpdated() throws {
        let clock = TestClock(100)
        let driver = try Driver(PaneWindowOperator(spec(.tumble(size: 10, offset: 0), .init(earlyDelay: 50))), now: { clock.now })
        try driver.process(batch(1, 2))
        #expect(driver.op.wakeAt == 150)
        clock.now = 160
        _ = try driver.op.onTime(160, output: driver.output)
        try driver.process(batch(3))
        #expect(driver.op.wakeAt == 210)
        try driver.advance(9)
        #expect(changes(driver) == ["+I 2 0..10", "-U 2 0..10", "+U 3 0..10"])
        try driver.process(batch(4))
        #expect(driver.metrics.lateRows.get() == 1)
        #expect(driver.op.wakeAt == nil)
    }

    @Test func lateRowsUpdateResults() throws {
        let driver = try Driver(PaneWindowOperator(spec(.tumble(size: 10, offset: 0), .init(allowedLateness: 20))))
        try driver.process(batch(1, 2))
        try driver.advance(9)
        try driver.process(batch(3))
        try driver.advance(28)
        try driver.process(batch(4))
        try driver.advance(29)
        try driver.process(batch(5))
        #expect(changes(driver) == ["+I 2 0..10", "-U 2 0..10", "+U 3 0..10", "-U 3 0..10", "+U 4 0..10"])
        #expect(driver.metrics.lateRows.get() == 1)
    }

    @Test func connectedSessionsAreTakenBack() throws {
        let driver = try Driver(PaneWindowOperator(spec(.session(gap: 10), .init(earlyDelay: 0, allowedLateness: 100))))
        try driver.process(batch(0))
        try driver.process(batch(15))
        try driver.process(batch(8))
        try driver.finish()
        #expect(netted(driver.output.changes).values.allSatisfy { $0 == 1 })
        #expect(netted(driver.output.changes).keys.map { [$0[1], $0[6], $0[7]] } == [[.int(3), .int(0), .int(25)]])
    }

    /// With the lateness that no row exceeds, what is left of the changelog is the result of all rows, whenever results came.
    @Test(arguments: [.tumble(size: 10, offset: 3), .hop(slide: 5, size: 15, offset: 0), .cumulate(step: 5, size: 10, offset: 0), .session(gap: 8)] as [WindowSpec], [1, 7, nil] as [Int?])
    func whatIsLeftIsTheResult(_ window: WindowSpec, _ size: Int?) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed", seed)
        var random = SeededGenerator(seed)
        let inputs = WindowInput.random(changes: true, using: &random)
        let clock = TestClock(0)
        let spec = try spec(window, .init(earlyDelay: 5, lateDelay: 3, allowedLateness: 10_000), level: 2, changes: true)
        var driver = try Driver(PaneWindowOperator(spec), now: { clock.now }), changes: [(kind: RowKind, row: [Value])] = []
        let stop = Int.random(in: 0..<inputs.count, using: &random)
        var rows: [([Value], RowKind)] = []
        for (i, input) in WindowInput.cut(inputs, size).enumerated() {
            if i == stop {
                let pieces = try driver.op.snapshot(1).units.flatMap { try $0.pieces() }
                changes += driver.output.changes
                driver = try Driver(PaneWindowOperator(spec), now: { clock.now })
                try driver.op.restore(RestoredState(pieces))
            }
            clock.now += 1
            if let wake = driver.op.wakeAt, wake <= clock.now { _ = try driver.op.onTime(clock.now, output: driver.output) }
            switch input {
            case .rows(let list):
                rows += list
                try driver.process(randomForm(windowSchema, list.map(\.0), kinds: list.map(\.1), using: &random))
            case .watermark(let time): try driver.advance(time)
            }
        }
        try driver.finish()
        changes += driver.output.changes
        var expected: [[Value]] = []
        if case .session(let gap) = window {
            var model = SessionModel(gap: gap, keys: [0])
            for (row, kind) in rows { model.add(row, kind) }
            model.advance(.max)
            expected = model.results(spec.aggregates)
        } else {
            var model = WindowModel(spec)
            for (row, kind) in rows { model.add(row, kind) }
            model.advance(.max)
            expected = model.results
        }
        let left = netted(changes)
        #expect(left.values.allSatisfy { $0 == 1 }, "seed \(seed)")
        #expect(same(Array(left.keys), expected), "seed \(seed)")
    }
}
