import AWSProtocol
import Foundation
import GRDB
import ShardLog
import StreamCore

/// One change of an item, as it is kept for streams and destinations.
struct ChangeRecord {
    enum Event: String {
        case insert = "INSERT", modify = "MODIFY", remove = "REMOVE"
    }

    /// Grows with every change of every table.
    var sequence: Int64
    /// Since 1970-01-01; no two changes have the same.
    var microseconds: Int64
    var event: Event
    var keys: Item
    /// nil where there is none, or where nobody wanted it when the change was made.
    var old: Item?
    var new: Item?
    /// Removed as its time to live had passed.
    var isByService: Bool

    static let columns = "sequence, microseconds, event, keys, old, new, by_service"

    init(_ row: Row) throws {
        sequence = row[0]
        microseconds = row[1]
        guard let event = Event(rawValue: row[2]) else {
            throw StreamError(.corrupt, "change \(sequence) is of an unknown kind", fix: "restore the tables' file from a copy")
        }
        self.event = event
        keys = try Self.item(row, 3) ?? [:]
        old = try Self.item(row, 4)
        new = try Self.item(row, 5)
        isByService = row[6]
    }

    private static func item(_ row: Row, _ column: Int) throws -> Item? {
        try row.withUnsafeData(atIndex: column) { try $0.map { try Item(decoding: Array($0)) } }
    }

    /// As the DynamoDB Streams API numbers records: 21 digits.
    static func text(_ sequence: Int64) -> String { sequenceBase + String(sequence).padded(20) }

    private static let sequenceBase = "1"

    /// nil for text that is no number of this log.
    static func sequence(_ text: String) -> Int64? {
        guard text.utf8.count == 21, text.hasPrefix(sequenceBase), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(text.dropFirst())
    }

    /// The same for the same change at every reading: 32 digits.
    private func identifier(_ salt: Int64, _ table: Int64) -> String {
        let words = [salt, table, sequence, microseconds].map(\.littleEndian)
        return words.withUnsafeBytes { ChangeRecord.hexadecimal(HashKey.of($0)) }
    }

    private static func hexadecimal(_ value: UInt128) -> String { String(value, radix: 16).padded(32) }

    /// Images as the stream's view shows them.
    private func images(_ view: String) -> (old: Item?, new: Item?) {
        (view == "OLD_IMAGE" || view == "NEW_AND_OLD_IMAGES" ? old : nil, view == "NEW_IMAGE" || view == "NEW_AND_OLD_IMAGES" ? new : nil)
    }

    private func members(_ images: (old: Item?, new: Item?)) -> [String: AWSValue] {
        var out: [String: AWSValue] = ["Keys": keys.awsValue]
        out["OldImage"] = images.old?.awsValue
        out["NewImage"] = images.new?.awsValue
        out["SizeBytes"] = .integer(keys.byteCount + (images.old?.byteCount ?? 0) + (images.new?.byteCount ?? 0))
        return out
    }

    /// As GetRecords answers it.
    func record(view: String, region: String, salt: Int64, table: Int64) -> AWSValue {
        var members = members(images(view))
        members["ApproximateCreationDateTime"] = .timestamp(Double(microseconds / 1_000_000))
        members["SequenceNumber"] = .string(Self.text(sequence))
        members["StreamViewType"] = .string(view)
        var out: [String: AWSValue] = [
            "eventID": .string(identifier(salt, table)), "eventName": .string(event.rawValue), "eventVersion": "1.1",
            "eventSource": "aws:dynamodb", "awsRegion": .string(region), "dynamodb": .map(members),
        ]
        if isByService { out["userIdentity"] = ["PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"] }
        return .map(out)
    }

    /// As Kinesis Data Streams for DynamoDB writes it.
    func published(tableName: String, region: String, isMicroseconds: Bool, salt: Int64, table: Int64) -> [UInt8] {
        var members = members((old, new))
        members["ApproximateCreationDateTime"] = .integer(isMicroseconds ? microseconds : microseconds / 1_000)
        members["ApproximateCreationDateTimePrecision"] = isMicroseconds ? "MICROSECOND" : "MILLISECOND"
        let digits = Array(identifier(salt, table))
        let uuid = [digits[0..<8], digits[8..<12], digits[12..<16], digits[16..<20], digits[20..<32]].map { String($0) }.joined(separator: "-")
        return AWSJSON.write([
            "awsRegion": .string(region), "eventID": .string(uuid), "eventName": .string(event.rawValue),
            "userIdentity": isByService ? ["type": "Service", "principalId": "dynamodb.amazonaws.com"] : .null,
            "recordFormat": "application/json", "tableName": .string(tableName), "dynamodb": .map(members), "eventSource": "aws:dynamodb",
        ])
    }

    /// Equal for changes of the same item, which keeps them in one shard and in order.
    var partitionKey: String { keys.encoded().withUnsafeBytes { Self.hexadecimal(HashKey.of($0)).uppercased() } }
}

extension String {
    /// With zeros in front.
    func padded(_ width: Int) -> String { String(repeating: "0", count: max(0, width - utf8.count)) + self }
}
