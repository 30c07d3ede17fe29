import StreamCore

/// A delivery stream: where records come from, what is made of them, and where they are delivered in batches.
///
/// Topology files and the Firehose API both come down to this, and this to the SQL statements of a job (``statements(log:)``).
public struct DeliveryStream: Codable, Hashable, Sendable {
    /// Where records come from.
    public enum Source: Codable, Hashable, Sendable {
        /// PutRecord and PutRecordBatch: stream ``DeliveryStream/directPutStream`` of the shard log.
        case directPut
        /// A stream of the shard log.
        case stream(String, from: Start)
        /// A table or view of ``DeliveryStream/setup``; a transform says what is delivered of it.
        case table(String)
    }

    /// Where a stream is read from when the delivery stream begins.
    public enum Start: Codable, Hashable, Sendable {
        case oldest, latest
        /// Milliseconds since 1970-01-01.
        case time(Int64)
    }

    /// Columns of each record, when it is not taken as one text.
    public struct Record: Codable, Hashable, Sendable {
        public struct Column: Codable, Hashable, Sendable {
            public var name: String, type: String
            public init(_ name: String, _ type: String) { (self.name, self.type) = (name, type) }
        }

        /// `json`, `csv` or another format, and its options, as in `json.timestamp-format.standard`.
        public var format: String
        public var columns: [Column]
        public var options: [String: String]

        public init(format: String, columns: [Column], options: [String: String] = [:]) { (self.format, self.columns, self.options) = (format, columns, options) }
    }

    public enum Transform: Codable, Hashable, Sendable {
        /// Records are delivered as they came.
        case none
        /// A SELECT over `record`. What it names `data` is delivered; without that, an object of JSON with all that it selects.
        /// A record that it gives NULL for has failed; one that it leaves out is dropped.
        case query(String)
        /// Change records of DynamoDB become plain JSON objects of the item after the change.
        case dynamoDB(deliversDeleted: Bool)
    }

    /// Where files go, and when they end.
    public struct Files: Codable, Hashable, Sendable {
        public var directory: String
        public var prefix = ""
        /// nil = below the prefix.
        public var errorPrefix: String?
        public var bufferBytes = 5 << 20
        /// Milliseconds.
        public var bufferInterval: Int64 = 300_000
        public var compression = "none"
        public var fileExtension = ""
        public var timeZone = "UTC"
        /// Behind each record.
        public var delimiter = "\n"

        public init(directory: String) { self.directory = directory }
    }

    /// Another connector's table, of one column `data`.
    public struct Table: Codable, Hashable, Sendable {
        public enum Connector: String, Codable, Hashable, Sendable {
            case openSearch = "opensearch", http = "http-post"
        }

        public var connector: Connector
        public var options: [String: String]

        public init(connector: Connector, options: [String: String]) { (self.connector, self.options) = (connector, options) }
    }

    public enum Destination: Codable, Hashable, Sendable {
        case files(Files)
        /// What the destination refuses, and the transform fails for, goes to files.
        case table(Table, failed: Files)

        /// Files of delivered records, or of failed ones.
        public var files: Files {
            get { switch self { case .files(let files), .table(_, let files): files } }
            set {
                switch self {
                case .files: self = .files(newValue)
                case .table(let table, _): self = .table(table, failed: newValue)
                }
            }
        }
    }

    public var name: String
    /// 1 at first, one more with each change of the destination; part of the names of files.
    public var version = 1
    public var source: Source
    public var record: Record?
    public var transform: Transform
    /// What the transform selects for `!{partitionKeyFromQuery:name}` of the prefix.
    public var partitionKeys: [String]
    public var destination: Destination
    /// All records as they came, before the transform.
    public var backup: Files?
    /// Statements that make the tables and views that the source or the transform reads.
    public var setup: [String]

    public init(name: String, source: Source, record: Record? = nil, transform: Transform = .none, partitionKeys: [String] = [],
                destination: Destination, backup: Files? = nil, setup: [String] = []) {
        self.name = name
        self.source = source
        self.record = record
        self.transform = transform
        self.partitionKeys = partitionKeys
        self.destination = destination
        self.backup = backup
        self.setup = setup
    }

    /// What the names of streams begin with that hold the records put to a delivery stream. The Kinesis API does not show them.
    public static let hiddenPrefix = "firehose."

    /// The stream of the shard log that holds records put to the delivery stream of this name.
    public static func directPutStream(_ name: String) -> String { hiddenPrefix + name }

    /// 1 to 64 letters, digits, '_', '-' and '.'.
    public static func isName(_ name: String) -> Bool {
        (1...64).contains(name.utf8.count) && name.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == 0x5F || $0 == 0x2D || $0 == 0x2E
        }
    }
}
