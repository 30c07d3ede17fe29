import CChecksum
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Writes one checkpoint. Used by one thread at a time, off the stream's way. After an error, ``abandon()`` it.
public final class CheckpointWriter {
    public let checkpoint: UInt64
    /// The checkpoint's directory, once it is complete.
    public let directory: String
    /// Files of older checkpoints that could not be removed when this one was completed. The next one tries again.
    public private(set) var leftovers: [StreamError] = []
    /// ``complete(_:)`` failed so late that the checkpoint may still turn out to be complete after a crash: the job must fail
    /// and begin again from the newest checkpoint that its storage then finds.
    public private(set) var isIndeterminate = false

    private let host: Host
    private let storage: CheckpointStorage?
    private let base: CheckpointRecord?
    /// Where the manifest is written; another name than `directory` for a savepoint.
    private let workDirectory: String
    private let stateDirectory: String
    private let stateName: String
    private let statePrefix: String

    private var record: CheckpointRecord
    private var fileNumbers: [String: Int] = [:]
    private var output: StateFileWriter?
    private var outputNumber = 0
    private var storeCount = 0
    private var isOver = false
    private let raw = GrowingBuffer()
    private lazy var encoder = PieceEncoder(raw)

    private init(_ checkpoint: UInt64, directory: String, workDirectory: String, stateDirectory: String, statePrefix: String, stateName: String,
                 host: Host, storage: CheckpointStorage?, base: CheckpointRecord?, run: Int) {
        self.checkpoint = checkpoint
        self.directory = directory
        self.workDirectory = workDirectory
        self.stateDirectory = stateDirectory
        self.statePrefix = statePrefix
        self.stateName = stateName
        self.host = host
        self.storage = storage
        self.base = base
        record = CheckpointRecord(checkpoint: checkpoint, run: run)
    }

    convenience init(checkpoint: UInt64, storage: CheckpointStorage, base: CheckpointRecord?, run: Int) {
        let directory = CheckpointStorage.checkpointDirectory(checkpoint, in: storage.directory)
        // The random part keeps the name from being that of a file whose checkpoint a power cut has made forgotten.
        self.init(checkpoint, directory: directory, workDirectory: directory, stateDirectory: storage.directory + "/state",
                  statePrefix: CheckpointStorage.stateFilePrefix,
                  stateName: "\(checkpoint)-\(String(storage.host.randomBits() >> 32, radix: 16)).state", host: storage.host, storage: storage,
                  base: base, run: run)
    }

    convenience init(checkpoint: UInt64, savepoint directory: String, incomplete: String, host: Host) {
        self.init(checkpoint, directory: directory, workDirectory: incomplete, stateDirectory: incomplete + "/state", statePrefix: "state/",
                  stateName: "\(checkpoint).state", host: host, storage: nil, base: nil, run: 0)
    }

    deinit {
        if !isOver { storage?.finished(checkpoint) }
    }

    // MARK: State

    /// Writes an operator subtask's state, or refers to what the checkpoint before has of it. The directories of its stores
    /// are removed afterwards, also when it throws.
    /// - Returns: where it is, for ``CheckpointManifest/SubtaskEntry``; `bytes` counts what is referred to as well.
    public func write(_ snapshot: OperatorSnapshot, operatorID: String, subtask: Int) throws
        -> (state: CheckpointManifest.Section?, stores: [CheckpointManifest.StoreEntry], bytes: Int) {
        defer { snapshot.discardStores(host) }
        var entries: [PieceEntry] = []
        for unit in snapshot.units {
            let key = CheckpointRecord.UnitKey(operatorID: operatorID, subtask: subtask, name: unit.name)
            guard record.units[key] == nil else {
                throw StreamError(.runtime, "operator \(operatorID) has two units of state with the name \"\(unit.name)\" in subtask \(subtask)")
            }
            let pieces = try unchanged(unit, key) ?? unit.pieces().map { try write($0, unit: unit.name) }
            record.units[key] = CheckpointRecord.Unit(version: unit.version, pieces: pieces)
            entries += pieces
        }
        var bytes = entries.reduce(0) { $0 + $1.length }
        let stores = try snapshot.stores.map { store in
            let entry = try write(store)
            for file in entry.files { bytes += record.files[file.file].bytes }
            return entry
        }
        return (entries.isEmpty ? nil : try section(PieceIndex.encode(entries)), stores, bytes)
    }

