import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Where a column of the result comes from.
enum FileColumn: Sendable {
    /// Column number `Int` of what the decoder gives, as another type of the same form.
    case decoded(Int, DataType? = nil)
    /// Which row of all files it is: the file's place, then the row's.
    case position(String)
    /// The same value in all rows of a file.
    case constant(Value, DataType)
    /// What `error` or `error.record` says, and where in the file the record starts.
    case error(key: String, DataType)
    case errorOffset(DataType)
}

/// Reads the records of a file, or of a byte range of one: big chunks straight into fresh buffers that decoded columns may go on
/// pointing into; only a record that a chunk cuts in two is copied.
final class FileSplitReader: SplitReader {
    private let path: String
    private let fd: Int32
    private let decoder: any RecordDecoder
    private let columns: [FileColumn]
    private let metrics: OperatorMetrics
    private let errors: ErrorRows
    /// Everything of the split ends here; nil = at the end of the file.
    private let end: Int?

    private var chunk = Buffer.empty
    /// Offset in the file of the chunk's first byte.
    private var chunkStart: Int
    private var used = 0, filled = 0
    private var isAtEnd = false
    /// Rows of the file that were handed out.
    private(set) var rowsBefore: Int
    private var bytesPerRow = 0.0
    private var pool: [Buffer] = []

    /// 256 KiB stay in the second-level cache between reading and decoding; small files need no more anyway.
    private static let chunkBytesMin = 256 << 10
    private static let chunkBytesMax = 4 << 20
    /// A record must fit.
    static let recordBytesMax = 256 << 20

    /// - Parameters:
    ///   - range: bytes of the file; records belong to the range that their first byte is in. nil = the whole file.
    ///   - position: offset to go on from; nil = from the start.
    ///   - rows: how many rows of the file lie before the position.
    init(path: String, range: Range<Int>?, position: Int?, rows: Int = 0, decoder: any RecordDecoder, columns: [FileColumn], errors: ErrorRows,
         metrics: OperatorMetrics) throws {
        self.path = path
        self.decoder = decoder
        self.columns = columns
        self.errors = errors
        self.metrics = metrics
        rowsBefore = rows
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        self.fd = fd
        guard fd >= 0 else { throw FileListing.failure("read", path) }
        do {
            var start = 0
            var end: Int?
            if let range {
                start = range.lowerBound == 0 ? 0 : try Self.afterNewline(from: range.lowerBound - 1, fd, path)
                end = range.upperBound == .max ? nil : try Self.afterNewline(from: range.upperBound - 1, fd, path)
            }
            if let position {
                var status = stat()
                guard fstat(fd, &status) == 0 else { throw FileListing.failure("inspect", path) }
                guard Int(status.st_size) >= position else {
                    throw StreamError(.io, "\(path) has \(status.st_size) bytes; reading was to go on at byte \(position)",
                                      fix: "restore the file: a data file must not change while a job reads it")
                }
                start = position
            }
            self.end = end
            chunkStart = start
        } catch {
            closeFile(fd)
            throw error
        }
        #if canImport(Glibc)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL)
        #endif
        let name = FileMetadata.name(path)
        if chunkStart == 0 {
            decoder.startFile(name)
        } else {
            do {
                try decoder.resumeFile(name) { count in
                    let piece = Buffer(capacity: count), n = try Self.readFully(fd, piece.base, count, 0, path)
                    return n == count ? piece : Buffer(copying: UnsafeRawBufferPointer(start: piece.base, count: n))
                }
            } catch {
                closeFile(fd)
                isClosed = true
                throw error
            }
        }
        errors.failure = { [unowned self] in failure($0) }
    }

    deinit { if !isClosed { closeFile(fd) } }

    private var isClosed = false

    func close() {
        guard !isClosed else { return }
        isClosed = true
        pool = []
        closeFile(fd)
    }

    /// The offset behind the first newline at `offset` or later, or the end of the file.
    private static func afterNewline(from offset: Int, _ fd: Int32, _ path: String) throws -> Int {
        let piece = Buffer(capacity: 64 << 10)
        var at = offset
        while true {
            let n = try readFully(fd, piece.base, piece.capacity, at, path)
            if n == 0 { return at }
            if let newline = memchr(piece.base, 0x0A, n) { return at + (UnsafeRawPointer(newline) - UnsafeRawPointer(piece.base)) + 1 }
            at += n
        }
    }

    private static func readFully(_ fd: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int, _ offset: Int, _ path: String) throws -> Int {
        var done = 0
        while done < count {
            let n = pread(fd, bytes + done, count - done, off_t(offset + done))
            if n < 0, errno == EINTR { continue }
            if n < 0 { throw FileListing.failure("read", path) }
            if n == 0 { break }
            done += n
        }
        return done
    }

    var position: String { String(chunkStart + used) }

