import Dashboard
import Foundation
import HTTPServer
@testable import StreamServer
import StreamCore
import Synchronization
import TestScripts

/// A daemon's API over HTTP in this process, with a directory of notebooks and stand-in kernels.
final class StudioHarness: Sendable {
    let root: String, notebooks: String
    let server: HTTPServer
    let studio: Studio
    private let service: Service
    var url: String { "http://127.0.0.1:\(server.port)" }

    static let sensors = """
        -- %% [markdown]
        -- # Sensors
        --
        -- Readings by **status**.

        -- %% [parameters]
        -- n = 5

        -- %% Where readings come from
        CREATE TABLE sensor_data (sensor_id INT, status STRING);

        -- %% By status
        -- %flink.ssql(type=update)
        -- @chart bar x=status y=avg_current_temperature
        SELECT status, COUNT(*) AS num
        FROM sensor_data
        GROUP BY status;

        -- %% language="sh"
        -- echo hello ${n}

        """

    init(tokens: String? = nil, executable: String? = nil, arguments: [String]? = nil, idleSeconds: Double = 1_800, kernelsMax: Int = 8, readersPerUser: Int = 16, files: [String: String] = ["sensors.sql": StudioHarness.sensors]) throws {
        root = NSTemporaryDirectory() + "swiftwater-studio-" + UUID().uuidString
        notebooks = root + "/notebooks"
        for (name, text) in files {
            let path = notebooks + "/" + name
            try FileManager.default.createDirectory(atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        try FileManager.default.createDirectory(atPath: notebooks, withIntermediateDirectories: true)
        service = try Service(data: root + "/data")
        var options = Studio.Options()
        options.executable = executable ?? PythonScript.python
        options.arguments = arguments ?? [PythonScript.root.appending(path: "Tests/Support/studio/kernel.py").path, "kernel"]
        (options.idleSeconds, options.kernelsMax, options.readersPerUser) = (idleSeconds, kernelsMax, readersPerUser)
        studio = try Studio(directory: notebooks, data: root + "/data", options: options)
        var api = RestAPI.Options()
        api.studio = studio
        api.page = { DashboardAssets.answer($0) }
        if let tokens {
            let path = root + "/tokens"
            try tokens.write(toFile: path, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            api.access = try Access(tokensFile: path)
        }
        let rest = RestAPI(service, options: api)
        var http = HTTPServer.Options()
        http.bodyBytesMax = 4 << 20
        http.admit = { rest.admit($0) }
        server = try HTTPServer(host: "127.0.0.1", port: 0, options: http) { rest.answer($0) }
    }

    func end() {
        studio.close()
        server.stop(grace: 1)
        service.close(leavingJobs: false)
        try? FileManager.default.removeItem(atPath: root)
    }

    static func with<T>(_ harness: StudioHarness, _ body: (StudioHarness) throws -> T) throws -> T {
        defer { harness.end() }
        return try body(harness)
    }

    func text(_ name: String) throws -> String { try String(contentsOfFile: notebooks + "/" + name, encoding: .utf8) }

    // MARK: Requests

    struct Answer { var status: Int, json: JSON, headers: [String: String] }

    /// Over a socket of its own, by the client that every machine has.
    func send(_ method: String, _ path: String, _ body: JSON? = nil, token: String? = nil) throws -> Answer {
        let client = try Client(server.port)
        defer { client.close() }
        try client.request(method, path, body?.text(), token: token)
        return try client.answer()
    }

    func get(_ path: String, token: String? = nil) throws -> Answer { try send("GET", path, token: token) }

    func cells(_ name: String = "sensors.sql") throws -> [JSON] { try get("/v1/notebooks/\(Self.coded(name))").json["cells"]?.array ?? [] }

    static func coded(_ name: String) -> String { name.replacingOccurrences(of: "/", with: "%2F") }

    func follow(_ name: String = "sensors.sql", token: String? = nil) throws -> Reader { try Reader(server.port, "/v1/notebooks/\(Self.coded(name))/events", token: token) }
}

func object(_ members: KeyValuePairs<String, JSON>) -> JSON { .object(members.map { .init($0.key, $0.value) }) }

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}

/// HTTP/1.1 over a blocking socket.
final class Client {
    private let fd: Int32
    private var rest: [UInt8] = []
    /// Of a piece whose length has come, and that has not.
    private var pending: Int?

    init(_ port: Int) throws {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let code = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } }
        guard code == 0 else { throw Failure("cannot connect: \(errno)") }
        timeout(seconds: 20)
    }

