import Foundation
import LakeTable
import StreamCore

/// The content of a completed commit.
struct CommitMetadata: Sendable, Hashable {
    var operation: String
    var stats: [WriteStat] = []
    /// Partition -> file ids that a replacecommit removes from the snapshot.
    var replaced: [String: [String]] = [:]
    var extra: [String: String] = [:]

    /// Keys of `extra`: which checkpoint of which job the commit belongs to.
    static let checkpointKey = "swiftwater.checkpoint"
    static let jobKey = "swiftwater.job"

    var schemaText: String? { extra["schema"] }

    func json() -> [UInt8] {
        var text = "{\n  \"partitionToWriteStats\" : {"
        let partitions = Dictionary(grouping: stats, by: \.partition).sorted { $0.key < $1.key }
        text += partitions.map { partition, stats in
            "\n    \(JSONText.quote(partition)) : [" + stats.map(Self.json).joined(separator: ",") + " ]"
        }.joined(separator: ",")
        text += "\n  },\n  \"compacted\" : false,\n  \"extraMetadata\" : {"
        text += extra.sorted { $0.key < $1.key }.map { "\n    \(JSONText.quote($0.key)) : \(JSONText.quote($0.value))" }.joined(separator: ",")
        text += "\n  },\n"
        if !replaced.isEmpty {
            text += "  \"partitionToReplaceFileIds\" : {" + replaced.sorted { $0.key < $1.key }.map {
                "\n    \(JSONText.quote($0.key)) : [" + $0.value.map(JSONText.quote).joined(separator: ", ") + "]"
            }.joined(separator: ",") + "\n  },\n"
        }
        return Array((text + "  \"operationType\" : \(JSONText.quote(operation))\n}").utf8)
    }

    private static func json(_ s: WriteStat) -> String {
        let zeros = ["totalWriteErrors", "totalLogRecords", "totalLogFilesCompacted", "totalLogSizeCompacted", "totalUpdatedRecordsCompacted",
                     "totalLogBlocks", "totalCorruptLogBlock", "totalRollbackBlocks"]
        let nulls = ["cdcStats", "tempPath", "minEventTime", "maxEventTime", "runtimeStats"]
        var fields = [
            ("fileId", JSONText.quote(s.fileId)), ("path", s.path.map(JSONText.quote) ?? "null"),
            ("prevCommit", JSONText.quote(s.previous ?? "null")), ("partitionPath", s.path == nil ? "null" : JSONText.quote(s.partition)),
            ("numWrites", String(s.rows)), ("numDeletes", String(s.deletes)), ("numUpdateWrites", String(s.updates)),
            ("numInserts", String(s.inserts)), ("totalWriteBytes", String(s.bytes)), ("fileSizeInBytes", String(s.bytes)),
        ]
        fields += zeros.map { ($0, "0") } + nulls.map { ($0, "null") }
        return " {" + fields.map { "\n      \"\($0)\" : \($1)" }.joined(separator: ",") + "\n    }"
    }

    /// - Throws: `.corrupt` when it is not the JSON of a commit.
    static func parse(_ bytes: [UInt8], file: String) throws -> CommitMetadata {
        struct Stat: Decodable {
            var fileId: String?, path: String?, prevCommit: String?, partitionPath: String?
            var numWrites: Int64?, numDeletes: Int64?, numUpdateWrites: Int64?, numInserts: Int64?, totalWriteBytes: Int64?, fileSizeInBytes: Int64?
        }
        struct Record: Decodable {
            var partitionToWriteStats: [String: [Stat]]?
            var partitionToReplaceFileIds: [String: [String]]?
            var extraMetadata: [String: String?]?
            var operationType: String?
        }
        do {
            let record = try JSONDecoder().decode(Record.self, from: Data(bytes))
            var out = CommitMetadata(operation: record.operationType ?? "UNKNOWN")
            for (partition, stats) in (record.partitionToWriteStats ?? [:]).sorted(by: { $0.key < $1.key }) {
                out.stats += stats.map {
                    WriteStat(fileId: $0.fileId ?? "", path: $0.path, previous: $0.prevCommit == "null" ? nil : $0.prevCommit, partition: partition,
                              rows: $0.numWrites ?? 0, inserts: $0.numInserts ?? 0, updates: $0.numUpdateWrites ?? 0, deletes: $0.numDeletes ?? 0,
                              bytes: $0.fileSizeInBytes ?? $0.totalWriteBytes ?? 0)
                }
            }
            out.replaced = record.partitionToReplaceFileIds ?? [:]
            out.extra = (record.extraMetadata ?? [:]).compactMapValues { $0 }
            return out
        } catch {
            throw StreamError(.corrupt, "\(file) is not the JSON of a commit: \(error)")
        }
    }
}

enum JSONText {
    static func quote(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }
}
