import StreamCore

/// Reads the options of one table, with errors that name the option, its value and what it may be.
struct FormatOptions {
    let table: TableDescriptor

    func error(_ problem: String, fix: String?, key: String) -> StreamError {
        StreamError(.validate, "table \(table.name): \(problem)", fix: fix, at: table.optionLocations[key])
    }

    func string(_ key: String) -> String? { table.options[key] }

    func bool(_ key: String, default fallback: Bool = false) throws -> Bool {
        guard let value = table.options[key] else { return fallback }
        switch value.lowercased() {
        case "true": return true
        case "false": return false
        default: throw error("option '\(key)' = '\(value)' is neither true nor false", fix: "write 'true' or 'false'", key: key)
        }
    }

    /// One of `values`, compared without case; the first is the default.
    func choice(_ key: String, _ values: [String]) throws -> String {
        guard let value = table.options[key] else { return values[0] }
        if let found = values.first(where: { $0.lowercased() == value.lowercased() }) { return found }
        throw error("option '\(key)' = '\(value)' is not supported", fix: "use one of " + values.map { "'\($0)'" }.joined(separator: ", "), key: key)
    }

    /// A single ASCII character; Java escapes such as `\t` and `\u0001` are read.
    func character(_ key: String) throws -> UInt8? {
        guard let value = table.options[key] else { return nil }
        let bytes = Array(value.utf8)
        var found: UInt8?
        switch value {
        case "\\t": found = 9
        case "\\n": found = 10
        case "\\r": found = 13
        case "\\\\": found = UInt8(ascii: "\\")
        default:
            if bytes.count == 1 { found = bytes[0] }
            if bytes.count == 6, bytes[0] == UInt8(ascii: "\\"), bytes[1] == UInt8(ascii: "u"), let code = UInt8(value.dropFirst(2), radix: 16) { found = code }
        }
        guard let found, found < 0x80 else {
            throw error("option '\(key)' = '\(value)' is not a single ASCII character", fix: "write one character, for example ';' or '\\t'", key: key)
        }
        return found
    }
}
