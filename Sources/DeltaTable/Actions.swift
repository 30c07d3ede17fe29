import Foundation
import LakeTable
import StreamCore

/// What a commit did, one line of its JSON file: exactly one of the fields is set. Actions of other kinds have none.
struct LogAction: Codable, Sendable {
    var `protocol`: TableProtocol?
    var metaData: TableMetadata?
    var add: AddFile?
    var remove: RemoveFile?
    var txn: Transaction?
    var commitInfo: CommitInfo?
}

/// Which versions and features of the protocol a reader and a writer must know.
struct TableProtocol: Codable, Sendable, Hashable {
    var minReaderVersion: Int
    var minWriterVersion: Int
    var readerFeatures: [String]?
    var writerFeatures: [String]?
}

struct TableMetadata: Codable, Sendable, Hashable {
    struct Format: Codable, Sendable, Hashable {
        var provider = "parquet"
        var options: [String: String?]? = [:]
    }

    var id: String
    var name: String?
    var description: String?
    var format = Format()
    /// The columns as JSON.
    var schemaString: String
    var partitionColumns: [String]
    var configuration: [String: String?]?
    var createdTime: Int64?

    func setting(_ key: String) -> String? { configuration?[key] ?? nil }
}

/// A deletion vector: only whether there is one counts here.
struct DeletionVector: Codable, Sendable, Hashable {
    var storageType: String?
}

/// A data file that belongs to the table from this commit on.
struct AddFile: Codable, Sendable, Hashable {
    /// Percent-encoded, relative to the table.
    var path: String
    /// nil = NULL.
    var partitionValues: [String: String?]
    var size: Int64
    var modificationTime: Int64
    var dataChange: Bool
    /// JSON: rows, bounds and nulls of the columns.
    var stats: String?
    var tags: [String: String?]?
    var deletionVector: DeletionVector?
}

/// A data file that does not belong to the table any more.
struct RemoveFile: Codable, Sendable, Hashable {
    var path: String
    /// Milliseconds since 1970.
    var deletionTimestamp: Int64?
    var dataChange: Bool
    var extendedFileMetadata: Bool?
    var partitionValues: [String: String?]?
    var size: Int64?
}

/// How far an application has come; the larger version wins.
struct Transaction: Codable, Sendable, Hashable {
    var appId: String
    var version: Int64
    var lastUpdated: Int64?
}

/// Who made a commit, and how; it has no effect on the table.
struct CommitInfo: Codable, Sendable {
    /// Milliseconds since 1970.
    var timestamp: Int64?
    var operation: String?
    var operationParameters: [String: Metric?]?
    var operationMetrics: [String: Metric?]?
    var engineInfo: String?
    /// The name of a commit of ours, by which it is found again after a crash.
    var swiftwaterCommit: String?
    var inCommitTimestamp: Int64?
}

/// A number or a text; other values are read as an empty text.
enum Metric: Codable, Sendable, Hashable {
    case number(Int64), text(String)

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if let number = try? value.decode(Int64.self) {
            self = .number(number)
        } else {
            self = .text((try? value.decode(String.self)) ?? "")
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .number(let number): try value.encode(number)
        case .text(let text): try value.encode(text)
        }
    }

    /// Engines write numbers as numbers or as texts.
    var number: Int64? {
        switch self {
        case .number(let number): number
        case .text(let text): Int64(text)
        }
    }
}

extension Sequence where Element == LogAction {
    /// The content of a commit's file.
    func json() throws -> [UInt8] {
        let encoder = JSONEncoder()
        // The same actions give the same bytes.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var out: [UInt8] = []
        for action in self {
            out += try encoder.encode(action)
            out.append(0x0A)
        }
        return out
    }
}

extension LogAction {
    /// - Throws: `.corrupt` when it is not the JSON of a commit.
    static func parse(_ bytes: [UInt8], file: String) throws -> [LogAction] {
        let decoder = JSONDecoder()
        return try bytes.split(separator: 0x0A).enumerated().compactMap { number, line in
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) { return nil }
            do { return try decoder.decode(LogAction.self, from: Data(line)) } catch {
                throw StreamError(.corrupt, "\(file), line \(number + 1), is not an action of a Delta commit: \(error)")
            }
        }
    }
}

/// Paths of actions are percent-encoded, those of files are not.
enum ActionPath {
    private static let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()/=+,;:@&$".utf8)

    static func encode(_ path: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var out: [UInt8] = []
        for byte in path.utf8 {
            if plain.contains(byte) {
                out.append(byte)
            } else {
                out += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// - Throws: `.validate` for files that lie outside of the table's folder.
    static func decode(_ path: String, table: String) throws -> String {
        guard path.utf8.contains(0x25) || path.utf8.contains(0x3A) || path.utf8.first == 0x2F else { return path }
        guard let decoded = path.removingPercentEncoding else {
            throw StreamError(.corrupt, "Delta table \(table): the path '\(path)' of a data file is not percent-encoded text")
        }
        var relative = decoded
        if relative.hasPrefix("file://") { relative.removeFirst(7) }
        if relative.hasPrefix(table + "/") { relative.removeFirst(table.count + 1) }
        guard !relative.hasPrefix("/"), !relative.contains("://") else {
            throw StreamError(.validate, "Delta table \(table): the data file \(decoded) lies outside of the table's folder, which is not supported",
                              fix: "copy the table (a shallow clone refers to files of another table)")
        }
        return relative
    }
}
