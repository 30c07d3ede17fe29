import StreamCore

/// A complete checkpoint or savepoint, to be restored from or looked into.
public struct Checkpoint: Sendable {
    public let manifest: CheckpointManifest
    /// Where the manifest is.
    public let directory: String
    /// By their numbers in the manifest.
    let files: [StateFileReader]

    init(manifest: CheckpointManifest, directory: String) {
        self.manifest = manifest
        self.directory = directory
        files = manifest.files.map { StateFileReader(ManifestFile.path($0.name, from: directory), size: $0.bytes) }
    }

    /// - Throws: `.corrupt` or `.validate` when the manifest cannot be used.
    init(reading directory: String) throws {
        self.init(manifest: try ManifestFile.read(directory), directory: directory)
    }

    /// Bytes of all files that it refers to.
    public var totalBytes: Int { manifest.files.reduce(0) { $0 + $1.bytes } }

    /// Bytes of the state of all operators, as stored.
    public var stateBytes: Int { manifest.operators.reduce(0) { $0 + $1.subtasks.reduce(0) { $0 + $1.stateBytes } } }

    // MARK: Restoring

    /// An operator's state for some key groups, plus what belongs to no key group. Pieces are read when asked for, each
    /// checked against its checksum. Empty for an operator that the checkpoint does not know.
    public func state(of operatorID: String, keyGroups: Range<Int>) throws -> RestoredState {
        var state = RestoredState()
        for entry in manifest.operators where entry.id == operatorID {
            for subtask in entry.subtasks {
                for piece in try index(of: subtask, entry) where piece.keyGroup == KeyGroupState.everywhere || keyGroups.contains(Int(piece.keyGroup)) {
                    state.pieces.append(RestoredState.Piece(keyGroup: piece.keyGroup, name: piece.name) { try load(piece, of: entry) })
                }
                state.stores += try subtask.stores.compactMap(storeFiles)
            }
        }
        return state
    }

    private func storeFiles(_ store: CheckpointManifest.StoreEntry) throws -> StoreFiles? {
        guard let first = store.files.first else { return nil }
        return StoreFiles(name: store.name, directory: Host.parent(of: try file(first.file).path),
                          immutable: store.files.filter(\.isImmutable).map(\.name), mutable: store.files.filter { !$0.isImmutable }.map(\.name),
                          identity: store.identity)
    }

    /// Elements that were in flight to a subtask.
    public func channels(of operatorID: String, subtask: Int) throws -> [ChannelState] {
        for entry in manifest.operators where entry.id == operatorID {
            for part in entry.subtasks where part.subtask == subtask {
                guard let section = part.channels else { continue }
                let what = "the elements in flight to subtask \(subtask) of operator \(Self.describe(entry))"
                let file = try file(section.file)
                let stored = try file.read(offset: section.offset, length: section.length, crc32c: section.crc32c) { what }
                return try naming(file, what) {
                    var reader = ByteReader(UnsafeRawBufferPointer(start: stored.base, count: stored.capacity))
                    let length = try reader.word(UInt64.self)
                    guard length <= UInt64(Checkpoint.pieceBytesMax) else { throw Malformed("it has \(length) bytes") }
                    let raw = Buffer(capacity: Int(length))
                    try LZ4Frame.decompress(UnsafeRawBufferPointer(start: stored.base + 8, count: stored.capacity - 8), into: raw)
                    return try ChannelCodec.decode(raw)
                }
            }
        }
        return []
    }

    // MARK: Reading

    /// More than a piece can have; keeps damaged numbers from asking for all memory.
    private static let pieceBytesMax = 1 << 40

    static func describe(_ entry: CheckpointManifest.OperatorEntry) -> String { "\"\(entry.name)\" (\(entry.id))" }

    static func describe(_ piece: PieceEntry, _ entry: CheckpointManifest.OperatorEntry) -> String {
        let place = piece.keyGroup == KeyGroupState.everywhere ? "of no key group" : "of key group \(piece.keyGroup)"
        return "piece \"\(piece.name)\" \(place), unit \"\(piece.unit)\" of operator \(describe(entry))"
    }

    func file(_ number: Int) throws -> StateFileReader {
        guard files.indices.contains(number) else {
            throw StateFile.damaged("\(directory)/\(ManifestFile.name)", "it refers to file \(number) of \(files.count)")
        }
        return files[number]
    }

    /// Adds the file's name to what is wrong with its bytes.
    private func naming<R>(_ file: StateFileReader, _ what: @autoclosure () -> String, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let error as Malformed {
            throw StateFile.damaged(file.path, "\(what()) cannot be read: \(error.what)")
        }
    }

    /// The index of a subtask's pieces.
    func index(of subtask: CheckpointManifest.SubtaskEntry, _ entry: CheckpointManifest.OperatorEntry) throws -> [PieceEntry] {
        guard let section = subtask.state else { return [] }
        let what = "the index of subtask \(subtask.subtask) of operator \(Self.describe(entry))"
        let file = try file(section.file)
        let bytes = try file.read(offset: section.offset, length: section.length, crc32c: section.crc32c) { what }
        return try naming(file, what) { try PieceIndex.decode(UnsafeRawBufferPointer(start: bytes.base, count: bytes.capacity)) }
    }

    func load(_ piece: PieceEntry, of entry: CheckpointManifest.OperatorEntry) throws -> KeyGroupState {
        let file = try file(piece.file)
        let stored = try file.read(offset: piece.offset, length: piece.length, crc32c: piece.crc32c) { Self.describe(piece, entry) }
        return try naming(file, Self.describe(piece, entry)) {
            guard piece.rawLength <= Self.pieceBytesMax else { throw Malformed("it has \(piece.rawLength) bytes") }
            let raw = Buffer(capacity: piece.rawLength)
            try LZ4Frame.decompress(UnsafeRawBufferPointer(start: stored.base, count: stored.capacity), into: raw)
            let (batch, columns) = try PieceDecoder.decode(raw, length: raw.capacity)
            guard batch.count == piece.rows else { throw Malformed("it has \(batch.count) rows where the index says \(piece.rows)") }
            return KeyGroupState(keyGroup: piece.keyGroup, name: piece.name, batch: batch, columns: columns)
        }
    }
}
