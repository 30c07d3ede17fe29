import Foundation
import GzipCoding
import HTTPConnector
import StreamCore
import Testing

@Suite("http receiver") struct ReceiverTests {
    @Test("bodies become rows in every form that devices send, with what the request tells beside them")
    func forms() throws {
        let names = ["path.device", "method", "content-type", "header.X-Model", "remote-address", "path", "record-number"]
        let device = Device(metadata: names.map { .init(name: $0, key: $0, type: $0 == "record-number" ? .bigint : .string) })
        try device.start()
        let answer = try device.post("{\"id\":1,\"text\":\"a\"}\r\n\n{\"id\":2,\"text\":\"b\\n\"}", ["Content-Type": "application/x-ndjson", "x-model": "R1"])
        #expect(answer.status == 200 && answer.text == "{\"records\":2,\"bytes\":40}\n", "\(answer)")
        #expect(try device.post("[{\"id\":3},\n {\"id\":4,\"text\":\"],[\\\"\"} ]", ["Content-Type": "application/json"], path: "/devices/a%2Fb%20c/logs", method: "PUT").status == 200)
        #expect(try device.post("", path: "/devices/x/logs").text == "{\"records\":0,\"bytes\":0}\n")
        #expect(try device.post("[]", path: "/devices/x/logs").text == "{\"records\":0,\"bytes\":0}\n")
        #expect(try device.texts() == [
            "1 a r7 POST application/x-ndjson R1 127.0.0.1 /devices/r7/logs 1", "2 b\n r7 POST application/x-ndjson R1 127.0.0.1 /devices/r7/logs 2",
            "3 NULL a/b c PUT application/json NULL 127.0.0.1 /devices/a%2Fb%20c/logs 1", "4 ],[\" a/b c PUT application/json NULL 127.0.0.1 /devices/a%2Fb%20c/logs 2",
        ])
        #expect(device.metrics.gauges["http-requests"] == 4 && device.metrics.gauges["http-bytes"]! > 0 && device.metrics.gauges["http-refused"] == nil)
    }

    @Test("CSV with a header and lines in quotes, raw lines, a whole body as one record, packed bodies")
    func formats() throws {
        let csv = Device(["format": "csv", "csv.header": "true"])
        try csv.start()
        let text = "id,text\n1,\"two\nlines\"\n2,\"x\"\"y\"\r\n"
        #expect(try csv.post(text).text.contains("\"records\":2"))
        #expect(try csv.texts() == ["1 two\nlines", "2 x\"y"])
        let packed = try HTTP.send("POST", "http://127.0.0.1:\(csv.port)/devices/r/logs", Gzip.pack(Array(text.utf8)), ["Content-Encoding": "gzip"])
        #expect(packed.status == 200)
        #expect(try csv.texts() == ["1 two\nlines", "2 x\"y"])
        let schema: Schema = [Field("line", .string)]
        let raw = Device(["format": "raw"], schema: schema)
        try raw.start()
        try raw.post("one\ntwo \r\n\nthree")
        #expect(try raw.texts() == ["one", "two ", "three"])
        let whole = Device(["format": "raw", "body": "record"], schema: schema)
        try whole.start()
        try whole.post("one\ntwo\n")
        #expect(try whole.texts() == ["one\ntwo\n"])
    }

    @Test("received-time is when the body came")
    func time() throws {
        let device = Device(metadata: [.init(name: "t", key: "received-time", type: .timestampLTZ(6))])
        try device.start()
        let before = Int64(Date().timeIntervalSince1970 * 1_000) * 1_000
        try device.post("{\"id\":1}")
        guard case .int(let time) = try device.rows()[0][2] else { Issue.record("no time"); return }
        #expect(time >= before && time < before + 60_000_000)
    }

    @Test("what does not fit is refused in a few words, before the body is read where possible")
    func refusals() throws {
        let device = Device(["token": "s3cret-token", "max-body-size": "1 kb", "validate": "true"])
        try device.start()
        let token = ["Authorization": "bearer s3cret-token"]
        for wrong in [[:], ["Authorization": "Bearer s3cret-tokeN"], ["Authorization": "Basic s3cret-token"], ["X-Token": "s3cret-token2"], ["X-Token": ""]] as [[String: String]] {
            let answer = try device.post("{}", wrong)
            #expect(answer.status == 401 && answer.headers["www-authenticate"] == "Bearer", "\(wrong): \(answer)")
        }
        #expect(try device.post("{\"id\":1}", ["X-Token": "s3cret-token"]).status == 200)
        #expect(try device.post("{}", token, path: "/devices/r7").status == 404)
        #expect(try device.post("{}", token, path: "/devices//logs").status == 404)
        let get = try device.post("", token, method: "GET")
        #expect(get.status == 405 && get.headers["allow"] == "POST, PUT")
        #expect(try device.post("{}", token.merging(["Content-Encoding": "br"]) { $1 }).status == 415)
        #expect(try device.post("{}", token.merging(["Content-Encoding": "gzip"]) { $1 }).status == 400)
        #expect(try device.post(String(repeating: " ", count: 1_025), token).status == 413)
        // Small when packed, large when not.
        let bomb = Gzip.pack([UInt8](repeating: 0x20, count: 1 << 20))
        #expect(bomb.count < 2_000)
        let answer = try HTTP.send("POST", "http://127.0.0.1:\(device.port)/devices/r/logs", Array(Gzip.pack([UInt8](repeating: 0x20, count: 100_000))), token.merging(["Content-Encoding": "gzip"]) { $1 })
        #expect(answer.status == 413, "\(answer)")
        let broken = try device.post("{\"id\":1}\n\n{\"id\":2}\n{\"id\":\"x\"}\n", token)
        #expect(broken.status == 400 && broken.text.hasPrefix("line 4, record 3: "), "\(broken)")
        #expect(try device.post("[{\"id\":1}", token).text == "the array does not end\n")
        #expect(try device.post("[1,,2]", token).status == 400)
        #expect(try device.texts() == ["1 NULL"], "only the accepted body")
        #expect(device.metrics.gauges["http-refused"]! >= 13)
    }

    @Test("a length beyond the limit is answered without waiting for the body")
    func unread() throws {
        let device = Device(["max-body-size": "1 kb"])
        try device.start()
        let text = try Raw.exchange(port: device.port, "POST /devices/r/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.1 413 "), "\(text)")
        // In chunks the length shows only as they come.
        let chunk = String(repeating: "x", count: 0x800)
        let chunked = try Raw.exchange(port: device.port, "POST /devices/r/logs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n\(chunk)\r\n0\r\n\r\n")
        #expect(chunked.hasPrefix("HTTP/1.1 413 "), "\(chunked)")
    }

    @Test("a client that sends slowly hinders no other")
    func slow() throws {
        let device = Device()
        try device.start()
        let slow = try Raw(port: device.port)
        slow.send("POST /devices/slow/logs HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n{\"id")
        for i in 0..<20 { #expect(try device.post("{\"id\":\(i)}").status == 200) }
        slow.send("\":9}")
        #expect(slow.receive().hasPrefix("HTTP/1.1 200 "))
        #expect(try device.rows().count == 21)
    }

    @Test("when too much waits to be read, devices are told to come again; once it is read they are served")
    func backPressure() throws {
        let device = Device(["max-backlog": "1 kb"])
        try device.start()
        let body = "{\"id\":1,\"text\":\"" + String(repeating: "x", count: 300) + "\"}"
        var statuses: [Int] = []
        for _ in 0..<6 {
            let answer = try device.post(body)
            statuses.append(answer.status)
            if answer.status == 503 { #expect(answer.headers["retry-after"] == "1" && answer.text.hasSuffix("bytes wait to be read; send again later\n")) }
        }
        #expect(statuses == [200, 200, 200, 503, 503, 503])
        #expect(device.metrics.gauges["http-backlog-bytes"]! > 900)
        #expect(try device.rows().count == 3)
        #expect(try device.post(body).status == 200)
        // A body that is larger than the limit is taken when nothing waits.
        #expect(try device.rows().count == 1)
        #expect(try device.post("{\"id\":1,\"text\":\"" + String(repeating: "x", count: 3_000) + "\"}").status == 200)
    }

    @Test("a repeated Idempotency-Key is recognised, also after a restart, and belongs to its path")
    func idempotency() throws {
        let device = Device()
        try device.start()
        let key = ["Idempotency-Key": "file-1"]
        #expect(try device.post("{\"id\":1}\n{\"id\":2}", key).headers["idempotent-replayed"] == nil)
        let again = try device.post("{\"id\":1}\n{\"id\":2}", key)
        #expect(again.status == 200 && again.headers["idempotent-replayed"] == "true" && again.text.contains("\"records\":2"))
        try device.post("{\"id\":3}", key, path: "/devices/other/logs")
        #expect(try device.texts() == ["1 NULL", "2 NULL", "3 NULL"])
        let position = device.reader!.position
        device.stop()
        try device.start(at: position)
        #expect(try device.post("{\"id\":1}\n{\"id\":2}", key).headers["idempotent-replayed"] == "true")
        #expect(try device.rows().isEmpty)
    }

    @Test("reading goes on inside of a body, and behind the last completed checkpoint without one")
    func positions() throws {
        let device = Device()
        try device.start()
        for i in 0..<5 { try device.post((0..<10).map { "{\"id\":\(i * 10 + $0)}" }.joined(separator: "\n")) }
        guard case .batch(let first) = try device.reader!.next(maxRows: 17) else { Issue.record("no rows"); return }
        #expect(first.count == 17)
        let position = device.reader!.position
        #expect(position.hasSuffix("#7"))
        #expect(try device.rows().count == 33)
        device.stop()
        try device.start(at: position)
        #expect(try device.rows().map { Device.text($0[0]) } == (17..<50).map(String.init))
        // Nothing was completed so far: a start without a checkpoint begins with the first.
        device.stop()
        try device.start()
        #expect(try device.rows().count == 50)
        device.source!.checkpointCompleted([SourceSplit(id: "spool", position: position)])
        device.stop()
        try device.start()
        #expect(try device.rows(maxRows: 4).map { Device.text($0[0]) } == (17..<50).map(String.init))
    }

    @Test("what completed checkpoints cover is removed from the disk")
    func trimming() throws {
        let device = Device(["format": "raw", "body": "record", "max-body-size": "9 mb"], schema: [Field("line", .string)])
        try device.start()
        var random = SystemRandomNumberGenerator()
        let noise = (0..<(6 << 20)).map { _ in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/".utf8.randomElement(using: &random)! }
        for _ in 0..<6 {
            #expect(try HTTP.send("PUT", "http://127.0.0.1:\(device.port)/devices/r/logs", noise).status == 200)
            #expect(try device.rows().count == 1)
        }
        let before = try device.log.describe("spool").shards[0]
        #expect(before.records == 6 && before.segments >= 3)
        device.source!.checkpointCompleted([SourceSplit(id: "spool", position: device.reader!.position)])
        try eventually("old segments are gone") { (try? device.log.describe("spool"))?.shards[0].segments == 1 }
        #expect(try device.log.describe("spool").shards[0].bytes < 20 << 20)
        #expect(try HTTP.send("PUT", "http://127.0.0.1:\(device.port)/devices/r/logs", noise).status == 200)
        #expect(try device.rows().count == 1)
    }

    @Test("a broken record fails the job with its place, or is skipped, or becomes a row")
    func brokenRecords() throws {
        let body = "{\"id\":1}\nnonsense\n{\"id\":3}"
        let failing = Device()
        try failing.start()
        try failing.post(body)
        let error = #expect(throws: StreamError.self) { try failing.rows() }
        #expect(error?.problem.contains("table logs, POST /devices/r7/logs from 127.0.0.1 at ") == true && error?.problem.contains("record 2: ") == true, "\(error!)")
        let skipping = Device(["on-error": "skip"])
        try skipping.start()
        try skipping.post(body)
        #expect(try skipping.texts() == ["1 NULL", "3 NULL"] && skipping.metrics.badRecords.get() == 1)
        let rows = Device(metadata: [.init(name: "e", key: "error.record", type: .bytes), .init(name: "d", key: "path.device", type: .string)])
        try rows.start()
        try rows.post(body)
        #expect(try rows.texts() == ["1 NULL NULL r7", "NULL NULL nonsense r7", "3 NULL NULL r7"])
    }

    @Test("tables share a port by different paths; an address or path that is taken is named")
    func sharing() throws {
        let port = try freePort()
        let a = Device(["listen": "127.0.0.1:\(port)", "path": "/a/{x}"]), b = Device(["listen": "127.0.0.1:\(port)", "path": "/b/{x}"])
        try a.start()
        try b.start()
        try a.post("{\"id\":1}", path: "/a/1")
        try a.post("{\"id\":2}", path: "/b/1")
        #expect(try a.texts() == ["1 NULL"] && b.texts() == ["2 NULL"])
        let same = Device(["listen": "127.0.0.1:\(port)", "path": "/{any}/{x}"])
        let overlap = #expect(throws: StreamError.self) { try same.start() }
        #expect(overlap?.code == .conflict && overlap?.problem.contains("is taken by another table or job") == true, "\(overlap!)")
        a.stop()
        #expect(try b.post("{\"id\":3}", path: "/b/2").status == 200)
        #expect(try b.post("{\"id\":3}", path: "/a/2").status == 503, "its job may come again")
        #expect(try b.post("{\"id\":3}", path: "/c/2").status == 404)
        let taken = Device(["listen": "localhost:\(port)", "path": "/c"])
        let inUse = #expect(throws: StreamError.self) { try taken.start() }
        #expect(inUse?.code == .conflict && inUse?.description.contains("another program does") == true && inUse?.fix?.contains("ss -ltnp") == true, "\(inUse!)")
        b.stop()
        try taken.start()
        #expect(try HTTP.send("POST", "http://127.0.0.1:\(port)/c", Array("{\"id\":1}".utf8)).status == 200)
    }

    @Test("options that cannot be are refused with what to write", arguments: [
        (["listen": "0.0.0.0:8090"], "no token is asked for"), (["listen": "8090"], "is no address and port"), (["path": "devices"], "does not begin with '/'"),
        (["path": "/a{x}"], "has 'a{x}' in it"), (["path": "/{a}/{a}"], "names {a} twice"), (["max-body-size": "1 gb"], "is not from 1 byte to 15 mb"),
        (["token": "a", "token-file": "b"], "stands beside 'token'"), (["body": "line"], "is not known here"), (["format": ""], "needs option 'format'"),
        (["max-backlog": "9 gb"], "leaves less room"),
    ])
    func options(_ options: [String: String], _ problem: String) throws {
        let error = #expect(throws: StreamError.self) { try HTTPConnector().validate(Device(options).table) }
        #expect(error?.description.contains(problem) == true, "\(error!)")
    }
}

/// A connection by hand.
final class Raw {
    private let descriptor: Int32

    init(port: Int) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let fd = descriptor
        let code = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } }
        try #require(code == 0)
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    func send(_ text: String) { _ = Array(text.utf8).withUnsafeBytes { write(descriptor, $0.baseAddress!, $0.count) } }

    func receive() -> String {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    static func exchange(port: Int, _ text: String) throws -> String {
        let connection = try Raw(port: port)
        connection.send(text)
        return connection.receive()
    }
}
