import CRocksDB
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension RocksDBStore {
    /// Takes one of the stores over as it is, sharing its files, and copies the entries of the others.
    func restore(_ stores: [StoreFiles], keyGroups: Range<Int>) throws {
        guard let first = stores.first else { return }
        try adopt(first)
        try keepOnly(keyGroups)
        for store in stores.dropFirst() { try copy(store, keyGroups) }
    }

    /// A directory with the files of a snapshot that may be worked in: tables, which never change, as links.
    private func take(_ store: StoreFiles, into target: String) throws {
        try host.removeTree(target)
        try host.createDirectories(target)
        for name in store.immutable {
            let (from, to) = (store.directory + "/" + name, target + "/" + name)
            guard Host.exists(from) else { throw Self.missing(name, store) }
            if host.link(from, to) != 0 { try copyFile(from, to) }
        }
        for name in store.mutable {
            let from = store.directory + "/" + name
            guard Host.exists(from) else { throw Self.missing(name, store) }
            try copyFile(from, target + "/" + name)
        }
    }

    private static func missing(_ name: String, _ store: StoreFiles) -> StreamError {
        StreamError(.corrupt, "\(store.directory)/\(name), a file of the store \(store.name), is missing",
                    fix: "go on from an older checkpoint or a savepoint")
    }

    private func copyFile(_ from: String, _ to: String) throws {
        guard let size = Host.size(of: from) else { throw Host.failure("open", from) }
        let fd = host.open(to, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard fd >= 0 else { throw Host.failure("create", to) }
        defer { _ = host.close(fd) }
        var at = 0
        while at < size {
            let bytes = try Host.read(from, offset: at, count: min(1 << 20, size - at))
            if bytes.isEmpty { break }
            try bytes.withUnsafeBytes { try host.writeAll(fd, $0, at: at, path: to) }
            at += bytes.count
        }
    }

    private func adopt(_ store: StoreFiles) throws {
        try replaceDatabase { try take(store, into: $0) }
    }

    /// Empties all key groups outside of the range.
    private func keepOnly(_ keyGroups: Range<Int>) throws {
        var changes = StoreChanges()
        if keyGroups.lowerBound > 0 { changes.deleteRange([], Self.prefix(keyGroups.lowerBound)) }
        changes.deleteRange(Self.prefix(keyGroups.upperBound), [0xFF, 0xFF, 0xFF])
        try apply(changes)
    }

    private static func prefix(_ keyGroup: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: keyGroup >> 8), UInt8(truncatingIfNeeded: keyGroup)] }

    private func copy(_ store: StoreFiles, _ keyGroups: Range<Int>) throws {
        let target = directory + "/import"
        try take(store, into: target)
        let source = try Database(directory: target, memory: memory, host: host, forReading: true)
        var changes = StoreChanges()
        try source.scan(from: Self.prefix(keyGroups.lowerBound), to: Self.prefix(keyGroups.upperBound)) { key, value in
            changes.puts.append(key)
            changes.values.append(value)
            if changes.puts.bytes.count + changes.values.bytes.count > 4 << 20 {
                try apply(changes)
                changes.removeAll()
            }
            return true
        }
        try apply(changes)
    }
}
