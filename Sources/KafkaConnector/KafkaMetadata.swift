import CRdKafka
import StreamCore
import StreamFormats
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a message has beside key and value, as columns.
enum KafkaMetadata {
    static let headersType = DataType.map(key: .string, value: .bytes)

    /// The key of a message that cannot be decoded; NULL in other rows. `error.record` is its value.
    static let errorKey = "error.key"

    static let readable: [String: DataType] = [
        "topic": .string, "partition": .int, "offset": .bigint, "timestamp": .timestampLTZ(3), "timestamp-type": .string, "headers": headersType,
        "leader-epoch": .int, errorKey: .bytes,
    ].merging(BadInput.metadataKeys) { $1 }

    /// The above, and what the format of the values tells beside their rows.
    static func readable(_ table: TableDescriptor) -> [String: DataType] {
        let name = table.options["value.format"] ?? table.options["format"] ?? ""
        return FormatFactory.formats[name.lowercased()].map { FormatMetadata.readable($0, own: readable) } ?? readable
    }

    /// - Throws: `.validate` for a column whose type cannot hold what it stands for.
    static func check(_ table: TableDescriptor) throws {
        let readable = readable(table)
        for column in table.metadata {
            guard BadInput.metadataKeys[column.key] == nil, let type = readable[column.key] else { continue }
            let fits = switch column.key {
            case "topic", "timestamp-type": column.type.isText
            case "timestamp": column.type.isTimestamp
            case errorKey: column.type.isBinary
            case "headers": if case .map(let key, let value) = column.type { key.isText && value.isBinary } else { false }
            case _ where Self.readable[column.key] == nil: FormatMetadata.fits(type, declared: column.type)
            default: column.type == type || column.type == .bigint
            }
            guard fits else {
                throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'", fix: "declare it as \(type)")
            }
        }
    }

    typealias Message = UnsafeMutablePointer<rd_kafka_message_t>

    /// One value for each message.
    static func column(_ wanted: TableDescriptor.MetadataColumn, _ partition: TopicPartition, _ messages: UnsafePointer<Message?>, count n: Int) -> Column {
        switch wanted.key {
        case "topic": return .constant(.string(partition.topic), type: wanted.type, count: n)
        case "partition": return .constant(.int(Int64(partition.partition)), type: wanted.type, count: n)
        case "offset":
            let values = Buffer(capacity: max(n, 1) * 8), out = values.pointer(as: Int64.self)
            for i in 0..<n { out[i] = messages[i]!.pointee.offset }
            return Column(type: wanted.type, count: n, values: values)
        case "timestamp":
            let values = Buffer(capacity: max(n, 1) * 8), out = values.pointer(as: Int64.self)
            let scale = wanted.type.timeUnit!.perMillisecond
            var missing: Buffer?
            for i in 0..<n {
                var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
                let time = rd_kafka_message_timestamp(messages[i]!, &type)
                out[i] = time * scale
                if type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE {
                    if missing == nil { missing = Bitmap.make(n, valid: true) }
                    Bitmap.clear(missing!.base, i)
                }
            }
            return Column(type: wanted.type, count: n, validity: missing, values: values)
        case "timestamp-type":
            let values = Buffer(capacity: max(n, 1) * 4), codes = values.pointer(as: Int32.self)
            for i in 0..<n {
                var type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
                _ = rd_kafka_message_timestamp(messages[i]!, &type)
                codes[i] = type == RD_KAFKA_TIMESTAMP_CREATE_TIME ? 1 : type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME ? 2 : 0
            }
            let names = ColumnBuilder(type: wanted.type, capacity: 3)
            for name in ["NoTimestampType", "CreateTime", "LogAppendTime"] { names.append(string: name) }
            return Column(type: wanted.type, count: n, values: values, dictionary: names.finish())
        case "headers":
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for i in 0..<n { appendHeaders(of: messages[i]!, to: builder) }
            return builder.finish()
        default:
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for i in 0..<n {
                let epoch = leaderEpoch?(messages[i]!) ?? -1
                builder.append(epoch < 0 ? .null : .int(Int64(epoch)))
            }
            return builder.finish()
        }
    }

    private static func appendHeaders(of message: Message, to builder: ColumnBuilder) {
        var headers: OpaquePointer?
        defer { builder.finishList() }
        guard rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers else { return }
        let (keys, values) = (builder.child(0), builder.child(1))
        for i in 0..<rd_kafka_header_cnt(headers) {
            var name: UnsafePointer<CChar>?, value: UnsafeRawPointer?, size = 0
            guard rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name else { break }
            // Of several with one name the last counts.
            if isRepeated(name, headers, after: i) { continue }
            keys.append(bytes: UnsafeRawBufferPointer(start: name, count: strlen(name)))
            if let value { values.append(bytes: UnsafeRawBufferPointer(start: value, count: size)) } else { values.appendNull() }
        }
    }

    private static func isRepeated(_ name: UnsafePointer<CChar>, _ headers: OpaquePointer, after i: Int) -> Bool {
        for later in (i + 1)..<max(rd_kafka_header_cnt(headers), i + 1) {
            var other: UnsafePointer<CChar>?, value: UnsafeRawPointer?, size = 0
            if rd_kafka_header_get_all(headers, later, &other, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let other, strcmp(name, other) == 0 { return true }
        }
        return false
    }

    /// librdkafka 2.1 and later tell it; with an older one it is unknown, and NULL.
    private static let leaderEpoch: (@convention(c) (UnsafePointer<rd_kafka_message_t>) -> Int32)? = {
        guard let symbol = dlsym(dlopen(nil, RTLD_NOW), "rd_kafka_message_leader_epoch") else { return nil }
        return unsafeBitCast(symbol, to: (@convention(c) (UnsafePointer<rd_kafka_message_t>) -> Int32).self)
    }()
}
