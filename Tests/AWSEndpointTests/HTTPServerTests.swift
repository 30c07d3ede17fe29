import Dispatch
import Foundation
import HTTPServer
import Synchronization
import Testing

@Suite struct HTTPServerTests {
    /// Answers with what it was asked; `/wait` waits for `gate`, `/large?n` has n bytes.
    final class Fixture: Sendable {
        let server: HTTPServer
        let gate = DispatchSemaphore(value: 0)
        let started = Atomic<Int>(0)
        let streams = Atomic<Int>(0)
        var port: Int { server.port }

        init(_ change: (inout HTTPServer.Options) -> Void = { _ in }) throws {
            var options = HTTPServer.Options()
            options.threads = 4
            options.answerAtOnce = { $0.path == "/healthz" ? .text(200, "ok") : nil }
            change(&options)
            let (gate, box) = (gate, Box())
            server = try HTTPServer(host: "127.0.0.1", port: 0, options: options) { request in
                box.fixture?.started.add(1, ordering: .relaxed)
                switch request.path {
                case "/wait":
                    gate.wait()
                    return .text(200, "waited")
                case "/large": return HTTPResponse(200, body: [UInt8](repeating: 120, count: Int(request.query) ?? 0))
                case "/stream":
                    return HTTPResponse(200) { writer in
                        box.fixture?.streams.add(1, ordering: .relaxed)
                        // Ends by a write that fails, and by nothing else.
                        while (try? writer.write(Array("piece\n".utf8) + [UInt8](repeating: 120, count: Int(request.query) ?? 0))) != nil {}
                        box.fixture?.streams.subtract(1, ordering: .relaxed)
                    }
                default: return .text(200, "\(request.method) \(request.target) \(request.body.count) \(String(decoding: request.body.prefix(20), as: UTF8.self))")
                }
            }
            box.value.withLock { $0 = self }
        }

        private final class Box: Sendable {
            let value = Mutex<Fixture?>(nil)
            var fixture: Fixture? { value.withLock { $0 } }
        }

        func stop() {
            for _ in 0..<100 { gate.signal() }
            server.stop(grace: 2)
        }

        func eventually(_ condition: () -> Bool) -> Bool {
            let deadline = DispatchTime.now() + 10
            while !condition() {
                if DispatchTime.now() > deadline { return false }
                _ = DispatchSemaphore(value: 0).wait(timeout: .now() + 0.005)
            }
            return true
        }
    }

