import Foundation
import ShardLog
import StreamCore
import Testing

@Suite("requests that are sent again") struct RepeatedRequestTests {
    private func batch(_ texts: [String]) -> RecordBatch {
        var batch = RecordBatch()
        for text in texts { batch.append(Record(partitionKey: text, data: Array(text.utf8))) }
        return batch
    }

    private func stored(_ log: ShardLog) throws -> [String] { try log.info("s").shards.flatMap { try log.texts("s", shard: $0.id) } }

    @Test("what the first try wrote is told again and not written again, also by a new writer and after splits and merges")
    func repeated() throws {
        let directory = TemporaryDirectory()
        let log = try ShardLog(directory: directory.path)
        try log.createStream("s", shards: 3)
        let texts = (0..<40).map { "r\($0)" }, all = batch(texts), request = RequestID("4c1f")
        let first = try log.writer("s").append(all, request: request, isRepeated: false).placements
        _ = try log.writer("s").append(batch(["other"]), request: RequestID("9a02"), isRepeated: false)
        for step in 0..<3 {
            let again = try log.writer("s").append(all, request: request, isRepeated: true).placements
            #expect(again == first)
            #expect(try stored(log).sorted() == (texts + ["other"]).sorted())
            if step == 0 { _ = try log.split("s", shard: 1, at: log.info("s").shards[1].range.first + 7) }
            if step == 1 { _ = try log.merge("s", 0, 3) }
        }
    }

    @Test("of a request that was written in part only the rest is written, and the same name without a repetition is a new request")
    func parts() throws {
        let directory = TemporaryDirectory()
        let log = try ShardLog(directory: directory.path)
        try log.createStream("s", shards: 2)
        let texts = (0..<40).map { "r\($0)" }, ranges = try log.info("s").shards.map(\.range)
        let request = RequestID("77aa"), writer = try log.writer("s")
        // As a crash between two shards leaves it.
        let half = texts.filter { ranges[0].contains(HashKey.of($0)) }
        #expect(!half.isEmpty && half.count < texts.count)
        let known = try writer.append(batch(half), request: request, isRepeated: false).placements
        let whole = try writer.append(batch(texts), request: request, isRepeated: true).placements
        #expect(try stored(log).sorted() == texts.sorted())
        #expect(zip(texts, whole).filter { ranges[0].contains(HashKey.of($0.0)) }.map(\.1) == known)
        #expect(whole.allSatisfy { $0.sequence != nil })
        // Other records under the same name, as many of them: none is taken for one that is there.
        let others = texts.map { $0 + "'" }
        #expect(try writer.append(batch(others), request: request, isRepeated: true).placements.allSatisfy { !whole.contains($0) })
        #expect(try stored(log).sorted() == (texts + others).sorted())
        _ = try writer.append(batch(["r0"]), request: request, isRepeated: false)
        #expect(try stored(log).count == texts.count + others.count + 1)
    }
}
