/// Which of this engine's functions a version of Flink has.
public enum FlinkFunctions {
    public enum Availability: Hashable, Sendable {
        /// Every version from this one on has it, with the same meaning.
        case since(FlinkVersion)
        /// No version has it.
        case absent(instead: String)
        /// Versions from this one on have it; before, the same is written so, with `$1`, `$2` for the arguments.
        case rewritten(String, before: FlinkVersion)
    }

    private static let newer: [FlinkVersion: Set<String>] = [
        FlinkVersion(2, 0): [
            "BTRIM", "ELT", "ENDSWITH", "JSON_QUOTE", "JSON_UNQUOTE", "PERCENTILE", "PRINTF", "REGEXP_COUNT", "REGEXP_EXTRACT_ALL", "REGEXP_INSTR", "REGEXP_SUBSTR", "STARTSWITH",
            "TRANSLATE", "TRANSLATE3", "UNHEX", "URL_DECODE", "URL_ENCODE",
        ],
        FlinkVersion(2, 1): ["JSON", "PARSE_JSON", "TRY_PARSE_JSON"],
        FlinkVersion(2, 3): ["INET_ATON", "INET_NTOA"],
    ]

    private static let absent: [String: String] = [
        "DYNAMODB_EVENT": "read the records with 'format' = 'dynamodb-json', which is exported as a view, or with JSON_VALUE",
        "DYNAMODB_FLAT": "read the attributes with JSON_VALUE(record, '$.dynamodb.NewImage.name.S')",
        "FIELD": "write CASE x WHEN a THEN 1 WHEN b THEN 2 ELSE 0 END",
        "FLATTEN_VARIANT": "name the fields with JSON_VALUE, or write a user function in Java or Python",
        "ONE_HOT": "write a CASE WHEN x = 'a' THEN 1 ELSE 0 END for each category",
        "RANDOM_CUT_FOREST": "score the rows in a job here, or call a model with a Python function",
        "RANDOM_CUT_FOREST_WITH_EXPLANATION": "score the rows in a job here, or call a model with a Python function",
        // It is there, but a streaming query cannot use it.
        "APPROX_COUNT_DISTINCT": "write COUNT(DISTINCT x): Flink counts approximately in batch queries only",
    ]

    /// Ways to write the newer ones before.
    private static let templates: [String: String] = [
        "STARTSWITH": "(LEFT($1, CHAR_LENGTH($2)) = $2)", "ENDSWITH": "(RIGHT($1, CHAR_LENGTH($2)) = $2)", "REGEXP_SUBSTR": "REGEXP_EXTRACT($1, $2, 0)", "BTRIM": "TRIM(BOTH $2 FROM $1)",
    ]

    /// - Parameter name: in any case, without what stands behind it in a call such as `JSON_ARRAYAGG ... NULL ON NULL`.
    public static func availability(of name: String) -> Availability {
        let name = name.uppercased()
        if let instead = absent[name] { return .absent(instead: instead) }
        guard let version = newer.first(where: { $0.value.contains(name) })?.key else { return .since(FlinkVersion(1, 20)) }
        return templates[name].map { .rewritten($0, before: version) } ?? .since(version)
    }

    /// What a call is written as.
    ///
    /// - Parameter arguments: as SQL text.
    /// - Returns: nil when the call stays as it is.
    public static func rewriting(_ name: String, arguments: [String], _ version: FlinkVersion) -> String? {
        guard case .rewritten(let template, let before) = availability(of: name), version < before else { return nil }
        if name.uppercased() == "BTRIM", arguments.count == 1 { return "TRIM(\(arguments[0]))" }
        guard arguments.count == 2 else { return nil }
        // An argument may well have a $2 of its own.
        return template.split(separator: "$", omittingEmptySubsequences: false).enumerated().map { i, part in
            i == 0 ? String(part) : arguments[part.first == "1" ? 0 : 1] + part.dropFirst()
        }.joined()
    }

    /// What is wrong with a call, and what to write instead; nil when the version has the function or ``rewriting(_:arguments:_:)`` gives another form.
    public static func problem(_ name: String, arguments: Int, _ version: FlinkVersion) -> (reason: String, instead: String)? {
        let name = name.uppercased()
        switch availability(of: name) {
        case .absent(let instead): return ("Flink has no function \(name)" + (name == "APPROX_COUNT_DISTINCT" ? " in streaming queries" : ""), instead)
        case .since(let since) where version < since: return ("Flink \(version) has no function \(name), which came with \(since)", "export with --flink-version \(since) or later" + other(name))
        case .rewritten(_, let before) where version < before && arguments != 2 && !(name == "BTRIM" && arguments == 1):
            return ("Flink \(version) has no function \(name), which came with \(before)", "export with --flink-version \(before) or later")
        default: return nil
        }
    }

    private static func other(_ name: String) -> String {
        switch name {
        case "PARSE_JSON", "TRY_PARSE_JSON": ", or keep the text and read it with JSON_VALUE"
        case "INET_ATON", "INET_NTOA": ", or compute it from SPLIT_INDEX(address, '.', 0) and the others"
        case "ELT": ", or write CASE n WHEN 1 THEN a WHEN 2 THEN b END"
        case "TRANSLATE", "TRANSLATE3": ", or nest REPLACE"
        case "REGEXP_COUNT": ", or compare lengths before and after REGEXP_REPLACE"
        default: ""
        }
    }
}