    static func post(_ path: String, _ body: String = "", _ headers: String = "") -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)"
    }

    @Test func `requests in one piece and requests byte by byte are answered in order on one connection`() throws {
        let fixture = try Fixture()
        defer { fixture.stop() }
        let client = RawClient(port: fixture.port)
        client.send(Self.post("/a", "one") + Self.post("/b", "two") + Self.post("/c"))
        #expect(client.response()?.body == "POST /a 3 one")
        #expect(client.response()?.body == "POST /b 3 two")
        #expect(client.response()?.body == "POST /c 0 ")
        for byte in Self.post("/d", "four").utf8 { client.send([byte]) }
        #expect(client.response()?.body == "POST /d 4 four")
        client.send(Self.post("/e", "", "Connection: close\r\n") + Self.post("/f"))
        #expect(client.response() == .init(status: 200, body: "POST /e 0 ", closes: true))
        #expect(client.readToEnd()?.contains("/f") == false)
        #expect(fixture.started.load(ordering: .relaxed) == 5)
    }

    @Test func `bodies in chunks are put together, and answers to HEAD have none`() throws {
        let fixture = try Fixture()
        defer { fixture.stop() }
        let client = RawClient(port: fixture.port)
        client.send("PUT /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")
        #expect(client.response()?.body == "PUT /x 5 abcde")
        client.send("HEAD /y HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let head = client.head()
        #expect(head?.headers["content-length"] == "10")
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
        let date = try #require(head?.headers["date"].flatMap { formatter.date(from: $0) })
        #expect(abs(date.timeIntervalSinceNow) < 5)
        client.send(Self.post("/z"))
        #expect(client.response()?.body == "POST /z 0 ")
    }

    @Test func `an offer to go over to another protocol is passed over`() throws {
        let fixture = try Fixture()
        defer { fixture.stop() }
        // Java's HTTP client offers HTTP/2 in this way with every request.
        let client = RawClient(port: fixture.port)
        client.send(Self.post("/first", "abc", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"))
        #expect(client.response() == .init(status: 200, body: "POST /first 3 abc", closes: true))
        #expect(client.readToEnd() == "")
        let old = RawClient(port: fixture.port)
        old.send("POST /old HTTP/1.0\r\nContent-Length: 2\r\n\r\nab")
        #expect(old.readToEnd()?.hasSuffix("\r\n\r\nPOST /old 2 ab") == true)
    }

    @Test func `a client that asks whether to continue is told so, or refused before it sends`() throws {
        let fixture = try Fixture { $0.bodyBytesMax = 100 }
        defer { fixture.stop() }
        let client = RawClient(port: fixture.port)
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.head()?.status == 100)
        client.send("abc")
        #expect(client.response()?.body == "POST / 3 abc")
        client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.response()?.status == 413)
        #expect(client.readToEnd() == "")
    }

    @Test func `bodies and heads beyond their limits are refused, and the refusal can be read`() throws {
        let fixture = try Fixture { $0.bodyBytesMax = 1 << 20 }
        defer { fixture.stop() }
        let declared = RawClient(port: fixture.port)
        declared.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n")
        for _ in 0..<100 where !declared.send([UInt8](repeating: 1, count: 10_000)) { break }
        #expect(declared.response()?.status == 413)
        let chunked = RawClient(port: fixture.port)
        chunked.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<20 where !chunked.send(Array("10000\r\n".utf8) + [UInt8](repeating: 1, count: 0x10000) + Array("\r\n".utf8)) { break }
        #expect(chunked.response()?.status == 413)
        let head = RawClient(port: fixture.port)
        head.send("POST / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + String(repeating: "x", count: 200_000))
        #expect(head.readToEnd()?.hasPrefix("HTTP/1.1 400") == true)
        for wrong in ["NONSENSE\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                      "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"] {
            let client = RawClient(port: fixture.port)
            client.send(wrong)
            #expect(client.readToEnd()?.hasPrefix("HTTP/1.1 400") == true)
        }
        let last = RawClient(port: fixture.port)
        last.send(Self.post("/still", "here"))
        #expect(last.response()?.body == "POST /still 4 here")
    }

    @Test func `clients that are too slow are let go`() throws {
        let fixture = try Fixture { options in
            options.requestSeconds = 0.2
            options.idleSeconds = 0.3
            options.sendSeconds = 0.3
        }
        defer { fixture.stop() }
        let head = RawClient(port: fixture.port)
        head.send("POST / HTTP/1.1\r\nHost: loc")
        #expect(head.readToEnd() == "")
        let body = RawClient(port: fixture.port)
        body.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        #expect(body.response()?.status == 408)
        let idle = RawClient(port: fixture.port)
        idle.send(Self.post("/a"))
        #expect(idle.response()?.status == 200)
        #expect(idle.readToEnd() == "")
        // One that works is not too slow.
        let working = RawClient(port: fixture.port)
        working.send(Self.post("/wait"))
        _ = DispatchSemaphore(value: 0).wait(timeout: .now() + 1)
        fixture.gate.signal()
        #expect(working.response()?.body == "waited")
        // One that takes a long answer's first bytes only.
        let reader = RawClient(port: fixture.port)
        reader.send("GET /stream?1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(reader.head()?.status == 200)
        #expect(fixture.eventually { fixture.streams.load(ordering: .relaxed) == 1 })
        #expect(fixture.eventually { fixture.streams.load(ordering: .relaxed) == 0 })
    }

    @Test func `a client that takes its answer slowly gets all of it`() throws {
        let fixture = try Fixture { $0.sendSeconds = 0.4 }
        defer { fixture.stop() }
        let client = RawClient(port: fixture.port)
        client.send(Self.post("/large?40000000"))
        #expect(client.head()?.status == 200)
        for _ in 0..<20 {
            #expect(client.bytes(2_000_000)?.count == 2_000_000)
            _ = DispatchSemaphore(value: 0).wait(timeout: .now() + 0.05)
        }
        client.send(Self.post("/next"))
        #expect(client.response()?.body == "POST /next 0 ")
    }

    @Test func `a client that has closed its side still gets its answer`() throws {
        let fixture = try Fixture()
        defer { fixture.stop() }
        let client = RawClient(port: fixture.port)
        client.send(Self.post("/wait"))
        #expect(fixture.eventually { fixture.started.load(ordering: .relaxed) == 1 })
        client.closeOutput()
        fixture.gate.signal()
        #expect(client.response()?.body == "waited")
        #expect(client.readToEnd() == "")
        // Two of them at once.
        let two = RawClient(port: fixture.port)
        two.send(Self.post("/a") + Self.post("/b"))
        two.closeOutput()
        #expect(two.readToEnd()?.contains("POST /b 0") == true)
        // And one with half a request gets nothing.
        let half = RawClient(port: fixture.port)
        half.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nabc")
        half.closeOutput()
        #expect(half.readToEnd() != nil)
    }

    @Test func `connections beyond the limit are refused until others end`() throws {
        let fixture = try Fixture { $0.connectionsMax = 2 }
        defer { fixture.stop() }
        let first = RawClient(port: fixture.port), second = RawClient(port: fixture.port)
        for client in [first, second] {
            client.send(Self.post("/a"))
            #expect(client.response()?.status == 200)
        }
        #expect(RawClient(port: fixture.port).response()?.status == 503)
        first.close()
        #expect(fixture.eventually {
            let client = RawClient(port: fixture.port)
            client.send(Self.post("/a"))
            return client.response()?.status == 200
        })
    }

    @Test func `while handlers block, health is told and others wait for their turn`() throws {
        let fixture = try Fixture { $0.threads = 64 }
        defer { fixture.stop() }
        let blocked = (0..<64).map { _ in RawClient(port: fixture.port) }
        for client in blocked { client.send(Self.post("/wait")) }
        #expect(fixture.eventually { fixture.started.load(ordering: .relaxed) == 64 })
        let waiting = RawClient(port: fixture.port)
        waiting.send(Self.post("/late"))
        let health = RawClient(port: fixture.port)
        for _ in 0..<3 {
            health.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(health.response()?.body == "ok")
        }
        #expect(fixture.started.load(ordering: .relaxed) == 64)
        for _ in blocked { fixture.gate.signal() }
        for client in blocked { #expect(client.response()?.body == "waited") }
        #expect(waiting.response()?.body == "POST /late 0 ")
    }

    @Test func `a stream ends when its client goes`() throws {
        let fixture = try Fixture()
        defer { fixture.stop() }
        for closesInput in [true, false] {
            let client = RawClient(port: fixture.port)
            client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(client.head()?.headers["transfer-encoding"] == "chunked")
            #expect(client.line() == "6")
            #expect(client.line() == "piece")
            #expect(fixture.streams.load(ordering: .relaxed) == 1)
            if closesInput { client.closeOutput() } else { client.close() }
            #expect(fixture.eventually { fixture.streams.load(ordering: .relaxed) == 0 })
        }
    }

    @Test func `bodies wait for room, unread, and those without one pass`() throws {
        let fixture = try Fixture { options in
            options.bodyBytesMax = 1 << 20
            options.bytesInFlightMax = 3 << 19
        }
        defer { fixture.stop() }
        let body = String(repeating: "b", count: 1 << 20)
        let first = RawClient(port: fixture.port), second = RawClient(port: fixture.port), third = RawClient(port: fixture.port)
        first.send(Self.post("/wait", body))
        #expect(fixture.eventually { fixture.started.load(ordering: .relaxed) == 1 })
        // Beyond what the sockets take the sender is held back: it must not wait for it here.
        second.send(Self.post("/second", body).prefix(1 << 16).description)
        third.send("POST /third HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        let empty = RawClient(port: fixture.port)
        empty.send(Self.post("/empty"))
        #expect(empty.response()?.body == "POST /empty 0 ")
        #expect(fixture.started.load(ordering: .relaxed) == 2)
        fixture.gate.signal()
        #expect(first.response()?.body == "waited")
        #expect(third.head()?.status == 100)
        second.send(String(Self.post("/second", body).dropFirst(1 << 16)))
        third.send("abc")
        #expect(second.response()?.body.hasPrefix("POST /second 1048576 ") == true)
        #expect(third.response()?.body == "POST /third 3 abc")
    }

    @Test func `answers that are not read hold back requests, not for ever`() throws {
        let fixture = try Fixture { options in
            options.bodyBytesMax = 1 << 20
            options.bytesInFlightMax = 1 << 20
            options.sendSeconds = 0.5
        }
        defer { fixture.stop() }
        let reader = RawClient(port: fixture.port)
        reader.send(Self.post("/large?20000000"))
        #expect(reader.head()?.status == 200)
        let next = RawClient(port: fixture.port)
        let begun = DispatchTime.now()
        next.send(Self.post("/next", "abc"))
        #expect(next.response()?.body == "POST /next 3 abc")
        #expect(DispatchTime.now().uptimeNanoseconds - begun.uptimeNanoseconds > 200_000_000)
    }

    @Test func `many bodies in little room all get their turn`() throws {
        let fixture = try Fixture { options in
            options.bodyBytesMax = 1 << 16
            options.bytesInFlightMax = 1 << 16
        }
        defer { fixture.stop() }
        let clients = (0..<40).map { _ in RawClient(port: fixture.port) }
        for round in 0..<5 {
            for (i, client) in clients.enumerated() { client.send(Self.post("/\(round)", String(repeating: "b", count: i % 4 == 0 ? 1 << 16 : 10_000))) }
            for (i, client) in clients.enumerated() {
                #expect(client.response()?.body.hasPrefix("POST /\(round) \(i % 4 == 0 ? 1 << 16 : 10_000) ") == true)
            }
        }
    }

    @Test func `clients that go away leave nothing behind`() throws {
        let fixture = try Fixture { options in
            options.bodyBytesMax = 1 << 20
            options.bytesInFlightMax = 1 << 20
        }
        defer { fixture.stop() }
        for round in 0..<200 {
            let client = RawClient(port: fixture.port)
            switch round % 5 {
            case 0: client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nabc")
            case 1: client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            case 2: client.send(Self.post("/large?100000"))
            case 3: client.send("POST")
            default:
                client.send(Self.post("/a") + Self.post("/b"))
                _ = client.response()
            }
            client.close()
        }
        // All the room is there again, and all connections have been given up.
        let client = RawClient(port: fixture.port)
        client.send(Self.post("/all", String(repeating: "b", count: 1 << 20)))
        #expect(client.response()?.body.hasPrefix("POST /all 1048576 ") == true)
    }

    @Test func `stopping lets answers end, ends streams, and does not wait for ever`() throws {
        let fixture = try Fixture()
        let idle = RawClient(port: fixture.port), busy = RawClient(port: fixture.port), stream = RawClient(port: fixture.port)
        idle.send(Self.post("/a"))
        #expect(idle.response()?.status == 200)
        busy.send(Self.post("/wait"))
        stream.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(stream.head()?.status == 200)
        #expect(fixture.eventually { fixture.started.load(ordering: .relaxed) == 3 })
        let stopped = DispatchSemaphore(value: 0)
        DispatchQueue.global().async {
            fixture.server.stop(grace: 10)
            stopped.signal()
        }
        #expect(idle.readToEnd() == "")
        #expect(fixture.eventually { fixture.streams.load(ordering: .relaxed) == 0 })
        fixture.gate.signal()
        #expect(busy.response() == .init(status: 200, body: "waited", closes: true))
        #expect(stopped.wait(timeout: .now() + 10) == .success)

        let stuck = try Fixture()
        let client = RawClient(port: stuck.port)
        client.send(Self.post("/wait"))
        #expect(stuck.eventually { stuck.started.load(ordering: .relaxed) == 1 })
        let begun = DispatchTime.now()
        stuck.server.stop(grace: 0.3)
        #expect(DispatchTime.now().uptimeNanoseconds - begun.uptimeNanoseconds < 5_000_000_000)
        #expect(client.readToEnd() == "")
        stuck.gate.signal()
    }
}
