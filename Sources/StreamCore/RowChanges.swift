/// What a statement does to the rows that a table has.
public enum TableWrite: Sendable, Hashable {
    /// INSERT INTO.
    case insert
    /// INSERT OVERWRITE: the rows that come take the place of those of their partitions, or of all when the table has no partitions.
    /// `partition` has the values of PARTITION (...) when that names one partition: it is emptied also when no row comes.
    case overwrite(partition: [String: Value])
    /// UPDATE: whole rows come, which take the place of those with their primary key. `columns` are those that SET names.
    case update(columns: Set<String>)
    /// DELETE: the rows that come are taken away, by their primary key.
    case delete
}

/// A connector to tables whose rows can be replaced and taken away by statements.
public protocol RowChangingConnector: TableConnector {
    /// A sink that does what the statement says with the rows of a bounded query, in one commit unless checkpoints are taken in between.
    /// - Throws: `.validate` when this table cannot be changed so.
    func sink(for table: TableDescriptor, timeZone: String, write: TableWrite) throws -> any TableSink
    /// Takes rows away at once, as TRUNCATE TABLE and DROP PARTITION do.
    /// - Parameter partitions: values of some of the partition columns each; nil = all rows.
    /// - Returns: how many partitions lost their rows.
    func removeRows(of table: TableDescriptor, partitions: [[String: Value]]?) throws -> Int
}
