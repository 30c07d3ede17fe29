import AWSProtocol

/// One request as the operations see it.
struct Call {
    let store: Store
    let request: AWSRequest
    let input: AWSValue
    let now: Int64

    var account: String { request.accountID }
    var region: String { request.region }

    func string(_ name: String) -> String? { input[name]?.string }

    /// The table that the input names.
    ///
    /// - Throws: `ResourceNotFoundException` in the words of requests for items.
    func table(_ nameOrArn: String? = nil) throws -> TableInfo {
        try store.table(account, region, nameOrArn ?? string("TableName") ?? "")
    }

    /// As ``table(_:)``; the error names the table, as that of requests about tables does.
    func namedTable() throws -> TableInfo {
        let name = try TableNames.catalogName(string("TableName") ?? "", account: account, region: region)
        guard let table = store.find(name) else { throw Self.notFound(name.name) }
        return table
    }

    static func notFound(_ name: String) -> AWSError {
        AWSError("ResourceNotFoundException", "Requested resource not found: Table: \(name) not found")
    }
}
