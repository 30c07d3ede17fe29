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

    /// In the order of their paths. Names that start with `.` or `_` are hidden: they are files in progress and notes.
    func files() throws -> [DataFile] {
        var roots = [path]
        if Self.isGlob(path), !Host.exists(path) {
            roots = try Self.expand(path)
            guard !roots.isEmpty else {
                throw StreamError(.io, "no file matches \(path)", fix: "check the pattern; relative paths start at \(Self.workingDirectory)")
            }
        }
        var found: [DataFile] = []
        for root in roots { try collect(root, isRoot: true, [:], &found) }
        found.sort { $0.path < $1.path }
        return found
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
        for name in try Host.names(in: path) where !name.hasPrefix(".") && !name.hasPrefix("_") {
            var inner = partition
            if let (key, value) = Self.partition(name), partitionKeys.contains(key) {
                inner[key] = value == defaultPartition ? .some(nil) : .some(value)
            }
            try collect(path.hasSuffix("/") ? path + name : path + "/" + name, isRoot: false, inner, &found)
        }
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
