import StreamCore

/// What formats need of a schema registry. Blocking; used from several threads.
public protocol SchemaRegistryAccess: Sendable {
    /// Where it is, for error messages.
    var address: String { get }
    /// The text of a schema; nil = there is none of this number.
    ///
    /// - Throws: `.io` when the registry does not answer.
    func schema(id: Int32) throws -> String?
    /// The number of a schema under a subject, made known there when it is not yet.
    ///
    /// - Throws: `.io` when the registry does not answer, `.conflict` with its reason when the schema is not compatible with
    ///   those before it.
    func register(schema: String, subject: String) throws -> Int32
    /// The number of a schema that is known under a subject; nil = it is not.
    func lookup(schema: String, subject: String) throws -> Int32?
}

/// Where a registry is and how to log in: the options of a format, checked.
public struct SchemaRegistryOptions: Hashable, Sendable {
    /// How requests say who asks.
    public enum Login: Hashable, Sendable {
        case none
        case basic(String)
        case bearer(String)
    }

    /// One or more addresses of the same registry, without a slash at the end.
    public var urls: [String]
    public var login: Login
    /// Schemas that are not known under the subject are added to it.
    public var registers = true
    /// Seconds for one request.
    public var timeout: Double = 10

    static let keys: [String] = [
        "url", "subject", "schema", "schema-registry.url", "schema-registry.subject", "schema-registry.schema",
        "basic-auth.credentials-source", "basic-auth.user-info", "bearer-auth.credentials-source", "bearer-auth.token",
        "ssl.truststore.location", "ssl.truststore.password", "ssl.keystore.location", "ssl.keystore.password", "properties.",
        "timestamp_mapping.legacy",
    ]

    /// - Throws: `.validate` for options that are missing, wrong or not supported.
    init(_ options: FormatOptions, prefix: String) throws {
        let table = options.table
        let urlKey = table.options[prefix + "url"] == nil && table.options[prefix + "schema-registry.url"] != nil ? prefix + "schema-registry.url" : prefix + "url"
        guard let text = table.options[urlKey] else {
            throw StreamError(.validate, "table \(table.name): the option '\(urlKey)' is missing",
                              fix: "add '\(urlKey)' = 'http://host:8081', the address of the schema registry")
        }
        var urls: [String] = [], userInURL: String?
        for part in text.split(separator: ",") {
            var url = part.trimmingSpaces
            while url.hasSuffix("/") { url.removeLast() }
            guard let scheme = ["http://", "https://"].first(where: { url.hasPrefix($0) }), url.count > scheme.count else {
                throw options.error("option '\(urlKey)' = '\(text)' is no HTTP address", fix: "write it as in 'http://host:8081'", key: urlKey)
            }
            let rest = url.dropFirst(scheme.count)
            if let at = rest.prefix(while: { $0 != "/" }).lastIndex(of: "@") {
                userInURL = String(rest[..<at])
                url = scheme + rest[rest.index(after: at)...]
            }
            urls.append(url)
        }
        guard !urls.isEmpty else { throw options.error("option '\(urlKey)' is empty", fix: "write it as in 'http://host:8081'", key: urlKey) }
        self.urls = urls

        for name in ["ssl.truststore.location", "ssl.truststore.password", "ssl.keystore.location", "ssl.keystore.password"] {
            let key = prefix + name
            guard table.options[key] != nil else { continue }
            throw options.error("not supported yet: option '\(key)'",
                                fix: "add the registry's certificate authority to those that the system trusts, and log in with a user or a token", key: key)
        }
        login = .none
        let basic = prefix + "basic-auth.credentials-source", info = prefix + "basic-auth.user-info"
        let bearer = prefix + "bearer-auth.credentials-source", token = prefix + "bearer-auth.token"
        if table.options[basic] != nil || table.options[info] != nil {
            switch (options.string(basic) ?? "USER_INFO").uppercased() {
            case "USER_INFO":
                guard let user = options.string(info), user.contains(":") else {
                    throw options.error("option '\(info)' is not of the form user:password", fix: "write '\(info)' = 'user:password'", key: info)
                }
                login = .basic(user)
            case "URL":
                guard let userInURL else {
                    throw options.error("option '\(basic)' is 'URL', but '\(urlKey)' has no user in it", fix: "write it as in 'http://user:password@host:8081'", key: basic)
                }
                login = .basic(userInURL)
            case let other:
                throw options.error("not supported yet: option '\(basic)' = '\(other)'", fix: "use 'USER_INFO' or 'URL'", key: basic)
            }
        } else if table.options[bearer] != nil || table.options[token] != nil {
            guard (options.string(bearer) ?? "STATIC_TOKEN").uppercased() == "STATIC_TOKEN" else {
                throw options.error("not supported yet: option '\(bearer)' = '\(options.string(bearer) ?? "")'", fix: "use 'STATIC_TOKEN'", key: bearer)
            }
            guard let value = options.string(token), !value.isEmpty else {
                throw options.error("option '\(token)' is missing", fix: "add it, or leave out '\(bearer)'", key: token)
            }
            login = .bearer(value)
        } else if let userInURL {
            login = .basic(userInURL)
        }
        for key in table.options.keys.sorted() where key.hasPrefix(prefix + "properties.") {
            switch key.dropFirst(prefix.count + "properties.".count) {
            case "auto.register.schemas": registers = try options.bool(key)
            case "http.connect.timeout.ms", "http.read.timeout.ms":
                guard let value = table.options[key].flatMap(Double.init), value > 0 else {
                    throw options.error("option '\(key)' is not a number of milliseconds", fix: "write for example '10000'", key: key)
                }
                timeout = value / 1_000
            default:
                throw options.error("not supported yet: option '\(key)'",
                                    fix: "leave it out; '\(prefix)properties.auto.register.schemas' and 'http.read.timeout.ms' are known", key: key)
            }
        }
    }
}

extension Substring {
    fileprivate var trimmingSpaces: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