    /// The pieces that the checkpoint before has of a unit of the same version, by this checkpoint's file numbers.
    private func unchanged(_ unit: StateUnit, _ key: CheckpointRecord.UnitKey) -> [PieceEntry]? {
        guard let version = unit.version, let base, let known = base.units[key], known.version == version,
              !known.pieces.contains(where: { base.sparseFiles.contains($0.file) })
        else { return nil }
        return known.pieces.map { piece in
            var piece = piece
            piece.file = fileNumber(base.files[piece.file])
            return piece
        }
    }

    private func fileNumber(_ file: CheckpointManifest.FileEntry) -> Int {
        if let known = fileNumbers[file.name] { return known }
        record.files.append(file)
        fileNumbers[file.name] = record.files.count - 1
        return record.files.count - 1
    }

    /// The state file, made when it is first needed.
    private func stateFile() throws -> StateFileWriter {
        if let output { return output }
        storage?.claim(stateName, for: checkpoint)
        let made = try StateFileWriter("\(stateDirectory)/\(stateName)", checkpoint: checkpoint, host: host)
        outputNumber = fileNumber(CheckpointManifest.FileEntry(name: statePrefix + stateName, bytes: 0))
        output = made
        return made
    }

    private func write(_ piece: KeyGroupState, unit: String) throws -> PieceEntry {
        raw.removeAll()
        try encoder.encode(piece.batch, columns: piece.columns)
        let (file, offset, length, crc) = try frame(raw.bytes)
        return PieceEntry(unit: unit, keyGroup: piece.keyGroup, name: piece.name, rows: piece.batch.count, file: file, offset: offset,
                          length: length, rawLength: raw.count, crc32c: crc)
    }

    /// Appends an LZ4 frame.
    private func frame(_ bytes: UnsafeRawBufferPointer) throws -> (file: Int, offset: Int, length: Int, crc32c: UInt32) {
        let output = try stateFile()
        let bound = LZ4Frame.bound(bytes.count)
        let room = try output.room(for: bound)
        let length = try LZ4Frame.compress(bytes, into: room, capacity: bound)
        let crc = sw_crc32c(0, room, length)
        return (outputNumber, output.commit(length), length, crc)
    }

    private func section(_ bytes: [UInt8]) throws -> CheckpointManifest.Section {
        let offset = try stateFile().append(bytes)
        let crc = bytes.withUnsafeBytes { sw_crc32c(0, $0.baseAddress, $0.count) }
        return CheckpointManifest.Section(file: outputNumber, offset: offset, length: bytes.count, crc32c: crc)
    }

    /// Writes elements in flight to a subtask.
    /// - Returns: nil when there are none.
    public func write(channels: [ChannelState]) throws -> CheckpointManifest.Section? {
        guard channels.contains(where: { !$0.elements.isEmpty }) else { return nil }
        let encoded = try ChannelCodec.encode(channels)
        // A section has no room for the length before compression, so that it stands in front of the frame.
        let bound = LZ4Frame.bound(encoded.count)
        let output = try stateFile(), room = try output.room(for: bound + 8)
        room.storeBytes(of: UInt64(encoded.count).littleEndian, as: UInt64.self)
        let length = try 8 + LZ4Frame.compress(encoded.bytes, into: room + 8, capacity: bound)
        let crc = sw_crc32c(0, room, length)
        return CheckpointManifest.Section(file: outputNumber, offset: output.commit(length), length: length, crc32c: crc)
    }

    // MARK: Stores

    private func write(_ store: StoreFiles) throws -> CheckpointManifest.StoreEntry {
        let place = "stores/\(storeCount)", path = "\(workDirectory)/\(place)"
        storeCount += 1
        try host.createDirectories(path)
        var entry = CheckpointManifest.StoreEntry(name: store.name, identity: store.identity, files: [])
        for (names, isImmutable) in [(store.immutable, true), (store.mutable, false)] {
            for name in names {
                let from = "\(store.directory)/\(name)", to = "\(path)/\(name)"
                guard var bytes = Host.size(of: from) else { throw Host.failure("take over", from) }
                var crc: UInt32?
                let key = CheckpointRecord.StoreFileKey(identity: store.identity, name: name, bytes: bytes)
                if !isImmutable {
                    (crc, bytes) = try StoreFileCopy.copy(from, to, host)
                } else if let known = base?.storeFiles[key], host.link(known, to) == 0 {
                    // Durable since the checkpoint before.
                } else if host.link(from, to) == 0 {
                    try StoreFileCopy.flush(to, host)
                } else {
                    // Another file system, or one without hard links. A disk that fails makes the copy fail too.
                    (crc, bytes) = try StoreFileCopy.copy(from, to, host)
                }
                // The final directory: that is where the next checkpoint finds it.
                if isImmutable { record.storeFiles[key] = "\(directory)/\(place)/\(name)" }
                let file = fileNumber(CheckpointManifest.FileEntry(name: "\(place)/\(name)", bytes: bytes, crc32c: crc))
                entry.files.append(CheckpointManifest.StoreEntry.File(name: name, file: file, isImmutable: isImmutable))
            }
        }
        try host.syncDirectory(path)
        return entry
    }

