import Foundation
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One name in a folder.
package struct FolderEntry: Sendable {
    package var name: String
    package var isFolder: Bool
    /// Bytes of a file; 0 unless asked for.
    package var size: Int64
}

/// A set of names as one number that does not depend on their order: says whether two listings are the same without keeping
/// either of them.
package struct NameFingerprint: Sendable, Equatable {
    package private(set) var count = 0
    private var sum: UInt64 = 0

    package init() {}

    package mutating func add(_ name: String) {
        var name = name
        name.withUTF8 { add(UnsafeRawBufferPointer($0)) }
    }

    package mutating func remove(_ name: String) {
        var name = name
        count -= 1
        name.withUTF8 { sum &-= Self.hash(UnsafeRawBufferPointer($0)) }
    }

    fileprivate mutating func add(_ name: UnsafeRawBufferPointer) {
        count += 1
        sum &+= Self.hash(name)
    }

    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        guard let base = name.baseAddress else { return 1 }
        return RowHash.mix(RowHash.bytes(base, name.count))
    }
}

extension TableFiles {
    /// What is in a folder, in no order and with as few calls as the system allows; nothing when it is missing.
    package func entries(in relative: String, sizes: Bool = false) throws -> [FolderEntry] {
        if let objects { return try objects.entries(in: relative).map { FolderEntry(name: $0.name, isFolder: $0.isFolder, size: $0.bytes) } }
        var out: [FolderEntry] = []
        try forEachEntry(in: relative) { folder, entry, name in
            var kind = entry.pointee.d_type, size: Int64 = 0
            if kind == UInt8(DT_UNKNOWN) || kind == UInt8(DT_LNK) || sizes && kind == UInt8(DT_REG) {
                var info = stat()
                // A file that has been deleted since is not in the folder.
                guard fstatat(folder, name.baseAddress!.assumingMemoryBound(to: CChar.self), &info, 0) == 0 else { return }
                kind = info.st_mode & S_IFMT == S_IFDIR ? UInt8(DT_DIR) : UInt8(DT_REG)
                size = Int64(info.st_size)
            }
            out.append(FolderEntry(name: String(decoding: name, as: UTF8.self), isFolder: kind == UInt8(DT_DIR), size: size))
        }
        return out
    }

    /// The names in a folder, as a number.
    package func fingerprint(of relative: String) throws -> NameFingerprint {
        var out = NameFingerprint()
        if let objects {
            for entry in try objects.entries(in: relative) { out.add(entry.name) }
            return out
        }
        try forEachEntry(in: relative) { _, _, name in out.add(name) }
        return out
    }

    private func forEachEntry(in relative: String, _ body: (Int32, UnsafeMutablePointer<dirent>, UnsafeRawBufferPointer) -> Void) throws {
        guard let folder = opendir(absolute(relative)) else {
            if errno == ENOENT { return }
            throw Self.failure("list", absolute(relative))
        }
        defer { closedir(folder) }
        let descriptor = dirfd(folder)
        while let entry = readdir(folder) {
            withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                let start = UnsafeRawPointer(tuple), length = strlen(start.assumingMemoryBound(to: CChar.self))
                let name = UnsafeRawBufferPointer(start: start, count: length)
                if name[0] == 0x2E, length == 1 || length == 2 && name[1] == 0x2E { return }
                body(descriptor, entry, name)
            }
        }
    }
}
