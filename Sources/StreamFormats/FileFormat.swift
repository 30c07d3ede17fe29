import StreamCore

/// A format whose files are read as a whole, by a reader of its own, and not as a run of records.
public protocol FileFormat: Format {
    /// Whether files of this table are of that kind.
    func readsWholeFiles(_ table: TableDescriptor) -> Bool
    /// Checks options and types. Throws `.validate` errors.
    func validateFiles(_ table: TableDescriptor) throws
    /// - Parameters:
    ///   - projection: indices into the schema, in the order in which columns are wanted.
    ///   - metadata: keys of ``Format/metadataKeys``; their columns come behind the projected ones.
    func fileReader(_ path: String, table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any FileReader
    /// Makes one file of rows with the columns of `table.schema`. Throws `.validate` for tables that cannot be written.
    func fileEncoder(_ table: TableDescriptor) throws -> any FileEncoder
}

/// Makes the bytes of one file. One thread at a time. One that is let go of before its end leaves nothing behind.
public protocol FileEncoder: AnyObject {
    func write(_ batch: Batch) throws
    /// About how long the file is so far.
    var bytes: Int { get }
    /// Hands out the whole file, piece by piece. No more is written.
    func finish(_ take: (UnsafeRawBufferPointer) throws -> Void) throws
}

/// Reads the rows of one file in their order. One thread at a time.
public protocol FileReader: AnyObject {
    /// The next rows, at most about `maxRows`; nil at the end.
    func next(maxRows: Int) throws -> Batch?
    /// Passes over the next rows, of which the file has at least `count`.
    func skip(rows count: Int) throws
    func close()
}

/// Files are read one behind the other: those whose names begin with `firstPrefix`, then the others, each by name.
public struct FileOrder: Sendable {
    public var firstPrefix: String
    public init(firstPrefix: String) { self.firstPrefix = firstPrefix }

    /// Where a file stands among the others. Texts compare as UTF-8.
    public func key(_ path: String) -> String {
        let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
        return (name.hasPrefix(firstPrefix) ? "0/" : "1/") + name
    }
}
