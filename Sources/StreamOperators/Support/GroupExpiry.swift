/// When each group of a table was last written, and which are too old.
final class GroupExpiry {
    let timeToLive: Int64
    private let writtenAt = GroupArray<Int64>(fill: 0)
    /// The group at which the search for old ones goes on.
    private var sweepAt = 0

    init(milliseconds: Int64) { timeToLive = milliseconds }

    func reserve(_ n: Int) { writtenAt.reserve(n) }
    func remap(_ kept: [Int32]) {
        writtenAt.remap(kept)
        sweepAt = 0
    }
    func frozen(_ range: Range<Int>) -> MemoryBlock { writtenAt.frozen(range) }

    func isExpired(_ group: Int32, _ now: Int64) -> Bool { now - writtenAt.base[Int(group)] >= timeToLive }
    func touch(_ groups: [Int32], _ now: Int64) { for group in groups { writtenAt.base[Int(group)] = now } }
    func writtenAt(_ group: Int32) -> Int64 { writtenAt.base[Int(group)] }
    func set(_ group: Int32, _ time: Int64) { writtenAt.base[Int(group)] = time }

    /// The old ones among the next `budget` of `count` groups, going round.
    func sweep(_ budget: Int, of count: Int, _ now: Int64) -> [Int32] {
        var old: [Int32] = []
        for _ in 0..<min(budget, count) {
            if sweepAt >= count { sweepAt = 0 }
            if isExpired(Int32(sweepAt), now) { old.append(Int32(sweepAt)) }
            sweepAt += 1
        }
        return old
    }
}

extension Duration {
    /// Rounded down, at least 1.
    var wholeMilliseconds: Int64 { max(1, components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000) }
}
