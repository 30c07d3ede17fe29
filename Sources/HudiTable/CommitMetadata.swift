import Foundation
import LakeTable
import StreamCore

/// The content of a completed commit: JSON in version 6, Avro in 8 and 9.
package struct CommitMetadata: Sendable, Hashable {
    package var operation: String
    package var stats: [WriteStat] = []
    /// Partition -> file ids that a replacecommit removes from the snapshot.
    package var replaced: [String: [String]] = [:]
    package var extra: [String: String] = [:]

    package init(operation: String) { self.operation = operation }

    /// Keys of `extra`: which checkpoint of which job the commit belongs to.
    static let checkpointKey = "swiftwater.checkpoint"
    static let jobKey = "swiftwater.job"

    var schemaText: String? { extra["schema"] }

    /// The timeline's word for a write that does this.
    var action: String { Self.action(of: operation) }

    static func action(of operation: String) -> String {
        ["INSERT_OVERWRITE", "INSERT_OVERWRITE_TABLE", "DELETE_PARTITION", "CLUSTER"].contains(operation) ? "replacecommit" : "commit"
    }

    private var byPartition: [(key: String, value: [WriteStat])] { Dictionary(grouping: stats, by: \.partition).sorted { $0.key < $1.key } }
    private var replacedByPartition: [(key: String, value: [String])] { replaced.sorted { $0.key < $1.key } }

    private static let zeros = ["totalWriteErrors", "totalLogRecords", "totalLogFilesCompacted", "totalLogSizeCompacted", "totalUpdatedRecordsCompacted",
                                "totalLogBlocks", "totalCorruptLogBlock", "totalRollbackBlocks"]

    // MARK: JSON

    package func json() -> [UInt8] {
        var text = "{\n  \"partitionToWriteStats\" : {"
        text += byPartition.map { partition, stats in
            "\n    \(JSONText.quote(partition)) : [" + stats.map(Self.json).joined(separator: ",") + " ]"
        }.joined(separator: ",")
        text += "\n  },\n  \"compacted\" : false,\n  \"extraMetadata\" : {"
        text += extra.sorted { $0.key < $1.key }.map { "\n    \(JSONText.quote($0.key)) : \(JSONText.quote($0.value))" }.joined(separator: ",")
        text += "\n  },\n"
        if !replaced.isEmpty {
            text += "  \"partitionToReplaceFileIds\" : {" + replacedByPartition.map {
                "\n    \(JSONText.quote($0.key)) : [" + $0.value.map(JSONText.quote).joined(separator: ", ") + "]"
            }.joined(separator: ",") + "\n  },\n"
        }
        return Array((text + "  \"operationType\" : \(JSONText.quote(operation))\n}").utf8)
    }

    private static func json(_ s: WriteStat) -> String {
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

    // MARK: Avro

    private static let avroLongs = ["numWrites", "numDeletes", "numUpdateWrites", "numInserts", "totalWriteBytes", "fileSizeInBytes"] + zeros

    private static let commitSchema = avroSchema(replace: false)
    private static let replaceSchema = avroSchema(replace: true)

    private static func avroSchema(replace: Bool) -> String {
        func optional(_ name: String, _ type: String) -> String { #"{"name":"\#(name)","type":["null",\#(type)],"default":null}"# }
        let space = #""namespace":"org.apache.hudi.avro.model""#
        let fields = ["fileId", "path", "prevCommit", "partitionPath"].map { optional($0, "\"string\"") } + avroLongs.map { optional($0, "\"long\"") }
            + ["minEventTime", "maxEventTime"].map { optional($0, "\"long\"") } + [optional("tempPath", "\"string\""), optional("numUpdates", "\"long\"")]
        let stat = #"{"type":"record",\#(space),"name":"HoodieWriteStat","fields":[\#(fields.joined(separator: ","))]}"#
        var all = [
            optional("partitionToWriteStats", #"{"type":"map","values":{"type":"array","items":\#(stat)}}"#), optional("compacted", "\"boolean\""),
            optional("extraMetadata", #"{"type":"map","values":"string"}"#), #"{"name":"version","type":["int","null"],"default":1}"#,
            optional("operationType", "\"string\""),
        ]
        if replace { all.append(optional("partitionToReplaceFileIds", #"{"type":"map","values":{"type":"array","items":"string"}}"#)) }
        return #"{"type":"record",\#(space),"name":"\#(replace ? "HoodieReplaceCommitMetadata" : "HoodieCommitMetadata")","fields":[\#(all.joined(separator: ","))]}"#
    }

    package func avro() -> [UInt8] {
        var out = AvroWriter()
        out.long(1)
        out.items(byPartition) { out, part in
            out.string(part.key)
            out.items(part.value) { out, s in
                out.optional(s.fileId) { $0.string($1) }
                out.optional(s.path) { $0.string($1) }
                out.optional(s.previous ?? "null") { $0.string($1) }
                out.optional(s.path == nil ? nil : s.partition) { $0.string($1) }
                for number in [s.rows, s.deletes, s.updates, s.inserts, s.bytes, s.bytes] + Self.zeros.map({ _ in 0 }) { out.optional(number) { $0.long($1) } }
                for _ in 0..<4 { out.long(0) }  // minEventTime, maxEventTime, tempPath, numUpdates
            }
        }
        out.long(1)
        out.bytes.append(0)
        out.long(1)
        out.items(extra.sorted { $0.key < $1.key }) { $0.string($1.key); $0.string($1.value) }
        out.long(0)
        out.long(1)
        out.optional(operation) { $0.string($1) }
        if !replaced.isEmpty {
            out.long(1)
            out.items(replacedByPartition) { out, part in
                out.string(part.key)
                out.items(part.value) { $0.string($1) }
            }
        }
        return AvroContainer.file(schema: replaced.isEmpty ? Self.commitSchema : Self.replaceSchema, record: out.bytes)
    }

    // MARK: Reading

    /// - Throws: `.corrupt` when it is not the metadata of a commit.
    package static func parse(_ bytes: [UInt8], file: String) throws -> CommitMetadata {
        var out = CommitMetadata(operation: "UNKNOWN")
        do {
            if AvroContainer.isContainer(bytes) { try out.readAvro(bytes) } else { try bytes.withUnsafeBufferPointer { try out.readJSON($0) } }
        } catch let error as StreamError {
            throw StreamError(.corrupt, "\(file) is not the metadata of a commit: \(error.problem)")
        }
        return out
    }

    /// Only the table's columns, which is all that most readers want of a commit.
    static func schemaText(_ bytes: [UInt8], file: String) throws -> String? { try parse(bytes, file: file).schemaText }

    private mutating func readAvro(_ bytes: [UInt8]) throws {
        let (schema, start) = try AvroContainer.open(bytes)
        var reader = start
        try reader.record(try AvroNode.parse(schema)) { reader, name, type in
            switch name {
            case "partitionToWriteStats":
                try reader.map(type) { reader, partition, list in
                    try reader.array(list) { reader, stat in
                        var fields = StatFields()
                        try reader.record(stat) { reader, name, type in
                            switch name {
                            case "fileId": fields.fileId = try reader.text(type)
                            case "path": fields.path = try reader.text(type)
                            case "prevCommit": fields.previous = try reader.text(type)
                            case "numWrites": fields.rows = try reader.integer(type)
                            case "numDeletes": fields.deletes = try reader.integer(type)
                            case "numUpdateWrites": fields.updates = try reader.integer(type)
                            case "numInserts": fields.inserts = try reader.integer(type)
                            case "totalWriteBytes": fields.written = try reader.integer(type)
                            case "fileSizeInBytes": fields.size = try reader.integer(type)
                            default: try reader.skip(type)
                            }
                        }
                        stats.append(fields.stat(partition))
                    }
                }
            case "partitionToReplaceFileIds":
                try reader.map(type) { reader, partition, list in
                    try reader.array(list) { reader, id in if let id = try reader.text(id) { replaced[partition, default: []].append(id) } }
                }
            case "extraMetadata": try reader.map(type) { reader, key, value in extra[key] = try reader.text(value) }
            case "operationType": operation = try reader.text(type) ?? operation
            default: try reader.skip(type)
            }
        }
        stats.sortByPartition()
    }

    private mutating func readJSON(_ bytes: UnsafeBufferPointer<UInt8>) throws {
        var json = JSONScanner(bytes)
        try json.object { json, key in
            switch key {
            case "partitionToWriteStats":
                try json.object { json, partition in
                    try json.array { json in
                        var fields = StatFields()
                        try json.object { json, name in
                            switch name {
                            case "fileId": fields.fileId = try json.text()
                            case "path": fields.path = try json.text()
                            case "prevCommit": fields.previous = try json.text()
                            case "numWrites": fields.rows = try json.integer()
                            case "numDeletes": fields.deletes = try json.integer()
                            case "numUpdateWrites": fields.updates = try json.integer()
                            case "numInserts": fields.inserts = try json.integer()
                            case "totalWriteBytes": fields.written = try json.integer()
                            case "fileSizeInBytes": fields.size = try json.integer()
                            default: try json.skip()
                            }
                        }
                        stats.append(fields.stat(partition))
                    }
                }
            case "partitionToReplaceFileIds":
                try json.object { json, partition in
                    try json.array { json in if let id = try json.text() { replaced[partition, default: []].append(id) } }
                }
            case "extraMetadata": try json.object { json, key in extra[key] = try json.text() }
            case "operationType": operation = try json.text() ?? operation
            default: try json.skip()
            }
        }
        try json.end()
        stats.sortByPartition()
    }

    private struct StatFields {
        var fileId: String?, path: String?, previous: String?
        var rows: Int64?, deletes: Int64?, updates: Int64?, inserts: Int64?, written: Int64?, size: Int64?

        func stat(_ partition: String) -> WriteStat {
            WriteStat(fileId: fileId ?? "", path: path, previous: previous == "null" ? nil : previous, partition: partition, rows: rows ?? 0,
                      inserts: inserts ?? 0, updates: updates ?? 0, deletes: deletes ?? 0, bytes: size ?? written ?? 0)
        }
    }
}

extension [WriteStat] {
    /// Maps have no order; that of the file is kept within a partition.
    fileprivate mutating func sortByPartition() {
        var isSorted = true
        for i in indices.dropFirst() where self[i].partition < self[i - 1].partition { isSorted = false }
        guard !isSorted else { return }
        self = enumerated().sorted { ($0.element.partition, $0.offset) < ($1.element.partition, $1.offset) }.map(\.element)
    }
}
