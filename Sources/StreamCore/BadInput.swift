/// What becomes of records that cannot be decoded: the table option `on-error`.
public enum OnError: String, Sendable, CaseIterable {
    /// The job fails, with an error that shows the record.
    case fail
    /// They are counted and left out.
    case skip
    /// They become rows of another table. A planner that reads such a table asks for them with ``BadInput/metadataKeys``.
    case deadLetter = "dead-letter"
    /// They are rows of the table itself, which declares metadata for them. Not a value of the option.
    case rows
}

/// What tables with a format have in common for records that cannot be decoded: option and metadata keys.
///
/// A table that declares metadata column `error` or `error.record` has a row for each such record, in which these say what was
/// wrong and what the record was, and which the columns that are read from records have NULL in; metadata such as the
/// record's offset is there as always.
public enum BadInput {
    /// What the reason stands under (STRING), and the record's bytes (BYTES). Both are NULL in other rows.
    public static let reasonKey = "error", recordKey = "error.record"
    public static let metadataKeys: [String: DataType] = [reasonKey: .string, recordKey: .bytes]

    public static let option = "on-error", tableOption = "dead-letter.table"
    /// What all options begin with that say where dead letters go.
    public static let targetPrefix = "dead-letter."
    public static let optionKeys: Set<String> = [option, tableOption]

    /// Whether the table puts broken records aside.
    public static func putsAside(_ table: TableDescriptor) -> Bool {
        TableOptions(table).string(option)?.trimmed.lowercased() == OnError.deadLetter.rawValue
    }

    /// A table of which broken records are rows says nothing else of them.
    public static func checkDeclared(_ table: TableDescriptor) throws {
        guard givesRows(table), table.options[option] != nil else { return }
        throw TableOptions(table).error(
            option, "says what becomes of broken records, but with metadata '\(reasonKey)' or '\(recordKey)' they are rows of the table",
            fix: "leave the option out, or those metadata columns")
    }

    /// Whether records that cannot be decoded come as rows.
    public static func givesRows(_ table: TableDescriptor) -> Bool { table.metadata.contains { metadataKeys[$0.key] != nil } }

    /// Reads and checks the options of a table, and its metadata columns for bad records.
    ///
    /// - Parameters:
    ///   - ignoresParseErrors: the table's format is told to skip what it cannot read, which counts when `on-error` is not set.
    ///   - alternative: an option `dead-letter...` of the connector that says where dead letters go in place of `dead-letter.table`.
    /// - Throws: a `.validate` error that names the option or column.
    public static func onError(_ table: TableDescriptor, ignoresParseErrors: Bool, alternative: String? = nil) throws -> OnError {
        let options = TableOptions(table)
        let choices = OnError.allCases.filter { $0 != .rows }.map(\.rawValue)
        let chosen = try options.choice(option, choices).map { OnError(rawValue: $0)! }
        let targets = [tableOption] + (alternative.map { [$0] } ?? []), given = targets.filter { options.has($0) }
        if chosen == .deadLetter {
            guard let target = given.first else {
                throw options.error(option, "needs to know where broken records go", fix: "add " + targets.map { "'\($0)' = 'name'" }.joined(separator: " or "))
            }
            if given.count > 1 { throw options.error(given[1], "stands beside '\(target)'", fix: "keep one of the two") }
            _ = try options.require(target)
        } else if let target = given.first {
            throw options.error(target, "is used only with '\(option)' = 'dead-letter'", fix: "set both, or leave this one out")
        }
        guard givesRows(table) else { return chosen ?? (ignoresParseErrors ? .skip : .fail) }
        for column in table.metadata {
            guard let type = metadataKeys[column.key] else { continue }
            guard type.isText ? column.type.isText : column.type.isBinary else {
                throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'",
                                  fix: "declare it as \(type)")
            }
        }
        // A planner asks for them so.
        if chosen == .deadLetter { return .rows }
        try checkDeclared(table)
        if let field = table.schema.first(where: { !$0.nullable && !table.partitionKeys.contains($0.name) }) {
            throw StreamError(.validate, "table \(table.name): column \(field.name) is NOT NULL, but broken records are rows of the table, in which it is NULL",
                              fix: "declare it nullable, or put broken records aside with '\(option)' = 'dead-letter'")
        }
        return .rows
    }
}
