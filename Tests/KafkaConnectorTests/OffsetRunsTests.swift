import StreamCore
import Testing
@testable import KafkaConnector

@Suite("where copied records are") struct OffsetRunsTests {
    private func runs(_ all: (Int64, Int64, Int64)...) -> OffsetRuns {
        var runs = OffsetRuns()
        for (source, target, count) in all { runs.append(.init(source: source, target: target, count: count)) }
        return runs
    }

    @Test func adjacentRecordsAreOneRun() {
        let runs = runs((0, 0, 5), (5, 5, 3), (10, 8, 2))
        #expect(runs.runs == [.init(source: 0, target: 0, count: 8), .init(source: 10, target: 8, count: 2)])
        #expect((0...12).map { runs.target(of: $0) } == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 9, 10])
        #expect(runs.target(of: 1_000) == 10, "never beyond what was copied")
        #expect(OffsetRuns().target(of: 3) == nil)
    }

    @Test func aGroupBeforeTheFirstRecordBeginsWithIt() {
        #expect(runs((100, 7, 5)).target(of: 3) == 7)
    }

    @Test func ofRecordsCopiedTwiceTheNewerCopyCounts() {
        let runs = runs((0, 0, 10), (6, 10, 4), (10, 14, 1))
        #expect((4...11).map { runs.target(of: $0) } == [4, 5, 10, 11, 12, 13, 14, 15])
        let anew = self.runs((0, 0, 10), (0, 10, 2))
        #expect(anew.runs == [.init(source: 0, target: 10, count: 2)])
    }

    /// Against a list of all copies: the translation loses nothing, never goes backwards, and is exact among the newest runs.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64]) func translationsLoseNothing(seed: UInt64) {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func random(_ n: Int) -> Int64 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int64(state % UInt64(n))
        }
        var runs = OffsetRuns(), copies: [(source: Int64, target: Int64)] = [], source: Int64 = 0, target: Int64 = 0
        for _ in 0..<2_000 {
            source += random(3)
            target += random(3)
            for _ in 0...random(4) {
                copies.append((source, target))
                runs.append(.init(source: source, target: target, count: 1))
                (source, target) = (source + 1, target + 1)
            }
        }
        #expect(runs.runs.count <= OffsetRuns.runsMax, "seed \(seed)")
        let exactFrom = runs.runs[runs.runs.count - OffsetRuns.runsMax / 2].source
        var last: Int64 = 0, i = 0
        for offset in 0...source {
            while i < copies.count, copies[i].source < offset { i += 1 }
            let found = runs.target(of: offset)!
            // The first record that the group has not read.
            if i < copies.count { #expect(found <= copies[i].target, "seed \(seed) offset \(offset)") }
            if offset > exactFrom, i > 0 { #expect(found > copies[i - 1].target, "seed \(seed) offset \(offset)") }
            #expect(found >= last)
            last = found
        }
    }

    @Test func stateIsReadBack() throws {
        let all = [TopicPartition("a", 0): runs((0, 0, 5), (7, 5, 3)), TopicPartition("b.c", 11): runs((1 << 40, 3, 1)), TopicPartition("empty", 1): OffsetRuns()]
        let bytes = OffsetRunsCoding.encode(all)
        #expect(try OffsetRunsCoding.decode(bytes) == all)
        for n in 0..<bytes.count { #expect(throws: StreamError.self) { try OffsetRunsCoding.decode(Array(bytes[..<n])) } }
    }

    @Test func namesAreTakenAsNames() throws {
        let patterns = try NamePatterns(["orders.eu", "pay.*", "x|y"])
        #expect(patterns.match("orders.eu") && !patterns.match("orders-eu") && patterns.match("payments") && patterns.match("y") && !patterns.match("xy"))
        #expect(throws: NamePatterns.InvalidPattern.self) { try NamePatterns(["a("]) }
    }

    @Test func whatCameFromTheTargetDoesNotGoBack() throws {
        let all = try NamePatterns([".*"]), none = try NamePatterns([])
        let names = MirrorNames(topics: all, exclude: none, policy: .prefix("dc1."), backPrefix: "dc2.", isOneCluster: false)
        #expect(names.isMirrored("orders") && names.target("orders") == "dc1.orders")
        #expect(!names.isMirrored("dc2.orders") && !names.isMirrored("dc3.dc2.orders") && names.isMirrored("dc3.orders") && !names.isMirrored("__consumer_offsets"))
        let copy = MirrorNames(topics: all, exclude: none, policy: .prefix("copy."), backPrefix: nil, isOneCluster: true)
        #expect(copy.isMirrored("orders") && !copy.isMirrored("copy.orders"))
    }
}
