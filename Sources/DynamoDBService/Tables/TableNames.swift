import AWSProtocol

/// Names of tables, indexes and attributes as requests give them.
enum TableNames {
    static func isWellFormed(_ name: String) -> Bool {
        name.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == 0x5F || $0 == 0x2D || $0 == 0x2E
        }
    }

    /// `arn:aws:dynamodb:us-east-1:123456789012:table/Name`, or the name.
    static func catalogName(_ nameOrArn: String, account: String, region: String) throws -> Catalog.Name {
        guard nameOrArn.hasPrefix("arn:") else {
            try check(nameOrArn, at: "tableName")
            return .init(account: account, region: region, name: nameOrArn)
        }
        let parts = nameOrArn.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[2] == "dynamodb", parts[5].hasPrefix("table/") else { throw AWSError.validation("Invalid table ARN: \(nameOrArn)") }
        let name = parts[5].dropFirst(6).split(separator: "/").first.map(String.init) ?? ""
        return .init(account: String(parts[4]), region: String(parts[3]), name: name)
    }

    /// - Throws: `ValidationException` in the words for a member of a request.
    static func check(_ name: String, at path: String) throws {
        var broken: [String] = []
        if name.utf8.count < 3 { broken.append("Member must have length greater than or equal to 3") }
        if name.utf8.count > 255 { broken.append("Member must have length less than or equal to 255") }
        if name.isEmpty || !isWellFormed(name) { broken.append("Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+") }
        guard !broken.isEmpty else { return }
        throw AWSError.validation("\(broken.count) validation error\(broken.count == 1 ? "" : "s") detected: "
            + broken.map { "Value '\(name)' at '\(path)' failed to satisfy constraint: \($0)" }.joined(separator: "; "))
    }
}
