import StreamCore
import StreamSQL

/// A table on its way to Flink: its options are taken one by one, and what nobody took is refused at the end, so that nothing is
/// left out unsaid.
struct OptionTranslation {
    let table: SourceTable
    let target: FlinkTarget
    private(set) var findings: Findings
    /// The table as it will be; its options are those that Flink gets.
    var declaration: TableDeclaration
    /// Set when Flink reads records of a form that only a query makes rows of.
    var view: TranslatedTable.View?
    private var left: Set<String>
    private(set) var isRefused = false

    init(_ table: SourceTable, _ target: FlinkTarget, _ findings: Findings) {
        self.table = table
        self.target = target
        self.findings = findings
        declaration = table.declaration
        declaration.options = ["connector": table.connector]
        left = Set(table.declaration.options.keys).subtracting(["connector"])
    }

    /// What findings are about.
    var about: String { "table \(table.name)" }
    var version: FlinkVersion { target.version }

    // MARK: Options

    func has(_ key: String) -> Bool { table.declaration.options[key] != nil }
    func value(_ key: String) -> String? { table.declaration.options[key] }
    func isTrue(_ key: String) -> Bool { value(key)?.trimmed.lowercased() == "true" }

    /// Options that nobody has taken yet and that begin so, in the order of their names.
    func rest(_ prefix: String) -> [String] { left.filter { $0.hasPrefix(prefix) }.sorted() }

    /// The option's value, which the caller answers for from now on.
    mutating func take(_ key: String) -> String? {
        left.remove(key)
        return value(key)
    }

    mutating func set(_ key: String, _ value: String) { declaration.options[key] = value }

    /// Options that mean the same in Flink.
    mutating func keep(_ keys: String...) { keep(keys) }

    mutating func keep(_ keys: [String]) {
        for key in keys { if let value = take(key) { set(key, value) } }
    }

    mutating func keep(prefix: String) { keep(rest(prefix)) }

    mutating func rename(_ key: String, to name: String) {
        if let value = take(key) { set(name, value) }
    }

    /// An option whose value is written differently; `form` returns nil for what it does not know.
    mutating func change(_ key: String, to name: String? = nil, instead: String, _ form: (String) -> String?) {
        guard let text = take(key) else { return }
        guard let value = form(text) else { return refuse(key, reason: "'\(text)' has no equal in Flink", instead: instead) }
        set(name ?? key, value)
    }

    /// Options that mean nothing in Flink, or that Flink does by itself.
    mutating func drop(_ keys: String..., because text: String) { drop(keys, because: text) }

    mutating func drop(_ keys: [String], because text: String) {
        let given = keys.filter { take($0) != nil }
        if !given.isEmpty { note("\(given.map { "'\($0)'" }.joined(separator: ", ")) left out: \(text)") }
    }

    /// Options whose value is the one thing that Flink does: left out when it is, and otherwise refused.
    mutating func drop(_ key: String, when values: [String], reason: String, instead: String) {
        guard let text = take(key), !values.contains(text.trimmed.lowercased()) else { return }
        refuse(key, reason: reason, instead: instead)
    }

    // MARK: Findings

    mutating func note(_ text: String) { findings.note(text, about: about) }
    mutating func need(_ jar: FlinkJar?) { if let jar { findings.need(jar) } }

    /// Refuses an option of the table, if it is there.
    mutating func refuse(_ key: String, reason: String, instead: String) {
        guard has(key) else { return }
        left.remove(key)
        isRefused = true
        findings.refuse("\(about), option '\(key)'", reason: reason, instead: instead, at: table.optionLocations[key] ?? table.location)
    }

    mutating func refuse(column: String, reason: String, instead: String) {
        isRefused = true
        findings.refuse("\(about), column \(column)", reason: reason, instead: instead, at: table.location)
    }

    /// Refuses the table, with all of its options.
    mutating func refuse(reason: String, instead: String) {
        left = []
        isRefused = true
        findings.refuse(about, reason: reason, instead: instead, at: table.location)
    }

    // MARK: Paths

    /// Where the cluster finds what an option's path names; nil when it was refused.
    mutating func path(_ key: String) -> String? {
        guard let path = take(key) else { return nil }
        if let there = target.path(path) { return there }
        refuse(key, reason: "only this machine has '\(path)'", instead: "name what the cluster reaches it under: --map \(target.absolute(path))=s3://bucket/folder")
        return nil
    }

    // MARK: Columns