    func next(maxRows: Int) throws -> ReadResult {
        while true {
            if used < filled || (isAtEnd && filled > 0 && used < filled) {
                let (batch, consumed) = try decoder.decode(chunk: chunk, range: used..<filled, isLast: isAtEnd, maxRows: maxRows)
                used += consumed
                if let batch = errors.merge(batch) {
                    if batch.count > 0 { bytesPerRow = Double(consumed) / Double(batch.count) }
                    return .batch(assemble(batch))
                }
                if consumed > 0 { continue }
                guard !isAtEnd else {
                    throw StreamError(.runtime, "\(path): the record at byte \(chunkStart + used) does not end", at: location(offset: chunkStart + used))
                }
            }
            if isAtEnd { return .endOfSplit }
            try fill(maxRows: maxRows)
        }
    }

    /// The next chunk, with what is left of this one in front. Its size follows the rows seen so far, so that one chunk makes
    /// one batch.
    private func fill(maxRows: Int) throws {
        let carried = filled - used
        guard carried <= Self.recordBytesMax else {
            throw StreamError(.runtime, "\(path): the record at byte \(chunkStart + used) is longer than \(Self.recordBytesMax) bytes",
                              fix: "check that records end with a newline")
        }
        let wanted = bytesPerRow > 0 ? Int(bytesPerRow * Double(maxRows) * 0.98) : Self.chunkBytesMin
        let size = max(min(max(wanted, Self.chunkBytesMin), Self.chunkBytesMax), 2 * carried)
        let bigger = take(size)
        if carried > 0 { bigger.base.copyMemory(from: chunk.base + used, byteCount: carried) }
        let offset = chunkStart + filled
        let room = min(size - carried, (end ?? .max) - offset)
        let n = try Self.readFully(fd, bigger.base + carried, room, offset, path)
        metrics.bytesIn.add(n)
        isAtEnd = n < room || offset + n == end
        chunkStart += used
        chunk = bigger
        (used, filled) = (0, carried + n)
    }

    /// A buffer that no column uses any more, or a new one: fresh memory costs a page fault for each 4 KiB.
    private func take(_ size: Int) -> Buffer {
        for i in pool.indices where pool[i].capacity >= size && pool[i].capacity <= 2 * size && isKnownUniquelyReferenced(&pool[i]) {
            return pool[i]
        }
        let fresh = Buffer(capacity: size)
        if pool.count >= 8 { pool.removeFirst() }
        pool.append(fresh)
        return fresh
    }

    private func assemble(_ batch: Batch) -> Batch {
        var result = batch
        result.columns = columns.map {
            switch $0 {
            case .decoded(let i, let type): type.map { FormatMetadata.converted(batch.columns[i], to: $0) } ?? batch.columns[i]
            case .position(let place): Self.positions(place, from: rowsBefore, count: batch.physicalCount)
            case .constant(let value, let type): Column.constant(value, type: type, count: batch.physicalCount)
            case .error(let key, let type): errors.column(key, type: type, count: batch.physicalCount)
            case .errorOffset(let type):
                // The chunk stays where it is until it is used up.
                errors.column(type: type, count: batch.physicalCount) { $1.append(.int(Int64(chunkStart + $0.offset))) }
            }
        }
        rowsBefore += batch.physicalCount
        return result
    }

    /// The numbers of rows have 12 digits, so that positions compare as texts.
    static func positions(_ place: String, from first: Int, count: Int) -> Column {
        let builder = ColumnBuilder(type: .string, capacity: count)
        for row in first..<first + count {
            let digits = String(row)
            builder.append(string: place + "/" + String(repeating: "0", count: max(0, 12 - digits.utf8.count)) + digits)
        }
        return builder.finish()
    }

    // MARK: Bad records

    private func failure(_ record: BadRecord) -> StreamError {
        let offset = chunkStart + record.offset
        let shown = record.bytes.prefix(200)
        return StreamError(.runtime, "\(path): cannot read the record at byte \(offset): \(record.reason)",
                           fix: "correct the file, or skip such records or put them aside with option '\(BadInput.option)'", at: location(offset: offset),
                           sourceLine: String(decoding: shown, as: UTF8.self) + (record.bytes.count > 200 ? "..." : ""))
    }

    /// Counts lines from the start of the file: only errors need it.
    private func location(offset: Int) -> SourceLocation? {
        let piece = Buffer(capacity: 1 << 20)
        var at = 0, line = 1
        while at < offset {
            guard let n = try? Self.readFully(fd, piece.base, min(piece.capacity, offset - at), at, path), n > 0 else { return nil }
            let bytes = piece.pointer(as: UInt8.self)
            for i in 0..<n where bytes[i] == 0x0A { line += 1 }
            at += n
        }
        return SourceLocation(file: path, line: line, column: 1)
    }
}

/// close(2), which `close()` of a class would hide.
func closeFile(_ fd: Int32) {
    #if canImport(Glibc)
    _ = Glibc.close(fd)
    #else
    _ = Darwin.close(fd)
    #endif
}
