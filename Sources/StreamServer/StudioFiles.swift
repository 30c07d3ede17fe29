import AWSProtocol
import Foundation
import JobControl
import Notebook
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The notebooks of a directory and those below it. Nothing outside of it is read or written: names with `..` are refused, and
/// symbolic links are not followed.
struct StudioFiles: Sendable {
    static let extensions = ["sql", "ipynb", "zpln"]
    static let bytesMax = 2 << 20
    private static let filesMax = 1_000, depthMax = 8, nameMax = 300

    let root: String

    /// - Throws: `.validate` when there is no such directory.
    init(_ directory: String) throws {
        let path = LocalSocket.realPath(directory)
        guard Host.isDirectory(path) else { throw StreamError(.validate, "--notebooks \(directory) is no directory", fix: "make it, or name another one") }
        root = path
    }

    struct Entry: Sendable {
        /// Below the directory: `sensors.sql`, `kafka/mirror.sql`.
        var name: String
        var bytes: Int
        /// Milliseconds since 1970.
        var modified: Int64
    }

    /// In the order of their names; hidden ones are left out.
    func list() -> [Entry] {
        var out: [Entry] = []
        func walk(_ folder: String, _ prefix: String, _ depth: Int) {
            guard depth <= Self.depthMax, let names = try? Host.names(in: folder) else { return }
            for name in names.sorted() where !name.hasPrefix(".") && out.count < Self.filesMax {
                var status = stat()
                guard lstat(folder + "/" + name, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR {
                    walk(folder + "/" + name, prefix + name + "/", depth + 1)
                } else if status.st_mode & S_IFMT == S_IFREG, Self.isNotebook(name) {
                    out.append(.init(name: prefix + name, bytes: Int(status.st_size), modified: Self.stamp(status).milliseconds))
                }
            }
        }
        walk(root, "", 0)
        return out.sorted { $0.name < $1.name }
    }

    static func isNotebook(_ name: String) -> Bool { extensions.contains { name.hasSuffix("." + $0) && name.utf8.count > $0.utf8.count + 1 } }

    /// Where a notebook lies.
    /// - Throws: `.validate` for a name that leads elsewhere, or is no notebook's.
    func path(_ name: String) throws -> String {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        func refusal(_ problem: String, _ fix: String) -> StreamError {
            let shown = String(name.unicodeScalars.prefix(100).map { $0.properties.generalCategory == .control ? "." : Character($0) })
            return StreamError(.validate, "'\(shown)' \(problem)", fix: fix)
        }
        guard name.utf8.count <= Self.nameMax, parts.count <= Self.depthMax,
              !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control || $0 == "\\" }),
              parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix(".") })
        else { throw refusal("is no name of a notebook", "write a path below the directory, such as kafka/mirror.sql") }
        guard Self.isNotebook(name) else { throw refusal("is no notebook", "its name ends with .sql, .ipynb or .zpln") }
        var path = root
        for (i, part) in parts.enumerated() {
            path += "/" + part
            var status = stat()
            guard lstat(path, &status) == 0 else {
                if errno == ENOENT { return root + "/" + name }
                throw Host.failure("read", path)
            }
            let kind = status.st_mode & S_IFMT
            guard kind == (i + 1 == parts.count ? S_IFREG : S_IFDIR) else {
                throw refusal(kind == S_IFLNK ? "leads through a symbolic link" : "is no file", "name a file that is in the directory itself")
            }
        }
        return path
    }

    /// Tells one state of a file from another.
    struct Stamp: Hashable, Sendable {
        var inode: UInt64, bytes: Int64, seconds: Int64, nanoseconds: Int64
        var milliseconds: Int64 { seconds * 1000 + nanoseconds / 1_000_000 }
    }

    private static func stamp(_ status: stat) -> Stamp {
        #if canImport(Glibc)
        Stamp(inode: UInt64(status.st_ino), bytes: Int64(status.st_size), seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int64(status.st_mtim.tv_nsec))
        #else
        Stamp(inode: UInt64(status.st_ino), bytes: Int64(status.st_size), seconds: Int64(status.st_mtimespec.tv_sec), nanoseconds: Int64(status.st_mtimespec.tv_nsec))
        #endif
    }

    /// nil when the file is not there.
    func stamp(_ name: String) throws -> Stamp? {
        var status = stat()
        return lstat(try path(name), &status) == 0 ? Self.stamp(status) : nil
    }

    func read(_ name: String) throws -> (bytes: [UInt8], stamp: Stamp) {
        let path = try path(name)
        let fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
        guard fd >= 0 else {
            if errno == ENOENT { throw StreamError(.validate, "there is no notebook \(name)", fix: "GET /v1/notebooks lists them").notFound }
            throw Host.failure("read", path)
        }
        defer { close(fd) }
        var status = stat()
        guard fstat(fd, &status) == 0 else { throw Host.failure("read", path) }
        guard status.st_size <= Self.bytesMax else {
            throw StreamError(.validate, "\(name) has \(status.st_size) bytes; the page opens notebooks of up to \(Self.bytesMax >> 20) MiB",
                              fix: "clear its outputs, or convert it with swiftwater notebook convert")
        }
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let n = Foundation.read(fd, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n >= 0 else { throw Host.failure("read", path) }
            if n == 0 { break }
            bytes += chunk[..<n]
            guard bytes.count <= Self.bytesMax else { throw StreamError(.validate, "\(name) grows while it is read", fix: "wait until it is written") }
        }
        return (bytes, Self.stamp(status))
    }

    /// Replaces the file as a whole; its permissions stay.
    func write(_ name: String, _ bytes: [UInt8]) throws -> Stamp {
        guard bytes.count <= Self.bytesMax else {
            throw StreamError(.validate, "\(name) would have \(bytes.count) bytes; \(Self.bytesMax >> 20) MiB is the most", fix: "split it into two notebooks")
        }
        let path = try path(name)
        var status = stat()
        let mode = lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
        try Host.system.createDirectories(Host.parent(of: path))
        try Host.system.replaceFile(path, bytes)
        if let mode { _ = chmod(path, mode) }
        guard lstat(path, &status) == 0 else { throw Host.failure("read", path) }
        return Self.stamp(status)
    }

    static func hash(_ bytes: [UInt8]) -> String { String(Digest.hexadecimal(Digest.sha256(bytes)).prefix(16)) }
}
