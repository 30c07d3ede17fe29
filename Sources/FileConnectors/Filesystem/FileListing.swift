import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A data file of a table.
struct DataFile: Hashable, Sendable {
    var path: String
    var size: Int
    /// Milliseconds since 1970-01-01.
    var modified: Int64
    /// Partition key -> text in the folder's name; nil = the default partition, which stands for NULL.
    var partition: [String: String?] = [:]
}

/// Finds the files of a path: one file, a directory with all below it, or a glob pattern.
struct FileListing: Sendable {
    var path: String
    var partitionKeys: [String]
    /// The folder value that stands for NULL.
    var defaultPartition: String
    /// Whole paths must match; nil = all.
    var pattern: PathPattern?

    /// What is wanted of the partition columns, and how the text of a folder is read.
    var wanted = PartitionFilter()
    var types: [String: DataType] = [:]
    /// Called for each folder that is read.
    var opening: @Sendable (String) -> Void = { _ in }

    /// In the order of their paths. Names that start with `.` or `_` are hidden: they are files in progress and notes.
    /// Folders of partitions that are not wanted are not read.
    func files() throws -> [DataFile] {
        var found: [DataFile] = []
        for root in try roots() { try collect(root, isRoot: true, [:], &found) }
        found.sort { $0.path < $1.path }
        return found
    }

    /// The files of partitions that a catalog has given. One whose folder is gone is empty.
    func files(in partitions: [TablePartition]) throws -> [DataFile] {
        var found: [DataFile] = []
        for partition in partitions {
            let folder = partition.location.hasPrefix("/") ? partition.location : root + partition.location
            guard Host.exists(folder) else { continue }
            try collect(folder, isRoot: true, folders(partition.name), &found)
        }
        found.sort { $0.path < $1.path }
        return found
    }

    /// The path with a slash behind it.
    private var root: String { path.hasSuffix("/") ? path : path + "/" }

    /// Partition key -> text of the folders `year=2021/month=04`.
    func folders(_ name: String) -> [String: String?] {
        var texts: [String: String?] = [:]
        for level in name.split(separator: "/") {
            if let (key, value) = Self.partition(String(level)), partitionKeys.contains(key) { texts[key] = text(value) }
        }
        return texts
    }

    /// nil stands for NULL.
    private func text(_ value: String) -> String?? { value == defaultPartition ? .some(nil) : .some(value) }

