import CArrowData
import LakeTable
import StreamCore
import Synchronization

/// The table's columns with their ids, and those that a writer adds: ids are given out once.
final class SchemaBook: Sendable {
    private struct State {
        var schema: IcebergSchema
        var lastColumnID: Int
    }

    private let state: Mutex<State>

    init(_ metadata: TableMetadata) { state = Mutex(State(schema: metadata.schema, lastColumnID: metadata.lastColumnID)) }

    func reset(_ metadata: TableMetadata) { state.withLock { $0 = State(schema: metadata.schema, lastColumnID: metadata.lastColumnID) } }

    var schema: IcebergSchema { state.withLock { $0.schema } }
    var lastColumnID: Int { state.withLock { $0.lastColumnID } }

    /// The columns of a writer with their ids: those of the table, new ones, and those whose type has been widened.
    @discardableResult
    func fields(_ columns: Schema) -> [IcebergField] {
        state.withLock { state in
            columns.map { column in
                func nextID() -> Int {
                    state.lastColumnID += 1
                    return state.lastColumnID
                }
                if let at = state.schema.fields.firstIndex(where: { $0.name == column.name }) {
                    if IcebergTypes.promotes(state.schema.fields[at].type.dataType, column.type) {
                        state.schema.fields[at].type = IcebergType(column.type, id: nextID)
                    }
                    return state.schema.fields[at]
                }
                let field = IcebergField(id: nextID(), name: column.name, required: false, type: IcebergType(column.type, id: nextID))
                state.schema.fields.append(field)
                return field
            }
        }
    }
}

/// The data files of one commit: names with the commit in them, Parquet with field ids.
final class IcebergFiles: CommitFiles {
    let commit: String
    private let files: TableFiles
    private let book: SchemaBook

    init(_ files: TableFiles, _ book: SchemaBook, commit: String) { (self.files, self.book, self.commit) = (files, book, commit) }

    static let dataFolder = "data"

    var plainColumns: [String] { [] }

    let layout: ArrowLayout = {
        var layout = ArrowLayout.lake
        layout.keepsLocalTimestamps = true
        layout.timesAsMicros = true
        return layout
    }()

    func name(fileId: String, task: Int, attempt: Int) -> String {
        let digits = String(task)
        // Files of other engines have no id of ours; their next version gets one.
        let id = fileId.contains("/") ? files.host.uuid() : fileId
        return String(repeating: "0", count: max(0, 5 - digits.count)) + "\(digits)-\(attempt)-\(commit)-\(id).parquet"
    }

    /// The id of the file group in a name that we gave.
    static func fileID(_ name: String) -> String? {
        let parts = name.split(separator: "-", maxSplits: 3)
        guard name.hasSuffix(".parquet"), parts.count == 4, parts[..<3].allSatisfy({ $0.allSatisfy(\.isNumber) }), parts[3].utf8.count == 44 else { return nil }
        return String(parts[3].dropLast(8))
    }

    func newFileId() -> String { files.host.uuid() }

    func location(partition: String, name: String) -> String? { Self.dataFolder + (partition.isEmpty ? "" : "/" + partition) + "/" + name }

    func prepare(_ file: FileSlice, isNew: Bool) throws { try files.makeFolder(TableFiles.folder(of: file.path), flushing: false) }

    func flush() throws {}

    func marks(for file: FileSlice, task: Int) -> any FileMarks { NoMarks() }

    func fieldIDs(_ schema: Schema) -> [Int32?]? { book.fields(schema).map { Int32($0.id) } }

    func arrowSchema(_ fields: Schema, layout: ArrowLayout) -> ArrowSchema {
        makeArrowSchema(format: "+s", name: "", nullable: false, children: zip(book.fields(fields), fields).map { Self.node($0, $1.type, layout) })
    }

    private static func node(_ field: IcebergField, _ type: DataType, _ layout: ArrowLayout) -> ArrowSchema {
        let children: [ArrowSchema] = switch (field.type, type) {
        case (.list(let element), .array(let e)): [node(element, e, layout)]
        case (.map(let key, let value), .map(let k, let v)):
            [makeArrowSchema(format: "+s", name: "key_value", nullable: false, children: [node(key, k, layout), node(value, v, layout)])]
        case (.structure(let parts), .row(let fields)): zip(parts, fields).map { node($0, $1.type, layout) }
        default: []
        }
        return makeArrowSchema(format: layout.format(of: type), name: field.name, nullable: !field.required, children: children,
                               metadata: [("PARQUET:field_id", "\(field.id)")])
    }

    func footer(_ schema: Schema) -> [(String, String)] {
        [("iceberg.schema", IcebergSchema(id: book.schema.id, fields: book.fields(schema), identifierIDs: book.schema.identifierIDs).json.text())]
    }
}

/// Iceberg has no columns of its own in data files.
private final class NoMarks: FileMarks {
    let names: [String] = []
    let builders: [ArrowArrayBuilder] = []
    func appendFresh(_ keys: TextColumn) throws {}
    func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) throws {}
    func footer() -> [(String, String)] { [] }
}
