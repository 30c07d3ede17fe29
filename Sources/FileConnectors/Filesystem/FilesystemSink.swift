import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes part files that appear, whole, when a checkpoint commits.
///
///     <path>/[key=value/]part-<uuid>-<subtask>-<n>.<format>               committed
///     <path>/[key=value/].part-<uuid>-<subtask>-<n>.<format>.inprogress   until then, and after a crash
struct FilesystemSink: TableSink {
    var directory: String
    var extension_: String
    var acceptsChanges: Bool
    var schema: Schema
    /// Indices of the columns that become folders, and of those that are written.
    var partitionColumns: [Int]
    var dataColumns: [Int]
    var defaultPartition: String
    var rollBytes: Int
    var rollInterval: Duration?
    var makeEncoder: @Sendable () throws -> any RecordEncoder
    /// Tells the files of this job from others'.
    var jobID: String

    var commitInterval: Duration? { rollInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try FilePaths.createDirectory(directory)
        return FileSinkWriter(self, encoder: try makeEncoder(), subtask: context.subtask, metrics: context.metrics)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { FileSinkCommitter() }
}

private final class FileSinkWriter: SinkWriter {
    /// A part file that is being written.
    final class Part {
        let folder: String, temporary: String, final: String
        let fd: Int32
        var bytes = EncodedBytes(capacity: 1 << 16)
        var written = 0
        var lastUse = 0

        init(folder: String, name: String) throws {
            self.folder = folder
            temporary = folder + "/." + name + ".inprogress"
            final = folder + "/" + name
            fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            guard fd >= 0 else { throw FileListing.failure("create", temporary) }
        }

        deinit { closeFile(fd) }

        func flush(_ metrics: OperatorMetrics) throws {
            let pending = bytes.bytes
            var done = 0
            while done < pending.count {
                let n = FilePaths.write(fd, pending.baseAddress! + done, pending.count - done)
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { throw FileListing.failure("write", temporary) }
                done += n
            }
            written += pending.count
            metrics.bytesOut.add(pending.count)
            bytes.removeAll()
        }
    }

    private let sink: FilesystemSink
    private let encoder: any RecordEncoder
    private let subtask: Int
    private let metrics: OperatorMetrics
    private var parts: [String: Part] = [:]
    private var finished: [Part] = []
    private var count = 0
    private var clock = 0

    private static let flushBytes = 1 << 20
    /// More partitions than this at a time make more, smaller files.
    private static let openMax = 128

    init(_ sink: FilesystemSink, encoder: any RecordEncoder, subtask: Int, metrics: OperatorMetrics) {
        self.sink = sink
        self.encoder = encoder
        self.subtask = subtask
        self.metrics = metrics
    }

    func write(_ batch: Batch) throws {
        guard !batch.isEmpty else { return }
        guard !sink.partitionColumns.isEmpty else { return try append(batch, to: sink.directory) }
        var data = batch
        data.columns = sink.dataColumns.map { batch.columns[$0] }
        for (folder, rows) in folders(of: batch) {
            data.selection = Selection(rows)
            try append(data, to: folder)
        }
    }

    /// Physical rows by folder, folders in the order in which they come up.
    private func folders(of batch: Batch) -> [(String, [Int32])] {
        var numbers: [[Value]: Int] = [:]
        var result: [(String, [Int32])] = []
        for i in 0..<batch.count {
            let row = batch.row(i)
            let key = sink.partitionColumns.map { batch.columns[$0].value(at: row) }
            if let number = numbers[key] {
                result[number].1.append(Int32(row))
            } else {
                numbers[key] = result.count
                result.append((folder(key), [Int32(row)]))
            }
        }
        return result
    }

    private func folder(_ key: [Value]) -> String {
        var path = sink.directory
        for (column, value) in zip(sink.partitionColumns, key) {
            let field = sink.schema[column]
            let text = value == .null ? sink.defaultPartition : value.plainText(as: field.type)
            path += "/" + FileListing.escape(field.name) + "=" + FileListing.escape(text.isEmpty ? sink.defaultPartition : text)
        }
        return path
    }

    private func append(_ batch: Batch, to folder: String) throws {
        let part = try parts[folder] ?? start(folder)
        clock += 1
        part.lastUse = clock
        try encoder.encode(batch, into: &part.bytes)
        if part.bytes.count >= Self.flushBytes { try part.flush(metrics) }
        if part.written + part.bytes.count >= sink.rollBytes { try finish(part) }
    }

    private func start(_ folder: String) throws -> Part {
        if parts.count >= Self.openMax, let oldest = parts.values.min(by: { $0.lastUse < $1.lastUse }) { try finish(oldest) }
        try FilePaths.createDirectory(folder)
        let part = try Part(folder: folder, name: "part-\(sink.jobID)-\(subtask)-\(count).\(sink.extension_)")
        count += 1
        encoder.startFile(into: &part.bytes)
        parts[folder] = part
        return part
    }

    private func finish(_ part: Part) throws {
        try part.flush(metrics)
        finished.append(part)
        parts[part.folder] = nil
    }

    /// Ends all part files, on disk but hidden.
    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        for part in parts.values.sorted(by: { $0.final < $1.final }) { try finish(part) }
        for part in finished {
            guard fsync(part.fd) == 0 else { throw FileListing.failure("flush", part.temporary) }
        }
        for folder in Set(finished.map(\.folder)) { try FilePaths.sync(folder) }
        defer { finished = [] }
        return finished.map { Committable(Array(($0.temporary + "\0" + $0.final).utf8)) }
    }

    func abort() {
        for part in Array(parts.values) + finished { unlink(part.temporary) }
        parts = [:]
        finished = []
    }

    func close() throws { abort() }
}

private final class FileSinkCommitter: SinkCommitter {
    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        var folders: Set<String> = []
        for committable in committables {
            let names = String(decoding: committable.bytes, as: UTF8.self).split(separator: "\0").map(String.init)
            guard names.count == 2 else { throw StreamError(.corrupt, "a committed part file is named by \(committable.bytes.count) bytes that hold no two names") }
            if FilePaths.rename(names[0], names[1]) != 0 {
                // It was renamed before, by a commit that did not get to say so.
                guard errno == ENOENT, FileListing.exists(names[1]) else { throw FileListing.failure("rename \(names[0]) to", names[1]) }
            }
            folders.insert(String(names[1][..<names[1].lastIndex(of: "/")!]))
        }
        for folder in folders { try FilePaths.sync(folder) }
    }
}

/// File calls that classes with methods of the same names use.
enum FilePaths {
    static func write(_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
        Glibc.write(fd, bytes, count)
        #else
        Darwin.write(fd, bytes, count)
        #endif
    }

    static func rename(_ from: String, _ to: String) -> Int32 {
        #if canImport(Glibc)
        Glibc.rename(from, to)
        #else
        Darwin.rename(from, to)
        #endif
    }

    /// With its parents.
    static func createDirectory(_ path: String) throws {
        if mkdir(path, 0o755) == 0 { return }
        switch errno {
        case EEXIST:
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw StreamError(.io, "\(path) is a file; a table is written into a directory", fix: "set 'path' to a directory")
            }
        case ENOENT:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw FileListing.failure("create", path) }
            try createDirectory(String(path[..<slash]))
            guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw FileListing.failure("create", path) }
        default: throw FileListing.failure("create", path)
        }
    }

    /// Makes renames inside the directory survive a power cut.
    static func sync(_ path: String) throws {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw FileListing.failure("open", path) }
        defer { closeFile(fd) }
        guard fsync(fd) == 0 else { throw FileListing.failure("flush", path) }
    }
}
