import CChecksum
import Foundation
import ShardLog
import StreamCore

/// A directory that is removed with the last reference to it.
final class TemporaryDirectory: Sendable {
    let path: String
    init() {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("shardlog-\(UUID().uuidString)").path
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// SplitMix64.
struct SeededRandom: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension ShardLog {
    /// Everything in a shard now, as text.
    func texts(_ stream: String, shard: Int = 0, from position: ShardPosition = .trimHorizon, maxBytes: Int = 1 << 20) throws -> [String] {
        try reader(stream, shard: shard, position: position).rest(maxBytes: maxBytes)
    }
}

extension ShardReader {
    func rest(maxBytes: Int = 1 << 20) throws -> [String] {
        var all: [String] = []
        while let chunk = try read(maxBytes: maxBytes) {
            for i in 0..<chunk.count { all.append(String(decoding: chunk.data(i), as: UTF8.self)) }
        }
        return all
    }
}

func record(_ text: String, key: String = "k") -> Record { Record(partitionKey: key, data: Array(text.utf8)) }

/// The newest segment of a shard.
func lastSegment(_ log: ShardLog, _ stream: String, shard: Int = 0) -> String {
    let directory = "\(log.directory)/streams/\(stream)/shardId-00000000000\(shard)"
    let names = try! FileManager.default.contentsOfDirectory(atPath: directory).filter { $0.hasSuffix(".log") }.sorted()
    return directory + "/" + names.last!
}

func removeDurableMark(_ log: ShardLog, _ stream: String) {
    try? FileManager.default.removeItem(atPath: "\(log.directory)/streams/\(stream)/shardId-000000000000/durable")
}

extension StreamCore.Host {
    static func system(now: @escaping @Sendable () -> Int64) -> StreamCore.Host {
        var host = StreamCore.Host.system
        host.now = now
        return host
    }
}

/// A batch whose header was changed, with the checksum of now.
func resealed(_ batch: [UInt8]) -> [UInt8] {
    var batch = batch
    let sum = batch.withUnsafeBytes { sw_crc32c(0, $0.baseAddress! + 8, $0.count - 8) }
    withUnsafeBytes(of: sum.littleEndian) { batch.replaceSubrange(4..<8, with: $0) }
    return batch
}
