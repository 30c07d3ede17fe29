import Foundation
import StreamCore

/// A small HTTP server in another process, on a port of its own, which writes down what it was asked.
final class PythonServer: @unchecked Sendable {  // SAFETY: made and stopped by one test
    private let process = Process()
    let directory: URL
    let port: Int

    private static let script = """
        import http.server, json, os, sys, time
        folder = sys.argv[1]
        failures = {}
        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, body):
                with open(os.path.join(folder, "log"), "a") as log:
                    log.write(f"{self.command} {self.path} {self.headers.get('X-Token', '-')} {body}\\n")
                parts = self.path.split("?")[0].strip("/").split("/")
                kind, key = parts[0], parts[-1]
                status, result = 200, None
                if kind == "users":
                    users = json.load(open(os.path.join(folder, "users.json")))
                    result = users.get(key)
                    if result is None: status = 404
                elif kind == "flaky":
                    failures[key] = failures.get(key, 0) + 1
                    if failures[key] < 3: status = 503
                    result = {"name": "after " + str(failures[key])}
                elif kind == "slow":
                    time.sleep(0.2)
                    result = {"name": "slow " + key}
                elif kind == "post":
                    asked = json.loads(body)
                    result = [{"name": asked["q"] + " 1"}, {"name": asked["q"] + " 2", "more": {"x": [1, "}"]}}]
                elif kind == "empty":
                    result = []
                elif kind == "text":
                    self.send_response(200); self.end_headers(); self.wfile.write(b"hello"); return
                else:
                    status = 403
                data = json.dumps(result, indent=1).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            def do_GET(self): self.answer("")
            def do_POST(self): self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())
            def log_message(self, *args): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        with open(os.path.join(folder, "port.new"), "w") as out: out.write(str(server.server_address[1]))
        os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
        server.serve_forever()
        """

    init(users: String = "{}") throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("rest-" + UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try users.write(to: directory.appendingPathComponent("users.json"), atomically: true, encoding: .utf8)
        let script = directory.appendingPathComponent("server.py")
        try Self.script.write(to: script, atomically: true, encoding: .utf8)
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? "/usr/bin/python3"
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [script.path, directory.path]
        try process.run()
        let file = directory.appendingPathComponent("port"), deadline = Date().addingTimeInterval(30)
        var found: Int?
        while found == nil, Date() < deadline {
            found = (try? String(contentsOf: file, encoding: .utf8)).flatMap { Int($0) }
            if found == nil { usleep(10_000) }
        }
        guard let found else { throw StreamError(.runtime, "the server did not start") }
        port = found
    }

    var requests: [String] {
        ((try? String(contentsOf: directory.appendingPathComponent("log"), encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
    }

    func stop() {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: directory)
    }
}
