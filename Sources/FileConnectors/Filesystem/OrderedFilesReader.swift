import StreamCore
import StreamFormats

/// Reads a part of a file, or all of it.
protocol FilePartReader: SplitReader {
    /// Rows of the file that were handed out.
    var rowsBefore: Int { get }
}

extension FileSplitReader: FilePartReader {}

/// Reads a file with the format's own reader.
final class WholeFileReader: FilePartReader {
    private let rows: any FileReader
    private let columns: [FileColumn]
    private(set) var rowsBefore: Int

    init(_ rows: any FileReader, from position: Int, columns: [FileColumn]) throws {
        self.rows = rows
        self.columns = columns
        rowsBefore = position
        if position > 0 { try rows.skip(rows: position) }
    }

    var position: String { String(rowsBefore) }

    func next(maxRows: Int) throws -> ReadResult {
        guard let batch = try rows.next(maxRows: maxRows) else { return .endOfSplit }
        var result = batch
        let count = batch.physicalCount
        result.columns = columns.map {
            switch $0 {
            case .decoded(let i, let type): type.map { FormatMetadata.converted(batch.columns[i], to: $0) } ?? batch.columns[i]
            case .position(let place): FileSplitReader.positions(place, from: rowsBefore, count: count)
            case .constant(let value, let type): Column.constant(value, type: type, count: count)
            case .error(_, let type), .errorOffset(let type): Column.nulls(type: type, count: count)
            }
        }
        rowsBefore += count
        return .batch(result)
    }

    func close() { rows.close() }
}

/// Reads the files of a folder one behind the other. Files that appear later are read after those that were there.
///
/// A position holds how many files were read to their ends, the place of the last file begun, where reading goes on in it, and how
/// many of its rows lie before that; each on a line. An empty third line means that the file was read to its end.
final class OrderedFilesReader: SplitReader {
    private let folder: String
    private let order: FileOrder
    /// How often new files are looked for; nil = reading ends with those that there are.
    private let interval: Duration?
    private let files: () throws -> [DataFile]
    private let open: (DataFile, _ position: String?, _ rows: Int) throws -> any FilePartReader

    private var waiting: [DataFile] = []
    private var isListed = false
    private var current: (any FilePartReader)?
    /// Files read to their ends, and the place of the last one begun.
    private var done = 0
    private var last = ""
    /// Where to go on in the last file after a restart.
    private var restored: (position: String, rows: Int)?

    init(folder: String, order: FileOrder, interval: Duration?, position: String?, files: @escaping () throws -> [DataFile],
         open: @escaping (DataFile, _ position: String?, _ rows: Int) throws -> any FilePartReader) throws {
        (self.folder, self.order, self.interval, self.files, self.open) = (folder, order, interval, files, open)
        guard let position else { return }
        let lines = position.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 4, let done = Int(lines[0]), let rows = Int(lines[3]) else {
            throw StreamError(.runtime, "\(folder) cannot be read from position \(position)", fix: "start the job from a checkpoint of the same plan")
        }
        self.done = done
        last = lines[1]
        if !lines[2].isEmpty { restored = (lines[2], rows) }
    }

    var position: String {
        if let current { return "\(done)\n\(last)\n\(current.position)\n\(current.rowsBefore)" }
        return "\(done)\n\(last)\n\(restored?.position ?? "")\n\(restored?.rows ?? 0)"
    }

    func next(maxRows: Int) throws -> ReadResult {
        while true {
            if let reader = current {
                switch try reader.next(maxRows: maxRows) {
                case .endOfSplit:
                    reader.close()
                    current = nil
                    done += 1
                case let other: return other
                }
                continue
            }
            if waiting.isEmpty {
                if isListed, interval == nil { return .endOfSplit }
                try list()
                if waiting.isEmpty {
                    guard let interval else { return .endOfSplit }
                    return .waiting(interval)
                }
            }
            let file = waiting.removeFirst()
            current = try open(file, restored?.position, restored?.rows ?? 0)
            restored = nil
            last = place(file)
        }
    }

    func close() {
        current?.close()
        current = nil
    }

    /// A file's place among the others: files of one name in several folders follow each other.
    private func place(_ file: DataFile) -> String { order.key(file.path) + "\t" + file.path }

    /// The files behind the last one begun, and that one if it is to be read on.
    private func list() throws {
        isListed = true
        var ordered = try files().map { (place: place($0), file: $0) }
        ordered.sort { $0.place < $1.place }
        if let odd = ordered.first(where: { $0.place.contains("\n") }) {
            throw StreamError(.io, "the name of \(odd.file.path) holds a line end", fix: "rename the file")
        }
        let begun = ordered.prefix { $0.place < last || (restored == nil && $0.place == last) }
        // Files that were read may be deleted. One that has come in front of them would never be read.
        guard begun.count <= done else {
            throw StreamError(.io, "\(folder): \(begun.count) files come before the place where reading goes on, but only \(done) were read; a file has appeared "
                + "in front of \(last.prefix { $0 != "\t" })", fix: "give new files names that follow those that were read, or start the job anew to read all of them in order")
        }
        done = begun.count
        waiting = ordered.dropFirst(begun.count).map(\.file)
        if restored != nil, waiting.first.map({ place($0) }) != last {
            throw StreamError(.io, "\(folder): \(last.split(separator: "\t").last ?? "") is gone, in which reading was to go on",
                              fix: "restore the file: a data file must stay while a job reads it")
        }
    }
}
