import StreamCore

/// What reading a view can fail with, as an HTTP status and what to do next.
public struct ViewError: Error, Sendable, Hashable, CustomStringConvertible {
    public var status: Int
    public var problem: String
    public var fix: String?

    public init(_ status: Int, _ problem: String, fix: String? = nil) { (self.status, self.problem, self.fix) = (status, problem, fix) }

    public var description: String { problem + (fix.map { "; \($0)" } ?? "") }

    /// Text of others for an error message: at most 80 characters, control characters as dots.
    static func excerpt(_ text: String) -> String {
        let shown = text.unicodeScalars.prefix(80).map { $0.properties.generalCategory == .control ? "." : Character($0) }
        return String(shown) + (text.unicodeScalars.count > 80 ? "..." : "")
    }
}

/// What a view is.
public struct ViewDescription: Codable, Sendable, Hashable {
    public struct Column: Codable, Sendable, Hashable {
        public var name: String, type: String
    }
    public var name: String
    /// The table in SQL.
    public var table: String
    public var key: [Column]
    public var columns: [Column]
    public var rows: Int
    /// Of rows, and of what is held of them in memory.
    public var memoryBytes: Int
    /// Rows are in RocksDB, as they do not fit into the view's memory.
    public var isOnDisk: Bool
    /// `immediate` or `checkpoint`.
    public var visibility: String
    /// Milliseconds after which a row that is not written again goes.
    public var timeToLive: Int64?
    /// Grows with each change.
    public var version: Int64
    /// Those who are told of changes.
    public var subscribers: Int
    /// `restoring`, `running`, `ended`.
    public var state: String
}

/// A row as it is read.
public struct ViewRow: Sendable, Hashable {
    /// In the text form that stands in URLs.
    public var key: String
    /// Of the row's last change; larger than those of all changes of the row before.
    public var version: Int64
    /// A JSON object; nil = there is no such row any more.
    public var row: [UInt8]?

    public init(key: String, version: Int64, row: [UInt8]?) { (self.key, self.version, self.row) = (key, version, row) }
}

/// Rows in the order of their keys.
public struct ViewPage: Sendable, Hashable {
    public var rows: [ViewRow]
    /// The key after which the next page begins; nil = there are no more.
    public var next: String?

    public init(rows: [ViewRow], next: String?) { (self.rows, self.next) = (rows, next) }
}

/// What a subscriber is told.
public enum ViewEvent: Sendable, Hashable {
    /// A row has changed; `id` is where reading goes on behind it.
    case change(id: Int64, ViewRow)
    /// Changes have been missed: what the subscriber knows counts no more. The newest rows follow as changes.
    case reset(id: Int64)
}

/// Changes of a view as they come. One thread at a time.
public protocol ViewSubscription: AnyObject, Sendable {
    /// Waits for at most that long. Empty = nothing has changed; nil = the view is gone.
    func next(milliseconds: Int) throws -> [ViewEvent]?
    func close()
}

/// Reads views, wherever they are.
public protocol ViewReader: Sendable {
    func list() throws -> [ViewDescription]
    /// - Parameter key: in text form: each column percent-encoded, with commas between them.
    /// - Returns: nil when there is no such row.
    /// - Throws: ``ViewError``: 404 for a view that does not exist, 400 for a text that is no key, 503 while it is being restored.
    func get(_ name: String, key: String) throws -> ViewRow?
    /// - Parameter limit: 1 to ``ViewLimits/page``.
    func scan(_ name: String, limit: Int, after: String?) throws -> ViewPage
    /// - Parameters:
    ///   - key: nil = all rows.
    ///   - since: the id of the last change that is known; when changes since have been forgotten, a reset comes first.
    ///   - snapshot: without `since`, begin with the rows that are there. For a key this is always so.
    func subscribe(_ name: String, key: String?, since: Int64?, snapshot: Bool) throws -> any ViewSubscription
}

public enum ViewLimits {
    /// Rows of a page at most.
    public static let page = 10_000
    /// Rows of a page unless said otherwise.
    public static let defaultPage = 100
}
