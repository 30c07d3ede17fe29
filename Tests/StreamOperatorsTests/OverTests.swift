import StreamCore
import Testing
@testable import StreamOperators

@Suite struct OverTests {
    private static let schema = RankInput.schema
    private static let byTime = [SortSpec.Key(column: 3, descending: false, nullsFirst: true)]

    private static func calls(_ limited: Bool) throws -> [OverCall] {
        var calls: [OverCall] = [
            .aggregate(try call("COUNT", of: schema)), .aggregate(try call("SUM", [1], of: schema)), .aggregate(try call("MAX", [1], of: schema)),
            .aggregate(try call("COUNT", [2], of: schema, distinct: true)), .aggregate(try call("FIRST_VALUE", [2], of: schema)),
            .aggregate(try call("LAST_VALUE", [1], of: schema)), .aggregate(try call("MIN", [2], of: schema)), .rowNumber, .rank, .denseRank,
        ]
        if !limited { calls += [.lag(column: 1, type: .bigint, offset: 2, otherwise: nil), .lag(column: 2, type: .string, offset: 1, otherwise: 2)] }
        return calls
    }

    /// Results of one partition's ordered rows. Numbers count the rows of this list, to which `before` rows do not belong any more.
    private static func results(_ rows: [[Value]], _ calls: [OverCall], _ frame: OverFrame, isPeer: ([Value], [Value]) -> Bool) -> [[Value]] {
        rows.indices.map { i in
            var firstPeer = i, lastPeer = i
            while firstPeer > 0, isPeer(rows[firstPeer - 1], rows[i]) { firstPeer -= 1 }
            while lastPeer + 1 < rows.count, isPeer(rows[lastPeer + 1], rows[i]) { lastPeer += 1 }
            let end = frame.isRange ? lastPeer : i
            var start = 0
            if let n = frame.preceding {
                start = frame.isRange ? rows.firstIndex { $0[3].number! >= rows[i][3].number! - n }! : max(0, end - Int(n))
            }
            let dense = (0...i).filter { $0 == 0 || !isPeer(rows[$0 - 1], rows[$0]) }.count
            return rows[i] + calls.map { call -> Value in
                switch call {
                case .aggregate(let call): return reference(call, Array(rows[start...end]))
                case .rowNumber: return .int(Int64(i + 1))
                case .rank: return .int(Int64(firstPeer + 1))
                case .denseRank: return .int(Int64(dense))
                case .lag(let column, _, let offset, let otherwise):
                    return lastPeer >= offset ? rows[lastPeer - offset][column] : otherwise.map { rows[lastPeer][$0] } ?? .null
                }
            }
        }
    }

    private static let frames: [OverFrame] = [
        .init(isRange: true), .init(isRange: false), .init(isRange: false, preceding: 2), .init(isRange: true, preceding: 150), .init(isRange: false, preceding: 0),
        .init(isRange: true, preceding: 0),
    ]

    /// By event time: rows wait for the watermark; which late rows count depends on the frame.
    @Test(arguments: 0..<18) func eventTime(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("over \(round): seed", seed)
        var random = SeededGenerator(seed)
        let frame = Self.frames[round % Self.frames.count], calls = try Self.calls(frame.preceding != nil)
        let spec = OverSpec(inputSchema: Self.schema, partition: [0], order: .eventTime(column: 3), frame: frame, calls: calls)
        let rows = RankInput.changes(350, keys: [3, 40][round % 2], takesBack: false, using: &random).map(\.row)
        var steps: [(row: [Value], watermark: Int64?)] = []
        for (i, row) in rows.enumerated() { steps.append((row, random.chance(15) ? Int64(i * 10) - 40 : nil)) }
        // The rows of each key that are not late, in order.
        var held: [Value: [[Value]]] = [:], out: [Value: [[Value]]] = [:], watermark = Int64.min
        func emit() {
            for key in held.keys {
                let due = held[key]!.filter { $0[3].number! <= watermark }
                held[key]!.removeAll { $0[3].number! <= watermark }
                out[key, default: []] += RankInput.ordered(due, Self.byTime)
            }
        }
        for step in steps {
            let last = out[step.row[0]]?.last?[3].number! ?? .min
            if step.row[3].number! > (frame.preceding == nil ? watermark : last) { held[step.row[0], default: []].append(step.row) }
            if let mark = step.watermark, mark > watermark {
                watermark = mark
                emit()
            }
        }
        watermark = .max
        emit()
        var expected: [[Value]: Int] = [:]
        for rows in out.values {
            for row in Self.results(rows, calls, frame, isPeer: { $0[3] == $1[3] }) { expected[row, default: 0] += 1 }
        }
        for size in [1, 7, 350] {
            var subtasks = try KeyedSubtasks(1, keys: [0], room: 1) { try TimedOverOperator(spec) }
            var waiting: [[Value]] = [], mark = Int64.min
            for step in steps {
                waiting.append(step.row)
                guard waiting.count >= size || step.watermark != nil else { continue }
                try subtasks.process(randomForm(Self.schema, waiting, using: &random))
                waiting = []
                if let next = step.watermark, next > mark {
                    mark = next
                    try subtasks.advance(next)
                }
                if random.chance(5) { try subtasks.rescale(Int.random(in: 1...4, using: &random)) }
            }
            if !waiting.isEmpty { try subtasks.process(randomForm(Self.schema, waiting, using: &random)) }
            try subtasks.finish()
            #expect(subtasks.changes.allSatisfy { $0.kind == .insert })
            #expect(netted(subtasks.changes) == expected, "seed \(seed), \(frame), batches of \(size)")
        }
    }

