import Foundation
import StreamCore

@testable import StreamState

/// A job with one operator of two subtasks, whose state at checkpoint n is known: a unit that never changes, one that always
/// does, one without version, a piece of no key group, a store with a file that stays, and elements in flight.
struct SampleJob {
    static let operatorID = "op-1"
    let scratch: String
    var rowsPerPiece = 20

    func piece(_ keyGroup: Int, _ name: String, _ value: Int) -> KeyGroupState {
        let rows = (0..<rowsPerPiece).map { i -> [Value] in
            [.int(Int64(value * 1_000 + i)), i % 5 == 4 ? .null : .string("text of \(name), long enough for a heap, \(value) \(i)")]
        }
        let batch = Batch(schema: [Field("n", .bigint), Field("text", .string)], rows: rows)
        return KeyGroupState(keyGroup: UInt16(keyGroup), name: name, batch: batch, columns: ["n", "text"])
    }

    func pieces(_ checkpoint: Int, subtask: Int) -> [(unit: String, version: UInt64?, pieces: [KeyGroupState])] {
        let group = subtask * 64
        return [
            ("constant", 7, [piece(group, "table", 0), piece(group + 1, "table", 0)]),
            ("changing", UInt64(checkpoint), [piece(group + 2, "table", checkpoint)]),
            ("unversioned", nil, [piece(group, "more", checkpoint), piece(Int(KeyGroupState.everywhere), "shared", checkpoint + subtask)]),
        ]
    }

    func storeFiles(_ checkpoint: Int) -> [String: String] {
        ["1.sst": String(repeating: "one ", count: 300), "\(checkpoint + 1).sst": "of \(checkpoint)", "CURRENT": "current \(checkpoint)"]
    }

    func snapshot(_ checkpoint: Int, subtask: Int) throws -> OperatorSnapshot {
        let directory = "\(scratch)/store-\(checkpoint)-\(subtask)-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for (name, text) in storeFiles(checkpoint) { try Data(text.utf8).write(to: URL(filePath: "\(directory)/\(name)")) }
        let store = StoreFiles(name: "keys", directory: directory, immutable: ["1.sst", "\(checkpoint + 1).sst"], mutable: ["CURRENT"],
                               identity: "run-\(subtask)")
        return OperatorSnapshot(units: pieces(checkpoint, subtask: subtask).map { unit in
            StateUnit(name: unit.unit, version: unit.version) { unit.pieces }
        }, stores: [store])
    }

    /// Writes all of it.
    @discardableResult
    func take(_ checkpoint: Int, with writer: CheckpointWriter, kind: CheckpointManifest.Kind = .checkpoint) throws -> Checkpoint {
        var entry = CheckpointManifest.OperatorEntry(id: Self.operatorID, name: "COUNT(*)", parallelism: 2)
        for subtask in 0..<2 {
            let (state, stores, bytes) = try writer.write(snapshot(checkpoint, subtask: subtask), operatorID: Self.operatorID, subtask: subtask)
            let channels = try writer.write(channels: [
                ChannelState(channel: subtask, elements: [.watermark(EventTime(milliseconds: Int64(checkpoint))), .batch(piece(0, "flight", checkpoint).batch)])
            ])
            entry.subtasks.append(CheckpointManifest.SubtaskEntry(subtask: subtask, state: state, stores: stores, channels: channels, stateBytes: bytes))
        }
        entry.committables = [CheckpointManifest.Bytes([1, 2, UInt8(checkpoint & 255)])]
        return try writer.complete(CheckpointManifest(
            kind: kind, checkpoint: UInt64(checkpoint), jobID: "id", jobName: "sample", planFingerprint: "plan", maxParallelism: 128, startedAt: 5,
            operators: [entry]))
    }

    func take(_ checkpoint: Int, in storage: CheckpointStorage) throws -> Checkpoint {
        let writer = try storage.begin(UInt64(checkpoint))
        do {
            return try take(checkpoint, with: writer)
        } catch {
            writer.abandon()
            throw error
        }
    }

    private func line(_ state: KeyGroupState) -> String { "\(state.keyGroup) \(state.name) \(state.columns) \(state.batch.rows())" }

    /// All state that checkpoint n has to have.
    func expected(_ checkpoint: Int) -> [String] {
        (0..<2).flatMap { pieces(checkpoint, subtask: $0).flatMap(\.pieces).map(line) }.sorted()
            + (0..<2).flatMap { _ in storeFiles(checkpoint).map { "\($0.key): \($0.value)" }.sorted() }
            + (0..<2).map { "flight \($0) \(checkpoint) \(piece(0, "flight", checkpoint).batch.rows())" }
    }

    /// All state that a checkpoint has.
    func contents(_ checkpoint: Checkpoint) throws -> [String] {
        let state = try checkpoint.state(of: Self.operatorID, keyGroups: 0..<128)
        var lines = try state.loaded().map(line).sorted()
        for store in state.stores {
            lines += try (store.immutable + store.mutable).map { name in
                "\(name): \(String(decoding: try Host.read("\(store.directory)/\(name)"), as: UTF8.self))"
            }.sorted()
        }
        for subtask in 0..<2 {
            for channel in try checkpoint.channels(of: Self.operatorID, subtask: subtask) {
                var text = "flight \(channel.channel)"
                for element in channel.elements {
                    switch element {
                    case .watermark(let time): text += " \(time)"
                    case .batch(let batch): text += " \(batch.rows())"
                    default: text += " ?"
                    }
                }
                lines.append(text)
            }
        }
        return lines
    }
}

/// All files below a directory, by path relative to it.
func files(below directory: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: directory).filter { path in
        var isDirectory: ObjCBool = false
        return FileManager.default.fileExists(atPath: "\(directory)/\(path)", isDirectory: &isDirectory) && !isDirectory.boolValue
    }.sorted()
}

/// The error that a body throws; nil when it does not.
func failure(_ body: () throws -> Void) -> StreamError? {
    do {
        try body()
        return nil
    } catch {
        return error as? StreamError
    }
}
