import StreamCore

/// Where the records of a source partition are in the target's: runs of offsets that go up by one on both sides.
///
///     source   0 ... 99   100 ... 149   152 ... 199          (150, 151: gone by compaction, or the end of a transaction)
///     target   0 ... 99   140 ... 189   190 ... 237          (100 ... 139: written by somebody else)
///
/// Exact for the newest ``runsMax`` / 2 runs; of the older ones every second is let go when there are too many, and an offset in
/// between is translated to the run before it.
struct OffsetRuns: Sendable, Equatable {
    struct Run: Sendable, Equatable {
        var source: Int64, target: Int64, count: Int64
        var sourceEnd: Int64 { source + count }
        var targetEnd: Int64 { target + count }
    }

    static let runsMax = 512

    private(set) var runs: [Run] = []

    /// Behind the newest record that was copied.
    var sourceEnd: Int64? { runs.last?.sourceEnd }
    var targetEnd: Int64? { runs.last?.targetEnd }

    mutating func append(_ run: Run) {
        guard run.count > 0 else { return }
        // Records that are copied again: the newer copy counts.
        while let last = runs.last, last.sourceEnd > run.source {
            if last.source >= run.source { runs.removeLast() } else { runs[runs.count - 1].count = run.source - last.source }
        }
        if let last = runs.last, last.sourceEnd == run.source, last.targetEnd == run.target {
            runs[runs.count - 1].count += run.count
            return
        }
        runs.append(run)
        if runs.count > Self.runsMax { thin() }
    }

    private mutating func thin() {
        let kept = Self.runsMax / 2
        let old = runs.count - kept
        runs = runs[..<old].enumerated().filter { $0.offset % 2 == 0 }.map(\.element) + runs[old...]
    }

    /// Where a consumer that has read everything before a source offset goes on: nothing from there on is left out, and what it has
    /// read does not come again, as far as the runs know. nil when nothing was copied.
    func target(of source: Int64) -> Int64? {
        guard let first = runs.first else { return nil }
        var low = 0, high = runs.count
        while low < high {
            let middle = (low + high) / 2
            if runs[middle].source <= source { low = middle + 1 } else { high = middle }
        }
        // Records before the first were not copied: it did not begin with them.
        guard low > 0 else { return first.target }
        let run = runs[low - 1]
        return run.target + min(source - run.source, run.count)
    }
}

/// The runs of many partitions as bytes.
enum OffsetRunsCoding {
    private static let version: UInt8 = 1

    static func encode(_ all: [TopicPartition: OffsetRuns]) -> [UInt8] {
        var bytes: [UInt8] = [version]
        func add(_ value: Int64) {
            var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
            while rest > 0x7F {
                bytes.append(UInt8(rest & 0x7F) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }
        add(Int64(all.count))
        for (partition, runs) in all.sorted(by: { $0.key < $1.key }) {
            add(Int64(partition.topic.utf8.count))
            bytes += partition.topic.utf8
            add(Int64(partition.partition))
            add(Int64(runs.runs.count))
            var last = OffsetRuns.Run(source: 0, target: 0, count: 0)
            for run in runs.runs {
                add(run.source - last.sourceEnd)
                add(run.target - last.targetEnd)
                add(run.count)
                last = run
            }
        }
        return bytes
    }

    static func decode(_ bytes: [UInt8]) throws -> [TopicPartition: OffsetRuns] {
        let damaged = StreamError(.corrupt, "the mirror's state of \(bytes.count) bytes is damaged", fix: "start from an earlier checkpoint, or anew with --fresh")
        guard bytes.first == version else { throw damaged }
        var at = 1
        func next() throws -> Int64 {
            var value: UInt64 = 0, shift: UInt64 = 0
            while at < bytes.count, shift < 64 {
                let byte = bytes[at]
                at += 1
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
                shift += 7
            }
            throw damaged
        }
        var result: [TopicPartition: OffsetRuns] = [:]
        for _ in 0..<(try next()) {
            let length = Int(try next())
            guard length >= 0, length <= bytes.count - at else { throw damaged }
            let topic = String(decoding: bytes[at..<at + length], as: UTF8.self)
            at += length
            guard let partition = Int32(exactly: try next()) else { throw damaged }
            var runs = OffsetRuns(), last = OffsetRuns.Run(source: 0, target: 0, count: 0)
            for _ in 0..<(try next()) {
                let source = try next() + last.sourceEnd, target = try next() + last.targetEnd
                last = .init(source: source, target: target, count: try next())
                runs.append(last)
            }
            result[TopicPartition(topic, partition)] = runs
        }
        guard at == bytes.count else { throw damaged }
        return result
    }
}