    /// By any columns, also over rows that are taken back.
    @Test(arguments: 0..<16) func sorted(_ round: Int) throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("sorted over \(round): seed", seed)
        var random = SeededGenerator(seed)
        let takesBack = round % 2 == 1
        let order = [Self.byTime, [SortSpec.Key(column: 1, descending: true, nullsFirst: false)], [SortSpec.Key(column: 2, descending: false, nullsFirst: true), Self.byTime[0]]][round % 3]
        let frame = round % 3 == 0 ? Self.frames[round / 3 % Self.frames.count] : Self.frames[round % 2]
        let calls = try Self.calls(false)
        let spec = OverSpec(inputSchema: Self.schema, partition: [0], order: .keys(order), frame: frame, calls: calls, inputChanges: takesBack)
        let changes = RankInput.changes(200, keys: 6, takesBack: takesBack, using: &random)
        for size in [1, 7, 200] {
            var subtasks = try KeyedSubtasks(1, keys: [0], room: 1) { try SortedOverOperator(spec, order) }
            var done = 0
            for batch in RankInput.batches(changes, size: size, insertOnly: !takesBack, using: &random) {
                try subtasks.process(batch)
                done = min(done + size, changes.count)
                if random.chance(10) { try subtasks.rescale(Int.random(in: 1...4, using: &random)) }
                guard size > 1 && random.chance(30) || done == changes.count else { continue }
                var expected: [[Value]: Int] = [:]
                for rows in RankInput.partitions(changes[..<done]).values {
                    let ordered = RankInput.ordered(rows, order)
                    for row in Self.results(ordered, calls, frame, isPeer: { a, b in order.allSatisfy { a[$0.column] == b[$0.column] } }) { expected[row, default: 0] += 1 }
                }
                #expect(netted(subtasks.changes) == expected, "seed \(seed), \(frame), batches of \(size), after \(done)")
            }
            #expect(isValid(subtasks.changes), "seed \(seed)")
        }
    }

    /// By arrival rows come out at once.
    @Test func arrival() throws {
        var random = SeededGenerator(7)
        for frame in Self.frames.prefix(3) {
            let calls = try Self.calls(frame.preceding != nil)
            let spec = OverSpec(inputSchema: Self.schema, partition: [0], order: .arrival, frame: frame, calls: calls)
            let changes = RankInput.changes(150, keys: 4, takesBack: false, using: &random)
            var expected: [[Value]: Int] = [:]
            for rows in RankInput.partitions(changes[...]).values {
                for row in Self.results(rows, calls, .init(isRange: false, preceding: frame.preceding), isPeer: { _, _ in false }) { expected[row, default: 0] += 1 }
            }
            for size in [1, 7, 150] {
                var subtasks = try KeyedSubtasks(1, keys: [0]) { try TimedOverOperator(spec) }
                for batch in RankInput.batches(changes, size: size, insertOnly: true, using: &random) {
                    try subtasks.process(batch)
                    if random.chance(10) { try subtasks.rescale(Int.random(in: 1...3, using: &random)) }
                }
                #expect(netted(subtasks.changes) == expected, "\(frame), batches of \(size)")
            }
        }
    }
}