    func timeout(seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    private var isOpen = true

    /// Once: the number of a descriptor that is closed is soon another's.
    func close() {
        if isOpen { Foundation.close(fd) }
        isOpen = false
    }

    func request(_ method: String, _ path: String, _ body: String? = nil, token: String? = nil) throws {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
        if let token { text += "Authorization: Bearer \(token)\r\n" }
        if let body { text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
        let bytes = Array((text + "\r\n" + (body ?? "")).utf8)
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { write(fd, $0.baseAddress! + done, bytes.count - done) }
            guard n > 0 else { throw Failure("cannot send") }
            done += n
        }
    }

    private func more() throws {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let n = read(fd, &chunk, chunk.count)
        guard n > 0 else { throw Failure(n == 0 ? "the connection is closed" : "nothing came: \(errno)") }
        rest += chunk[..<n]
    }

    private func line() throws -> String {
        while true {
            if let end = rest.firstIndex(of: 10) {
                let text = String(decoding: rest[..<end], as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
                rest.removeFirst(end + 1)
                return text
            }
            try more()
        }
    }

    func head() throws -> (status: Int, headers: [String: String]) {
        let first = try line().split(separator: " ")
        var headers: [String: String] = [:]
        while case let text = try line(), !text.isEmpty {
            let halves = text.split(separator: ":", maxSplits: 1)
            headers[halves[0].lowercased()] = halves.count > 1 ? halves[1].trimmingCharacters(in: .whitespaces) : ""
        }
        return (Int(first[1]) ?? 0, headers)
    }

    func answer() throws -> StudioHarness.Answer {
        let (status, headers) = try head(), count = Int(headers["content-length"] ?? "0") ?? 0
        while rest.count < count { try more() }
        let body = Array(rest[..<count])
        rest.removeFirst(count)
        return .init(status: status, json: body.isEmpty ? .null : try JSON.parse(body, "the answer"), headers: headers)
    }

    /// The next piece of a body that is sent in chunks.
    func piece() throws -> [UInt8] {
        if pending == nil {
            let text = try line()
            guard let count = Int(text, radix: 16), count > 0 else { throw Failure("the answer ended: \(text)") }
            pending = count
        }
        guard let count = pending else { return [] }
        while rest.count < count + 2 { try more() }
        let body = Array(rest[..<count])
        rest.removeFirst(count + 2)
        pending = nil
        return body
    }
}

/// A page that has a notebook open: what it shows, by the events that came.
final class Reader {
    private let client: Client
    private var rest = ""
    let status: Int
    /// The newest of each.
    var cells: [String: JSON] = [:], runs: [String: JSON] = [:], order = JSON.null, kernel = JSON.null
    /// By run and key; texts are put together.
    var outputs: [String: JSON] = [:]
    var received = 0
    var isSynced = false, epoch = ""

    init(_ port: Int, _ path: String, token: String? = nil) throws {
        client = try Client(port)
        try client.request("GET", path, token: token)
        status = try client.head().status
    }

    func close() { client.close() }

    /// Reads events until the condition holds.
    func wait(_ what: String, seconds: Double = 10, _ condition: (Reader) -> Bool) throws {
        let limit = Date().addingTimeInterval(seconds)
        while !condition(self) {
            guard Date() < limit else { throw Failure("\(what): not within \(seconds) s; runs \(runs.mapValues { $0.text() }), kernel \(kernel.text()), outputs \(outputs.mapValues { String($0.text().prefix(200)) })") }
            client.timeout(seconds: 2)
            guard let piece = try? client.piece() else { continue }
            received += piece.count
            rest += String(decoding: piece, as: UTF8.self)
            while let end = rest.range(of: "\n\n") {
                try take(String(rest[..<end.lowerBound]))
                rest.removeSubrange(..<end.upperBound)
            }
        }
    }

    private func take(_ block: String) throws {
        var event = "", data = ""
        for line in block.split(separator: "\n") {
            if line.hasPrefix("event: ") { event = String(line.dropFirst(7)) }
            if line.hasPrefix("data: ") { data = String(line.dropFirst(6)) }
        }
        guard !event.isEmpty else { return }
        let value = try JSON.parse(Array(data.utf8), "an event")
        switch event {
        case "cell": cells[value["id"]?.string ?? ""] = value
        case "order": order = value
        case "kernel": kernel = value
        case "run": runs[value["cell"]?.string ?? ""] = value
        case "output":
            let key = "\(value["run"]?.int ?? 0)/\(value["key"]?.int ?? 0)"
            if value["event"]?.string == "text", value["isWhole"]?.bool == false, var known = outputs[key] {
                known["text"] = .string((known["text"]?.string ?? "") + (value["text"]?.string ?? ""))
                outputs[key] = known
            } else {
                outputs[key] = value
            }
        case "epoch": epoch = value["epoch"]?.string ?? ""
        case "synced": isSynced = value["epoch"]?.string == epoch
        default: throw Failure("an event \(event)")
        }
    }

    func state(_ cell: String) -> String? { runs[cell]?["state"]?.string }

    func shown(_ cell: String) -> [JSON] {
        let run = runs[cell]?["run"]?.int ?? -1
        return outputs.filter { $0.key.hasPrefix("\(run)/") }.sorted { ($0.value["key"]?.int ?? 0) < ($1.value["key"]?.int ?? 0) }.map(\.value)
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
    public init(stringLiteral text: String) { self = .string(text) }
    public init(integerLiteral n: Int64) { self = .int(n) }
}
