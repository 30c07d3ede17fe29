import ArgumentParser

/// `HOST:PORT`; an empty port, or 0, picks a free one.
struct ListenAddress: ExpressibleByArgument {
    var host: String
    var port: Int

    init?(argument: String) {
        guard let colon = argument.lastIndex(of: ":") else { return nil }
        var host = String(argument[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        let port = argument[argument.index(after: colon)...]
        guard let number = port.isEmpty ? 0 : Int(port), (0...65_535).contains(number) else { return nil }
        self.host = host.isEmpty ? "127.0.0.1" : host
        self.port = number
    }
}
