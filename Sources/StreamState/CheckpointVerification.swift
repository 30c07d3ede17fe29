import CChecksum
import StreamCore

extension Checkpoint {
    /// State of up to so many bytes is checked as a whole before it is restored from; more takes too long to read twice.
    static let verifiedBytesMax = 256 << 20

    /// Bytes that ``verify()`` reads.
    var verifiedBytes: Int {
        let ofStores = Set(manifest.operators.flatMap(\.subtasks).flatMap(\.stores).flatMap(\.files).map(\.file))
        return manifest.files.enumerated().reduce(0) { sum, file in
            ofStores.contains(file.offset) && file.element.crc32c == nil ? sum : sum + file.element.bytes
        }
    }

    /// Reads everything once. Throws the first damage. Files of embedded stores that have no checksum are only measured.
    public func verify() throws { try verify(pieces: true) }

    /// - Parameter pieces: whether to read pieces and files of stores, too; sizes and indexes are checked always.
    func verify(pieces: Bool) throws {
        for number in files.indices { try verifySize(number) }
        for entry in manifest.operators {
            for subtask in entry.subtasks {
                let index = try index(of: subtask, entry)
                for piece in index {
                    let file = try file(piece.file)
                    guard piece.offset <= file.size, piece.length <= file.size - piece.offset else {
                        throw StateFile.damaged(file.path, "\(Self.describe(piece, entry)) lies behind its end")
                    }
                }
                if pieces {
                    try verify(index, of: entry)
                    if subtask.channels != nil { _ = try channels(of: entry.id, subtask: subtask.subtask) }
                }
            }
        }
        if pieces { try verifyWholeFiles() }
    }

    private func verifySize(_ number: Int) throws {
        let file = files[number]
        guard let found = Host.size(of: file.path) else { throw StateFile.missing(file.path, holds: users(of: number)) }
        guard found == file.size else {
            throw StateFile.damaged(file.path, "it has \(found) of \(file.size) bytes; it holds \(users(of: number))")
        }
        if file.path.hasSuffix(".state") {
            let header = try Host.read(file.path, offset: 0, count: StateFile.headerBytes)
            guard header.starts(with: StateFile.magic), header.count == StateFile.headerBytes else {
                throw StateFile.damaged(file.path, "it does not begin as a state file")
            }
        }
    }

    /// What a file is needed for, in words, as far as that can be told without it.
    private func users(of number: Int) -> String {
        var users: [String] = []
        for entry in manifest.operators {
            for subtask in entry.subtasks {
                if subtask.stores.contains(where: { $0.files.contains { $0.file == number } }) {
                    users.append("a part of the store of operator \(Self.describe(entry))")
                }
                if subtask.state?.file == number { users.append("state of operator \(Self.describe(entry))") }
                guard let index = try? index(of: subtask, entry) else { continue }
                var units: Set<String> = []
                for piece in index where piece.file == number && units.insert(piece.unit).inserted {
                    users.append("unit \"\(piece.unit)\" of operator \(Self.describe(entry))")
                }
            }
        }
        if users.isEmpty { return "a part of checkpoint \(manifest.checkpoint)" }
        return users.prefix(5).joined(separator: ", ") + (users.count > 5 ? " and \(users.count - 5) more" : "")
    }

    private func verify(_ index: [PieceEntry], of entry: CheckpointManifest.OperatorEntry) throws {
        var memory = Buffer(capacity: 1 << 20)
        for piece in index {
            if piece.length > memory.capacity { memory = Buffer(capacity: piece.length) }
            try file(piece.file).read(offset: piece.offset, crc32c: piece.crc32c,
                                      into: UnsafeMutableRawBufferPointer(start: memory.base, count: piece.length)) { Self.describe(piece, entry) }
        }
    }

    private func verifyWholeFiles() throws {
        for (number, entry) in manifest.files.enumerated() {
            guard let wanted = entry.crc32c else { continue }
            var crc: UInt32 = 0, offset = 0
            while offset < entry.bytes {
                let bytes = try Host.read(files[number].path, offset: offset, count: min(4 << 20, entry.bytes - offset))
                guard !bytes.isEmpty else { break }
                crc = bytes.withUnsafeBytes { sw_crc32c(crc, $0.baseAddress, $0.count) }
                offset += bytes.count
            }
            guard crc == wanted else { throw StateFile.damaged(files[number].path, "its contents do not match its checksum") }
        }
    }
}