    /// What is known of one file that was listed before: its partition follows from its path.
    func file(_ path: String) throws -> DataFile? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let below = path.hasPrefix(root) ? String(path.dropFirst(root.count)) : path
        return DataFile(path: path, size: Int(status.st_size), modified: Self.modified(status), partition: folders(below))
    }

    /// The path, or what a pattern matches.
    /// - Throws: `.io` when there is nothing.
    func roots() throws -> [String] {
        guard Self.isGlob(path), !Host.exists(path) else {
            var status = stat()
            guard stat(path, &status) == 0 else { throw Self.failure("find", path) }
            return [path]
        }
        let roots = try Self.expand(path)
        guard !roots.isEmpty else {
            throw StreamError(.io, "no file matches \(path)", fix: "check the pattern; relative paths start at \(Self.workingDirectory)")
        }
        return roots
    }

    private func collect(_ path: String, isRoot: Bool, _ partition: [String: String?], _ found: inout [DataFile]) throws {
        var status = stat()
        guard stat(path, &status) == 0 else {
            // A file that vanished while its folder was listed is not there any more; the path that was asked for must be.
            if errno == ENOENT, !isRoot { return }
            throw Self.failure("find", path)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            guard status.st_mode & S_IFMT == S_IFREG || isRoot, pattern?.matches(path) ?? true else { return }
            found.append(DataFile(path: path, size: Int(status.st_size), modified: Self.modified(status), partition: partition))
            return
        }
        opening(path)
        for name in try Host.names(in: path) where !name.hasPrefix(".") && !name.hasPrefix("_") {
            var inner = partition
            if let (key, value) = Self.partition(name), partitionKeys.contains(key) {
                guard isWanted(key, value) else { continue }
                inner[key] = text(value)
            }
            try collect(path.hasSuffix("/") ? path + name : path + "/" + name, isRoot: false, inner, &found)
        }
    }

    /// A folder that does not hold a value of the column's type is read: what is wrong with it shows then.
    private func isWanted(_ key: String, _ text: String) -> Bool {
        guard wanted.restricts(key), let type = types[key] else { return true }
        if text == defaultPartition { return wanted.admits(.null, for: key) }
        return PartitionValue.parse(text, type).map { wanted.admits($0, for: key) } ?? true
    }

    /// The folders of all partitions that are wanted, relative to the path, level by level.
    func partitionFolders() throws -> [String] {
        var folders = [""]
        for key in partitionKeys {
            var next: [String] = []
            for folder in folders {
                let directory = folder.isEmpty ? path : root + folder
                opening(directory)
                for name in try Host.names(in: directory) {
                    guard let (found, value) = Self.partition(name), found == key, isWanted(key, value), Host.isDirectory(directory + "/" + name) else { continue }
                    next.append(folder.isEmpty ? name : folder + "/" + name)
                }
            }
            folders = next
        }
        return folders.sorted()
    }

    private static func modified(_ status: stat) -> Int64 {
        #if canImport(Glibc)
        let time = status.st_mtim
        #else
        let time = status.st_mtimespec
        #endif
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    static var workingDirectory: String {
        guard let current = getcwd(nil, 0) else { return "." }
        defer { free(current) }
        return String(cString: current)
    }

    static func failure(_ verb: String, _ path: String) -> StreamError {
        let code = errno
        let fix: String? = switch code {
        case ENOENT: path.hasPrefix("/") ? "check the option 'path'" : "check the option 'path': relative paths start at \(workingDirectory)"
        case EACCES, EPERM, EROFS: "check the permissions of the file and the folders above it"
        case ENOSPC, EDQUOT: "free disk space"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        default: nil
        }
        return StreamError(.io, "cannot \(verb) \(path): \(String(cString: strerror(code)))", fix: fix)
    }

    // MARK: Patterns

    static func isGlob(_ path: String) -> Bool { path.contains { $0 == "*" || $0 == "?" || $0 == "[" } }

    private static func expand(_ pattern: String) throws -> [String] {
        var result = glob_t()
        defer { globfree(&result) }
        switch glob(pattern, 0, nil, &result) {
        case 0: return (0..<Int(result.gl_pathc)).compactMap { result.gl_pathv[$0].map { String(cString: $0) } }
        case GLOB_NOMATCH: return []
        default: throw StreamError(.io, "cannot list the files of \(pattern)", fix: "check the permissions of its folders")
        }
    }

    // MARK: Partition folders

    /// `key=value` with Hive's escapes undone.
    static func partition(_ name: String) -> (key: String, value: String)? {
        guard let equals = name.firstIndex(of: "=") else { return nil }
        return (unescape(name[..<equals]), unescape(name[name.index(after: equals)...]))
    }

    private static func unescape(_ text: Substring) -> String {
        guard text.contains("%") else { return String(text) }
        var out: [UInt8] = []
        let bytes = Array(text.utf8)
        var i = 0
        while i < bytes.count {
            if bytes[i] == UInt8(ascii: "%"), i + 2 < bytes.count, let byte = UInt8(String(decoding: bytes[i + 1...i + 2], as: UTF8.self), radix: 16) {
                out.append(byte)
                i += 3
            } else {
                out.append(bytes[i])
                i += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Escapes what Hive escapes in folder names.
    static func escape(_ text: String) -> String {
        let special = Set("\"#%'*/:=?\\{[]^\u{7F}".utf8)
        guard text.utf8.contains(where: { $0 < 0x20 || special.contains($0) }) || text == "." || text == ".." else { return text }
        var out: [UInt8] = []
        for byte in text.utf8 {
            if byte < 0x20 || special.contains(byte) || (text == "." || text == "..") {
                let hex = String(byte, radix: 16, uppercase: true)
                out += ("%" + (hex.utf8.count < 2 ? "0" : "") + hex).utf8
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// A regular expression that a whole path has to match.
struct PathPattern: Sendable {
    private let text: String

    /// nil when the text is no regular expression.
    init?(_ text: String) {
        guard (try? Regex(text)) != nil else { return nil }
        self.text = text
    }

    func matches(_ path: String) -> Bool {
        guard let regex = try? Regex(text) else { return false }
        return (try? regex.wholeMatch(in: path)) != nil
    }
}
