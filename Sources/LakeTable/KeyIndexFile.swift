import Foundation
import StreamCore
import struct StreamCore.Host

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A key index kept beside the table from one run of a job to the next, so that the keys of a large table need not be read again.
///
/// It is a cache and never the truth: it names the live files that it was made of, and is passed over unless the table has exactly
/// these. It is written at an orderly stop only; after a crash there is none, or one that is behind.
///
///     magic "SWKEYIX2" | seeds 2 x UInt64 | rules UInt64 | slices UInt32 | keys UInt64         little-endian
///     slices x ( length UInt32 | path relative to the table )
///     keys x ( hash 2 x UInt64 | slice Int32 | row UInt32 )
///     FNV-1a of all before, by words of 8 bytes
enum KeyIndexFile {
    private static let magic: [UInt8] = Array("SWKEYIX2".utf8)
    private static let entryBytes = 24
    private static let chunkEntries = 1 << 16

    static func name(_ files: TableFiles) -> String { files.metaFolder + "/.swiftwater.keys" }

    /// Tells apart how keys are made.
    private static func number(_ rules: KeyRules) -> UInt64 {
        Array("\(rules.namesKeys) \(rules.recordKeyFields)".utf8).withUnsafeBytes { checksum($0) }
    }

    struct Loaded {
        var index: KeyIndex
        var seeds: KeyHash.Seeds
    }

    /// - Parameters:
    ///   - slices: the live files; the index counts them in this order.
    ///   - rules: how the keys of the table are made now.
    /// - Returns: nil when there is no file, or it is damaged, or of another state of the table.
    static func load(_ files: TableFiles, slices: [FileSlice], rules: KeyRules) -> Loaded? {
        guard files.hasFolders, let data = try? Data(contentsOf: URL(fileURLWithPath: files.absolute(name(files))), options: .alwaysMapped) else { return nil }
        return data.withUnsafeBytes { bytes in
            var at = 0
            func take<T: FixedWidthInteger>(_: T.Type) -> T? {
                guard at + MemoryLayout<T>.size <= bytes.count else { return nil }
                defer { at += MemoryLayout<T>.size }
                return T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
            }
            guard bytes.count > magic.count + 8, bytes[0..<magic.count].elementsEqual(magic) else { return nil }
            at = magic.count
            guard let high = take(UInt64.self), let low = take(UInt64.self), take(UInt64.self) == Self.number(rules),
                  let sliceCount = take(UInt32.self), Int(sliceCount) == slices.count, let keys = take(UInt64.self) else { return nil }
            for slice in slices {
                guard let length = take(UInt32.self), at + Int(length) <= bytes.count, bytes[at..<at + Int(length)].elementsEqual(slice.path.utf8) else { return nil }
                at += Int(length)
            }
            guard keys <= UInt64(Int32.max) * 4, bytes.count == at + Int(keys) * entryBytes + 8 else { return nil }
            let end = bytes.count - 8
            guard bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self) == checksum(UnsafeRawBufferPointer(rebasing: bytes[0..<end])).littleEndian else { return nil }
            let index = KeyIndex(capacity: Int(keys))
            for i in 0..<Int(keys) {
                let from = at + i * entryBytes
                let group = Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: from + 16, as: Int32.self)))
                guard slices.indices.contains(group) else { return nil }
                let hash = KeyHash(high: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: from, as: UInt64.self)),
                                   low: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: from + 8, as: UInt64.self)))
                index.set(hash, group: group, row: Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: from + 20, as: UInt32.self))))
            }
            return Loaded(index: index, seeds: KeyHash.Seeds(high: high, low: low))
        }
    }

    /// Replaces the file. A file group that has left the table makes it useless, which is seen when it is read.
    /// - Parameter slices: the live files, by the group numbers of the index.
    static func save(_ index: KeyIndex, seeds: KeyHash.Seeds, slices: [FileSlice], rules: KeyRules, _ files: TableFiles) throws {
        // In the order in which a table is loaded.
        let order = slices.indices.sorted { (slices[$0].partition, slices[$0].fileId) < (slices[$1].partition, slices[$1].fileId) }
        var numbers = [Int32](repeating: 0, count: slices.count)
        for (number, group) in order.enumerated() { numbers[group] = Int32(truncatingIfNeeded: number) }
        let temporary = try files.temporaryName(), path = files.absolute(temporary)
        let descriptor = files.host.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard descriptor >= 0 else { throw TableFiles.failure("create", path) }
        do {
            defer { _ = files.host.close(descriptor) }
            var out = Output(descriptor: descriptor, host: files.host, path: path)
            out.bytes = magic
            out.put(seeds.high)
            out.put(seeds.low)
            out.put(number(rules))
            out.put(UInt32(slices.count))
            out.put(UInt64(index.count))
            for group in order {
                out.put(UInt32(slices[group].path.utf8.count))
                out.bytes += Array(slices[group].path.utf8)
            }
            try index.forEach { hash, place in
                out.put(hash.high)
                out.put(hash.low)
                out.put(numbers[Int(place.group)])
                out.put(place.row)
                if out.bytes.count >= chunkEntries * entryBytes { try out.flush(all: false) }
            }
            try out.finish()
            guard files.host.sync(descriptor) == 0 else { throw TableFiles.failure("flush", path) }
        } catch {
            _ = files.host.unlink(path)
            throw error
        }
        try files.remove(name(files))
        try files.publish(temporary: temporary, as: name(files))
    }

    private struct Output {
        let descriptor: Int32
        let host: Host
        let path: String
        var bytes: [UInt8] = []
        var offset = 0
        var sum = Checksum()

        mutating func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }

        /// Writes what is a whole number of words, or all.
        mutating func flush(all: Bool) throws {
            let n = all ? bytes.count : bytes.count & ~7
            try bytes.withUnsafeBytes { buffer in
                sum.add(UnsafeRawBufferPointer(rebasing: buffer[0..<n]))
                var done = 0
                while done < n {
                    let written = host.write(descriptor, buffer.baseAddress! + done, n - done, offset + done)
                    guard written > 0 else { throw TableFiles.failure("write", path) }
                    done += written
                }
            }
            offset += n
            bytes.removeFirst(n)
        }

        mutating func finish() throws {
            try flush(all: true)
            bytes = withUnsafeBytes(of: sum.value.littleEndian) { Array($0) }
            let last = sum
            try flush(all: true)
            sum = last
        }
    }

    /// FNV-1a over words; the last word is filled with zeros.
    struct Checksum {
        private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

        mutating func add(_ bytes: UnsafeRawBufferPointer) {
            var at = 0
            while at + 8 <= bytes.count {
                value = (value ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))) &* 0x100_0000_01B3
                at += 8
            }
            guard at < bytes.count else { return }
            var tail: UInt64 = 0
            for i in at..<bytes.count { tail |= UInt64(bytes[i]) << UInt64(8 * (i - at)) }
            value = (value ^ tail) &* 0x100_0000_01B3
        }
    }

    private static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum = Checksum()
        sum.add(bytes)
        return sum.value
    }
}
