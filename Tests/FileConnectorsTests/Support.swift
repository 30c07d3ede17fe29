import Foundation
import StreamCore

/// A directory that is removed with the last reference to it.
final class TemporaryDirectory: Sendable {
    let path: String

    /// On another disk.
    init(at path: String) {
        self.path = path
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    init() {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("files-\(UUID().uuidString)").path
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws {
        let url = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    func read(_ name: String) throws -> String { String(decoding: try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), as: UTF8.self) }

    /// All files below, also hidden ones, with paths relative to this directory.
    func files() -> [String] {
        (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).filter {
            var isDirectory = ObjCBool(false)
            return FileManager.default.fileExists(atPath: path + "/" + $0, isDirectory: &isDirectory) && !isDirectory.boolValue
        }.sorted()
    }
}

extension TableSource {
    /// Every row of every split, in the order of splits, until each ends or has nothing for now.
    func rows(maxRows: Int = 8_192, metrics: OperatorMetrics = OperatorMetrics()) throws -> [[Value]] {
        try splits().flatMap { try reader(for: $0, metrics: metrics).rows(maxRows: maxRows) }
    }
}

extension SplitReader {
    /// Rows until the split ends; with `stopsWaiting` until there is nothing for now.
    func rows(maxRows: Int = 8_192, stopsWaiting: Bool = false) throws -> [[Value]] {
        var all: [[Value]] = []
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline {
            switch try next(maxRows: maxRows) {
            case .batch(let batch): all += batch.rows()
            case .waiting: if stopsWaiting { return all }
            case .endOfSplit: return all
            }
        }
        return all
    }
}
