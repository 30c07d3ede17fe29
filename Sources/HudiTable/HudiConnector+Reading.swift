import LakeTable
import StreamCore

extension HudiConnector {
    /// What a scan reads, as the table's options say.
    func reading(_ table: TableDescriptor, _ scan: ScanRequest) throws -> any TableSource {
        let options = HudiOptions(table: table), files = try options.files()
        switch try options.readMode() {
        case .snapshot(let time): return HudiSource(files: files, table: table, scan: scan, asOf: time)
        case .incremental(let start, let end): return HudiSource(files: files, table: table, scan: scan, after: start, asOf: end)
        case .changes(let stream): return ChangeStreamSource(files: files, table: table, scan: scan, options: stream)
        }
    }

    /// A stream of changes needs the rows before a change too, whatever they are.
    public func usesFilter(on column: Int, of table: TableDescriptor) -> Bool {
        if case .changes? = try? HudiOptions(table: table).readMode() { return false }
        switch table.schema[column].type {
        case .array, .map, .row, .variant, .null: return false
        default: return true
        }
    }
}

extension HudiConnector: TimeTravelConnector {
    public func table(_ table: TableDescriptor, asOf milliseconds: Int64) throws -> TableDescriptor {
        for key in [ReadOption.asOf, ReadOption.start, ReadOption.end, ReadOption.streaming] where table.options[key] != nil {
            throw StreamError(.validate, "table \(table.name): FOR SYSTEM_TIME AS OF does not go with '\(key)'", fix: "leave out one of them",
                              at: table.optionLocations[key])
        }
        var table = table
        table.options[ReadOption.asOf] = InstantTime.format(milliseconds: milliseconds)
        return table
    }
}