    /// Checks the columns' types, and that Flink's connector tells what metadata columns ask for.
    ///
    /// - Parameters:
    ///   - readable: keys of metadata that can be read, with the name that Flink has for them.
    ///   - writable: those of them that can be written.
    ///   - instead: what to write for a key that is missing.
    mutating func columns(readable: [String: String] = [:], writable: Set<String> = [], instead: (String) -> String? = { _ in nil }) {
        // A view has said already what becomes of each column.
        guard view == nil, !isRefused || declaration.columns == table.declaration.columns else { return }
        for (i, column) in declaration.columns.enumerated() {
            if case .physical = column.kind, let type = column.type, let problem = FlinkTypes.problem(type, version) {
                refuse(column: column.name, reason: problem.reason, instead: problem.instead)
            }
            guard case .metadata(let given, let virtual) = column.kind else { continue }
            let key = given ?? column.name
            if BadInput.metadataKeys[key] != nil {
                refuse(column: column.name, reason: "Flink gives no rows for records that cannot be decoded, so there is no metadata '\(key)'", instead: BrokenRecords.instead)
                continue
            }
            guard let name = readable[key] else {
                let ways = readable.keys.sorted().joined(separator: ", ")
                refuse(column: column.name, reason: "Flink's connector '\(declaration.options["connector"]!)' tells no metadata '\(key)'",
                       instead: instead(key) ?? (ways.isEmpty ? "leave the column out, or make its value part of the records" : "read one of \(ways), or make its value part of the records"))
                continue
            }
            if !virtual, table.isWritten, !writable.contains(name) {
                refuse(column: column.name, reason: "Flink's connector '\(declaration.options["connector"]!)' cannot write metadata '\(name)'",
                       instead: "declare the column as METADATA ... VIRTUAL, which INSERT leaves out")
                continue
            }
            if name != key { declaration.columns[i].kind = .metadata(key: name == column.name ? nil : name, virtual: virtual) }
        }
    }

    // MARK: The end

    /// Passes on what is Flink's own, refuses what else nobody took, and hands over what was found.
    mutating func finish(_ findings: inout Findings) -> TranslatedTable? {
        keep("scan.watermark.idle-timeout")
        drop("statistics.row-count", because: "Flink takes numbers of rows from the statistics of its catalog")
        for key in left.sorted() {
            if table.foreignOptions.contains(key) {
                // What the translation itself has to set counts.
                if let value = take(key), declaration.options[key] == nil { set(key, value) }
                continue
            }
            refuse(key, reason: "it is not known what this option is in Flink", instead: "leave it out, or set it on the cluster by hand")
        }
        findings = self.findings
        return isRefused ? nil : TranslatedTable(declaration, view: view)
    }
}

/// What becomes of records that cannot be decoded.
enum BrokenRecords {
    static let instead = "read the records with 'format' = 'raw' into one STRING column, and divide them with IS JSON into two INSERTs: one that parses them with JSON_VALUE, and one for those that are none"
}

extension OptionTranslation {
    /// `on-error` and where broken records go; call it before ``format(prefix:)``.
    mutating func brokenRecords(formatPrefix: String = "") {
        let targets = ["dead-letter.table", "dead-letter.topic"]
        guard let text = take(BadInput.option) else {
            for key in targets { drop(key, when: [], reason: "Flink puts no records aside", instead: BrokenRecords.instead) }
            return
        }
        for key in targets { _ = take(key) }
        let format = value(formatPrefix + "format") ?? value("value.format") ?? value("format") ?? ""
        let prefix = has(formatPrefix + "format") ? formatPrefix : has("format") ? "" : "value."
        switch text.trimmed.lowercased() {
        case "fail": break
        case "skip":
            guard FormatRules.skipping.contains(format.lowercased()) else {
                return refuse(BadInput.option, reason: "Flink's format '\(format)' cannot leave out records that it cannot decode", instead: "write 'fail', or use one of the formats \(FormatRules.skipping.sorted().joined(separator: ", "))")
            }
            set("\(prefix)\(format).ignore-parse-errors", "true")
            note("'on-error' = 'skip' is '\(prefix)\(format).ignore-parse-errors' = 'true': Flink counts no such records, and where it cannot read one field of a record it may keep the row with NULL in it")
        default:
            refuse(BadInput.option, reason: "Flink puts no records aside that it cannot decode", instead: BrokenRecords.instead)
        }
    }

    /// Options of storage, which are the cluster's and not a table's in Flink.
    mutating func storage() {
        let keys = rest("s3.")
        drop(keys, because: "how storage is reached is the cluster's configuration: put it into its config.yaml, and the library flink-s3-fs-hadoop into its plugins")
    }
}

/// Types that tables of Flink cannot have.
enum FlinkTypes {
    static func problem(_ type: String, _ version: FlinkVersion) -> (reason: String, instead: String)? {
        let words = type.uppercased().split { !($0.isLetter || $0.isNumber || $0 == "_") }
        // Flink has the type since 2.1, and up to 2.3 no format that reads or writes it, no path v.a and no cast to other types.
        if words.contains("VARIANT") {
            return ("Flink's formats read and write no VARIANT", "declare it as STRING and read it with JSON_VALUE and JSON_QUERY, or declare the parts that are wanted as columns")
        }
        return nil
    }
}