    // MARK: The end

    /// Makes everything durable, then the manifest: from then on the checkpoint is complete. Older ones may be removed.
    ///
    /// - Parameter manifest: with the sections and stores that `write` returned; files and the time of completion are filled in.
    /// - Throws: when it is not complete; but see ``isIndeterminate``.
    public func complete(_ manifest: CheckpointManifest) throws -> Checkpoint {
        guard !isOver else { throw StreamError(.runtime, "checkpoint \(checkpoint) was completed or abandoned before") }
        guard manifest.checkpoint == checkpoint else {
            throw StreamError(.runtime, "the manifest of checkpoint \(manifest.checkpoint) cannot complete checkpoint \(checkpoint)")
        }
        if let output {
            try output.finish()
            record.files[outputNumber].bytes = output.size
            try host.syncDirectory(stateDirectory)
        }
        var manifest = manifest
        manifest.files = record.files
        if manifest.completedAt == 0 { manifest.completedAt = host.now() }
        try publish(try ManifestFile.encode(manifest))
        isOver = true
        record.findSparseFiles()
        if let storage { leftovers = storage.completed(record) }
        return Checkpoint(manifest: manifest, directory: directory)
    }

    private func publish(_ manifest: [UInt8]) throws {
        let path = "\(workDirectory)/\(ManifestFile.name)"
        do {
            try host.replaceFile(path, manifest)
            if workDirectory != directory {
                guard host.rename(workDirectory, directory) == 0 else { throw Host.failure("rename \(workDirectory) to", directory) }
                try host.syncDirectory(Host.parent(of: directory))
            }
        } catch {
            // Renamed, but perhaps not durably. Taking it back makes the failure certain again; a savepoint is never found
            // by itself, so that nothing depends on it.
            if storage != nil, Host.exists(path) {
                isIndeterminate = true
                try? takeBack(path)
            }
            throw error
        }
    }

    private func takeBack(_ manifest: String) throws {
        try host.remove(manifest)
        try host.syncDirectory(workDirectory)
        isIndeterminate = false
    }

    /// Removes what was written, as far as that can be done. The checkpoints before it stay as they are.
    public func abandon() {
        guard !isOver else { return }
        isOver = true
        output?.close()
        defer { storage?.finished(checkpoint) }
        guard storage != nil else {
            try? host.removeTree(workDirectory)
            try? host.removeTree(directory)
            return
        }
        // While its manifest may be there after a crash, its files must be too.
        guard !isIndeterminate else { return }
        try? host.remove("\(workDirectory)/\(ManifestFile.name).tmp")
        if output != nil { try? host.remove("\(stateDirectory)/\(stateName)") }
        // The directory stays: its name keeps the number from being given again.
        try? host.removeTree(workDirectory + "/stores")
    }
}

extension OperatorSnapshot {
    /// Removes the files of stores that no checkpoint is going to take over. Those that a ``CheckpointWriter`` was given are
    /// removed by it.
    public func discardStores(_ host: Host) {
        for store in stores { try? host.removeTree(store.directory) }
    }
}

/// Copies of files of an embedded store.
private enum StoreFileCopy {
    static func flush(_ path: String, _ host: Host) throws {
        let fd = host.open(path, O_RDONLY, 0)
        guard fd >= 0 else { throw Host.failure("open", path) }
        defer { _ = host.close(fd) }
        guard host.sync(fd) == 0 else { throw Host.failure("flush", path) }
    }

    /// - Returns: checksum and number of the bytes.
    static func copy(_ from: String, _ to: String, _ host: Host) throws -> (crc32c: UInt32, bytes: Int) {
        let fd = host.open(to, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard fd >= 0 else { throw Host.failure("create", to) }
        defer { _ = host.close(fd) }
        var offset = 0, crc: UInt32 = 0
        while true {
            let bytes = try Host.read(from, offset: offset, count: 4 << 20)
            if bytes.isEmpty { break }
            try bytes.withUnsafeBytes {
                crc = sw_crc32c(crc, $0.baseAddress, $0.count)
                try host.writeAll(fd, $0, at: offset, path: to)
            }
            offset += bytes.count
        }
        guard host.sync(fd) == 0 else { throw Host.failure("flush", to) }
        return (crc, offset)
    }
}
