import StreamCore

/// The number of a record in its shard, as 56 decimal digits that grow with every record.
///
///     49 | stream creation, ms (14) | shard (12) | writer epoch (8) | record index (20)
///
/// The index counts the shard's records from 0 without gaps. The epoch grows each time a writer opens the stream, so that
/// a number that was handed out and then lost with an unflushed tail is never given to another record.
public struct SequenceNumber: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var created: Int64
    public var shard: Int
    public var epoch: UInt32
    public var index: UInt64

    public init(created: Int64, shard: Int, epoch: UInt32, index: UInt64) {
        (self.created, self.shard, self.epoch, self.index) = (created, shard, epoch, index)
    }

    public init(parsing text: String) throws {
        let digits = Array(text.utf8)
        func number(_ range: Range<Int>) -> UInt64? { UInt64(String(decoding: digits[range], as: UTF8.self)) }
        guard digits.count == 56, digits.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), digits.starts(with: "49".utf8),
              let created = number(2..<16), let shard = number(16..<28), let epoch = number(28..<36), let index = number(36..<56)
        else {
            throw StreamError(.validate, "\"\(text)\" is not a sequence number of this log",
                              fix: "use the 56 digits that an append or a read gave, or start from TRIM_HORIZON")
        }
        self.init(created: Int64(created), shard: Int(shard), epoch: UInt32(epoch), index: index)
    }

    public var description: String {
        func padded(_ n: some BinaryInteger, _ width: Int) -> String {
            let text = String(n)
            return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
        }
        return "49" + padded(created, 14) + padded(shard, 12) + padded(epoch, 8) + padded(index, 20)
    }

    public static func < (a: Self, b: Self) -> Bool {
        (a.created, a.shard, a.epoch, a.index) < (b.created, b.shard, b.epoch, b.index)
    }
}
