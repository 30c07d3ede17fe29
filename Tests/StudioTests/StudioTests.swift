import Foundation
@testable import StreamServer
import StreamCore
import Synchronization
import Testing

@Suite("Notebooks over HTTP") struct StudioTests {
    private func source(_ cell: JSON) -> String { cell["source"]?.string ?? "" }
    private func id(_ cell: JSON) -> String { cell["id"]?.string ?? "" }
    private let book = "/v1/notebooks/sensors.sql"

    /// Lines that differ, as diff prints them.
    private func diff(_ a: String, _ b: String) -> [String] {
        b.split(separator: "\n", omittingEmptySubsequences: false).difference(from: a.split(separator: "\n", omittingEmptySubsequences: false)).map { change in
            switch change {
            case .insert(_, let line, _): "+\(line)"
            case .remove(_, let line, _): "-\(line)"
            }
        }.sorted()
    }

    @Test("the list, a notebook's cells, their text as safe HTML")
    func reading() throws {
        try StudioHarness.with(try StudioHarness(files: ["sensors.sql": StudioHarness.sensors, "deep/er/mirror.sql": "-- %%\nSELECT 1;\n", "notes.txt": "x", ".hidden.sql": "SELECT 1;"])) { h in
            let list = try h.get("/v1/notebooks").json
            #expect(list["notebooks"]?.array?.compactMap { $0["path"]?.string } == ["deep/er/mirror.sql", "sensors.sql"])
            #expect(list["notebooks"]?.array?.last?["title"]?.string == "Sensors" && list["notebooks"]?.array?.last?["cells"]?.int == 5)
            let one = try h.get(book)
            let cells = one.json["cells"]?.array ?? []
            #expect(cells.map { $0["language"]?.string } == ["markdown", "sql", "sql", "sql", "sh"])
            #expect(cells[0]["html"]?.string?.contains("<strong>status</strong>") == true)
            #expect(cells.map { $0["canRun"]?.bool } == [false, false, true, true, true])
            #expect(cells[3]["interpreter"]?.string == "%flink.ssql(type=update)" && source(cells[3]).hasPrefix("-- @chart bar"))
            #expect(cells[4]["source"]?.string == "echo hello ${n}")
            #expect(one.headers["etag"] == "\"\(one.json["etag"]?.string ?? "")\"")
            #expect(try h.get("/v1/notebooks/deep%2Fer%2Fmirror.sql").status == 200)
        }
    }

    @Test("an edit changes the cell's own lines in the file and no other")
    func cleanDiffs() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let before = try h.text("sensors.sql"), cells = try h.cells()
            let changed = try h.send("PUT", book + "/cells/\(id(cells[3]))", object(["hash": cells[3]["hash"]!, "source": .string(source(cells[3]).replacingOccurrences(of: "COUNT(*)", with: "MAX(sensor_id)"))]))
            #expect(changed.status == 200, "\(changed.json.text())")
            #expect(diff(before, try h.text("sensors.sql")) == ["+SELECT status, MAX(sensor_id) AS num", "-SELECT status, COUNT(*) AS num"])
            // Text stands in comments.
            let text = try h.text("sensors.sql")
            let markdown = try h.send("PUT", book + "/cells/\(id(cells[0]))", object(["hash": cells[0]["hash"]!, "source": .string(source(cells[0]) + "\n\nMore: `x`, ä.")]))
            #expect(markdown.status == 200 && markdown.json["cell"]?["html"]?.string?.contains("<code>x</code>") == true)
            #expect(diff(text, try h.text("sensors.sql")) == ["+--", "+-- More: `x`, ä."])
            let shell = try h.send("PUT", book + "/cells/\(id(cells[4]))", object(["hash": cells[4]["hash"]!, "source": "echo one\necho two"]))
            #expect(shell.status == 200, "\(shell.json.text())")
            #expect(try h.text("sensors.sql").hasSuffix("-- %% language=\"sh\"\n-- echo one\n-- echo two\n"))
            // A new interpreter and title.
            let titled = try h.send("PUT", book + "/cells/\(id(cells[3]))", object(["hash": changed.json["cell"]!["hash"]!, "title": "Maxima", "interpreter": "flink.bsql"]))
            #expect(titled.status == 200, "\(titled.json.text())")
            #expect(try h.text("sensors.sql").contains("-- %% Maxima\n-- %flink.bsql\n-- @chart bar"))
        }
    }

    @Test("cells are added, moved and deleted; ids stay; the rest of the file stays byte for byte")
    func structure() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let before = try h.text("sensors.sql"), ids = try h.cells().map(id)
            let added = try h.send("POST", book + "/cells", object(["after": .string(ids[2]), "source": "SELECT 1;"]))
            #expect(added.status == 201)
            let made = id(added.json["cell"] ?? .null)
            #expect(try h.cells().map(id) == [ids[0], ids[1], ids[2], made, ids[3], ids[4]])
            #expect(diff(before, try h.text("sensors.sql")) == ["+", "+-- %%", "+SELECT 1;"])
            #expect(try h.send("POST", book + "/cells/\(made)/move", object(["after": .string(ids[4])])).status == 200)
            #expect(try h.cells().map(id) == ids + [made])
            #expect(try h.text("sensors.sql") == before + "\n-- %%\nSELECT 1;\n")
            #expect(try h.send("POST", book + "/cells/\(made)/move", object([:])).status == 200)
            #expect(try h.text("sensors.sql") == "-- %%\nSELECT 1;\n\n" + before)
            #expect(try h.send("POST", book + "/cells/\(made)/move", object(["after": .string(ids[4])])).status == 200)
            let cell = try h.cells()[5]
            #expect(try h.send("DELETE", book + "/cells/\(made)?hash=\(cell["hash"]!.string!)").status == 200)
            #expect(try h.text("sensors.sql") == before)
            #expect(try h.cells().map(id) == ids)
            // To the end of an empty file, and back.
            let empty = try h.send("POST", "/v1/notebooks", object(["path": "new/first.sql", "title": "First"]))
            #expect(empty.status == 201)
            #expect(try h.text("new/first.sql") == "-- %% [markdown]\n-- # First\n\n-- %%\n")
            #expect(try h.send("POST", "/v1/notebooks", object(["path": "new/first.sql"])).status == 409)
        }
    }

    @Test("two readers: the second change of a cell is refused, changes of other cells are not; what others write into the file is taken")
    func conflicts() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let cells = try h.cells(), reader = try h.follow()
            defer { reader.close() }
            try reader.wait("the cells") { $0.order["cells"]?.array?.count == 5 }
            let path = book + "/cells/\(id(cells[2]))", hash = cells[2]["hash"]!
            #expect(try h.send("PUT", path, object(["hash": hash, "source": "SELECT 1;"])).status == 200)
            let second = try h.send("PUT", path, object(["hash": hash, "source": "SELECT 2;"]))
            #expect(second.status == 409 && second.json["errors"]?.array?.first?.string?.contains("changed by another reader") == true)
            #expect(try h.send("PUT", book + "/cells/\(id(cells[3]))", object(["hash": cells[3]["hash"]!, "source": "SELECT 3;"])).status == 200)
            #expect(try h.send("DELETE", path + "?hash=\(hash.string!)").status == 409)
            try reader.wait("both edits") { $0.cells[id(cells[2])]?["source"]?.string == "SELECT 1;" && $0.cells[id(cells[3])]?["source"]?.string == "SELECT 3;" }
            // An editor outside.
            let text = try h.text("sensors.sql").replacingOccurrences(of: "SELECT 3;", with: "SELECT 33;").replacingOccurrences(of: "-- %% Where", with: "-- %%\nSELECT 0;\n\n-- %% Where")
            try text.write(toFile: h.notebooks + "/sensors.sql", atomically: true, encoding: .utf8)
            try reader.wait("the outer edit") { $0.order["cells"]?.array?.count == 6 && $0.cells[id(cells[3])]?["source"]?.string == "SELECT 33;" }
            let ids = try h.cells().map(id)
            #expect(ids[0...1] == [id(cells[0]), id(cells[1])] && Array(ids[3...]) == cells[2...].map(id))
            #expect(try h.text("sensors.sql") == text)
            // The file goes, and comes again.
            try FileManager.default.removeItem(atPath: h.notebooks + "/sensors.sql")
            try reader.wait("the loss") { $0.order["isGone"]?.bool == true }
            #expect(try h.get(book).status == 404)
            #expect(try h.send("PUT", path, object(["hash": hash, "source": "SELECT 2;"])).status == 404)
            try text.write(toFile: h.notebooks + "/sensors.sql", atomically: true, encoding: .utf8)
            try reader.wait("the return") { $0.order["isGone"]?.bool == false }
            #expect(try h.cells().map(id) == ids)
        }
    }

    @Test("text that would make other cells is refused; pasted paragraphs bring their interpreter")
    func marks() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let before = try h.text("sensors.sql"), cell = try h.cells()[2], path = book + "/cells/\(id(cell))"
            let split = try h.send("PUT", path, object(["hash": cell["hash"]!, "source": "SELECT 1;\n-- %% language=\"sh\"\n-- rm -rf /"]))
            #expect(split.status == 400, "\(split.json.text())")
            #expect(try h.text("sensors.sql") == before)
            let pasted = try h.send("PUT", path, object(["hash": cell["hash"]!, "source": "%flink.ssql(type=append)\nSELECT 1;"]))
            #expect(pasted.json["cell"]?["interpreter"]?.string == "%flink.ssql(type=append)" && pasted.json["cell"]?["source"]?.string == "SELECT 1;", "\(pasted.json.text())")
            let wrong = try h.send("PUT", path, object(["hash": pasted.json["cell"]!["hash"]!, "interpreter": "%flink.ssq"]))
            #expect(wrong.status == 400 && wrong.json.text().contains("flink.ssql"))
        }
    }

    @Test("names that lead out of the directory, links, other files, large files", arguments: [
        "..%2Fsecret.sql", "deep%2F..%2F..%2Fsecret.sql", "%2Fetc%2Fpasswd", "link.sql", "linked%2Finside.sql", "sensors.sql%2F..%2Fsensors.sql", ".hidden.sql", "a%5Cb.sql", "notes.txt", "sensors.sql%00", "deep",
        "missing.sql", "deep%2F.sql", ".sql", "a%0Ab.sql", "%2E%2E%2Fsecret.sql", "..", "sensors.sql%20%20",
    ])
    func traversal(_ name: String) throws {
        try StudioHarness.with(try StudioHarness()) { h in
            try "SELECT 'secret';".write(toFile: h.root + "/secret.sql", atomically: true, encoding: .utf8)
            try FileManager.default.createDirectory(atPath: h.root + "/outside", withIntermediateDirectories: true)
            try "SELECT 'secret';".write(toFile: h.root + "/outside/inside.sql", atomically: true, encoding: .utf8)
            try FileManager.default.createSymbolicLink(atPath: h.notebooks + "/link.sql", withDestinationPath: "../secret.sql")
            try FileManager.default.createSymbolicLink(atPath: h.notebooks + "/linked", withDestinationPath: "../outside")
            for (method, tail, body) in [("GET", "", nil), ("GET", "/events", nil), ("POST", "/run", object([:])), ("POST", "/cells", object(["source": "x"])), ("POST", "/restart", object([:]))] as [(String, String, JSON?)] {
                let answer = try h.send(method, "/v1/notebooks/\(name)\(tail)", body)
                #expect([400, 404].contains(answer.status), "\(method) \(name)\(tail): \(answer.status)")
                #expect(!answer.json.text().contains("'secret'"))
            }
            let decoded = name.removingPercentEncoding ?? name
            if !["missing.sql", "sensors.sql%20%20"].contains(name) {
                let made = try h.send("POST", "/v1/notebooks", object(["path": .string(decoded)]))
                #expect([400, 409].contains(made.status), "\(name): \(made.status)")
            }
            #expect(try h.get("/v1/notebooks").json["notebooks"]?.array?.compactMap { $0["path"]?.string } == ["sensors.sql"])
            #expect(try String(contentsOfFile: h.root + "/secret.sql", encoding: .utf8) == "SELECT 'secret';")
        }
    }

    @Test("bounds of what is sent")
    func bounds() throws {
        try StudioHarness.with(try StudioHarness(readersPerUser: 2)) { h in
            let cell = try h.cells()[2], path = book + "/cells/\(id(cell))"
            #expect(try h.send("PUT", path, object(["hash": cell["hash"]!, "source": .string(String(repeating: "x", count: 3 << 20))])).status == 400)
            #expect(try h.send("PUT", path, object(["source": "SELECT 1"])).status == 400)
            #expect(try h.send("PUT", path, object(["hash": cell["hash"]!, "title": "a\nb"])).status == 400)
            #expect(try h.send("PUT", book + "/cells/c99", object(["hash": "x", "source": "SELECT 1"])).status == 404)
            #expect(try h.send("POST", book + "/run", object(["cell": "c1"])).status == 400)
            #expect(try h.send("POST", book + "/complete", object(["source": "SELECT", "at": 7])).status == 400)
            let readers = try [h.follow(), h.follow()]
            for reader in readers { try reader.wait("its state") { $0.order != .null } }
            #expect(try h.get(book + "/events").status == 429)
            for reader in readers { reader.close() }
            var isFree = false
            for _ in 0..<100 where !isFree {
                let again = try h.follow()
                isFree = again.status == 200
                again.close()
                if !isFree { usleep(50_000) }
            }
            #expect(isFree)
            try String(repeating: "-- x\n", count: 500_000).write(toFile: h.notebooks + "/large.sql", atomically: true, encoding: .utf8)
            #expect(try h.get("/v1/notebooks/large.sql").status == 400)
            #expect(try h.get("/v1/notebooks").json["notebooks"]?.array?.first?["error"]?.string?.contains("MiB") == true)
        }
    }

    @Test("roles: view reads, operate edits and runs SQL, programs need admin")
    func roles() throws {
        let tokens = "reader view \(String(repeating: "v", count: 24))\noperator operate \(String(repeating: "o", count: 24))\nboss admin \(String(repeating: "a", count: 24))\n"
        try StudioHarness.with(try StudioHarness(tokens: tokens)) { h in
            let (view, operate, admin) = (String(repeating: "v", count: 24), String(repeating: "o", count: 24), String(repeating: "a", count: 24))
            #expect(try h.get(book).status == 401)
            let cells = try h.get(book, token: view).json["cells"]?.array ?? []
            #expect(cells.count == 5)
            #expect(try h.send("POST", book + "/run", object(["cell": cells[2]["id"]!]), token: view).status == 403)
            #expect(try h.send("PUT", book + "/cells/\(id(cells[2]))", object(["hash": cells[2]["hash"]!, "source": "x"]), token: view).status == 403)
            #expect(try h.send("POST", book + "/run", object(["cell": cells[2]["id"]!]), token: operate).status == 202)
            let shell = try h.send("POST", book + "/run", object(["cell": cells[4]["id"]!]), token: operate)
            #expect(shell.status == 403 && shell.json.text().contains("admin"))
            #expect(try h.send("POST", book + "/run", object([:]), token: operate).status == 403)
            #expect(try h.send("POST", book + "/run", object(["from": cells[3]["id"]!]), token: operate).status == 403)
            #expect(try h.send("POST", book + "/run", object([:]), token: admin).status == 202)
            // What an operator makes of a cell does not run as SQL under another name.
            let disguised = try h.send("PUT", book + "/cells/\(id(cells[2]))", object(["hash": cells[2]["hash"]!, "source": "%sh\necho disguised"]), token: operate)
            #expect(disguised.json["cell"]?["language"]?.string == "sh", "\(disguised.json.text())")
            #expect(try h.send("POST", book + "/run", object(["cell": cells[2]["id"]!]), token: operate).status == 403)
            let audit = try h.get("/v1/audit", token: admin).json["entries"]?.array ?? []
            #expect(audit.contains { $0["who"]?.string == "operator" && $0["action"]?.string == "POST /v1/notebooks/{path}/run" && $0["status"]?.int == 202 })
            #expect(audit.contains { $0["who"]?.string == "operator" && $0["status"]?.int == 403 })
        }
    }

    @Test("a file that cannot be read as a notebook is told, and not written over")
    func brokenFile() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let cells = try h.cells(), reader = try h.follow()
            defer { reader.close() }
            try reader.wait("the cells") { $0.isSynced }
            let broken = StudioHarness.sensors.replacingOccurrences(of: "(type=update)", with: "(type=upd")
            try broken.write(toFile: h.notebooks + "/sensors.sql", atomically: true, encoding: .utf8)
            for _ in 0..<2 {
                let read = try h.get(book)
                #expect(read.status == 400 && read.json.text().contains("type=upd"), "\(read.json.text())")
                let edit = try h.send("PUT", book + "/cells/\(id(cells[2]))", object(["hash": cells[2]["hash"]!, "source": "SELECT 1;"]))
                #expect(edit.status == 400, "\(edit.json.text())")
                #expect(try h.send("POST", book + "/cells", object(["source": "SELECT 1;"])).status == 400)
                #expect(try h.send("DELETE", book + "/cells/\(id(cells[2]))?hash=\(cells[2]["hash"]!.string!)").status == 400)
                #expect(try h.send("POST", book + "/run", object([:])).status == 400)
            }
            #expect(try h.text("sensors.sql") == broken)
            // Mended, it is taken with what else was written.
            let mended = StudioHarness.sensors.replacingOccurrences(of: "n = 5", with: "n = 6")
            try mended.write(toFile: h.notebooks + "/sensors.sql", atomically: true, encoding: .utf8)
            try reader.wait("the parameter") { $0.cells[self.id(cells[1])]?["source"]?.string?.contains("n = 6") == true }
            #expect(try h.send("PUT", book + "/cells/\(id(cells[2]))", object(["hash": cells[2]["hash"]!, "source": "SELECT 1;"])).status == 200)
            #expect(try h.text("sensors.sql").contains("n = 6"))
            // The same size, and the same time: only the text tells.
            let other = try h.text("sensors.sql").replacingOccurrences(of: "n = 6", with: "n = 7"), path = h.notebooks + "/sensors.sql"
            let time = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as! Date
            try other.write(toFile: path, atomically: false, encoding: .utf8)
            try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: path)
            #expect(try h.send("POST", book + "/cells", object(["source": "SELECT 2;"])).status == 201)
            #expect(try h.text("sensors.sql").contains("n = 7"))
        }
    }

    @Test("what waits runs as it was when it was asked for, whatever is made of the cell meanwhile")
    func queuedText() throws {
        let tokens = "operator operate \(String(repeating: "o", count: 24))\n"
        let book = "-- %%\nwait\n\n-- %%\nCREATE TABLE harmless (a INT);\n"
        try StudioHarness.with(try StudioHarness(tokens: tokens, files: ["sensors.sql": book])) { h in
            let token = String(repeating: "o", count: 24), reader = try h.follow(token: token)
            defer { reader.close() }
            #expect(try h.send("POST", self.book + "/run", object([:]), token: token).status == 202)
            try reader.wait("the first cell") { $0.state("c1") == "running" && $0.state("c2") == "queued" }
            let hash = reader.cells["c2"]!["hash"]!
            let changed = try h.send("PUT", self.book + "/cells/c2", object(["hash": hash, "source": "echo disguised", "interpreter": "%sh"]), token: token)
            #expect(changed.status == 200, "\(changed.json.text())")
            #expect(try h.send("POST", self.book + "/interrupt", object(["cell": "c1"]), token: token).status == 200)
            try reader.wait("the second cell") { $0.state("c2") == "finished" && !$0.shown("c2").isEmpty }
            #expect(reader.shown("c2").compactMap { $0["text"]?.string } == ["table harmless created"])
            #expect(reader.runs["c2"]?["hash"] == hash)
        }
    }

    private static let programs = [
        "SET 'python.executable' = '/tmp/evil'", "set 'Python.Files'='/tmp'", "SET U&'\\0070ython.executable' = '/tmp/evil'", "CREATE FUNCTION f AS 'os.system' LANGUAGE PYTHON",
        "CREATE FUNCTION f AS 'a.b' language/* so */-- or\n python", "CREATE FUNCTION f AS 'a.b' LANGUAGE JAVA USING JAR '/tmp/a.jar'", "CREATE FUNCTION f AS 'a.b' USING\nFile '/tmp/a.py'",
        "SELECT 'open; CREATE FUNCTION f AS 'a.b' LANGUAGE PYTHON",
    ]

    @Test("SQL that brings a program needs admin, in a cell, by a parameter and by itself")
    func programsInSQL() throws {
        let tokens = "operator operate \(String(repeating: "o", count: 24))\nboss admin \(String(repeating: "a", count: 24))\n"
        let book = Self.programs.map { "-- %%\n\($0)\n" }.joined(separator: "\n")
            + "\n-- %%\nCREATE FUNCTION f AS 'os.system' LANGUAGE ${word}\n\n-- %%\nSELECT a AS language, 'python', b FROM t JOIN u USING (file) -- LANGUAGE PYTHON\n\n-- %% [parameters]\n-- word = SWIFT\n"
        try StudioHarness.with(try StudioHarness(tokens: tokens, files: ["sensors.sql": book])) { h in
            let (operate, admin) = (String(repeating: "o", count: 24), String(repeating: "a", count: 24)), count = Self.programs.count
            let cells = try h.get(self.book, token: admin).json["cells"]?.array ?? []
            #expect(cells.count == count + 3)
            func run(_ at: Int, _ token: String, _ parameters: JSON = object([:])) throws -> StudioHarness.Answer {
                try h.send("POST", self.book + "/run", object(["cell": cells[at]["id"]!, "parameters": parameters]), token: token)
            }
            for at in 0..<count {
                let refused = try run(at, operate)
                #expect(refused.status == 403 && refused.json.text().contains("needs admin"), "\(cells[at].text()): \(refused.json.text())")
                let alone = try h.send("POST", "/v1/sql", object(["statement": .string(Self.programs[at])]), token: operate)
                #expect(alone.status == 403 && alone.json.text().contains("needs admin"), "\(Self.programs[at]): \(alone.json.text())")
            }
            #expect(try run(0, admin).status == 202)
            #expect(try run(count, operate).status == 202)
            for word in ["python", "PYTHON", "/**/PYTHON", "PYTHON\" '"] { #expect(try run(count, operate, object(["word": .string(word)])).status == 403, "\(word)") }
            #expect(try run(count, admin, object(["word": "PYTHON"])).status == 202)
            let plain = try run(count + 1, operate)
            #expect(plain.status == 202, "\(plain.json.text())")
            #expect(try h.send("POST", self.book + "/run", object([:]), token: operate).status == 403)
        }
    }

    @Test("many edits at the same time: each is in the file, or was refused")
    func manyEdits() throws {
        let cells = (0..<8).map { "-- %%\nSELECT 'cell \($0), 0';\n" }
        try StudioHarness.with(try StudioHarness(files: ["sensors.sql": cells.joined(separator: "\n")])) { h in
            let first = try h.cells()
            let failures = Mutex([String]()), refused = Mutex(0)
            // Eight cells by a reader each, and two readers who both change the first one.
            DispatchQueue.concurrentPerform(iterations: 10) { reader in
                let at = reader < 8 ? reader : 0
                do {
                    var cell = first[at]
                    for n in 1...10 {
                        let answer = try h.send("PUT", book + "/cells/\(id(cell))", object(["hash": cell["hash"]!, "source": .string("SELECT 'cell \(at), \(n) of reader \(reader)';")]))
                        switch answer.status {
                        case 200: cell = answer.json["cell"] ?? .null
                        case 409:
                            refused.withLock { $0 += 1 }
                            cell = try h.cells()[at]
                        default: failures.withLock { $0.append(answer.json.text()) }
                        }
                    }
                } catch { failures.withLock { $0.append("\(error)") } }
            }
            #expect(failures.withLock { $0 } == [])
            let text = try h.text("sensors.sql")
            for at in 1..<8 { #expect(text.contains("SELECT 'cell \(at), 10 of reader \(at)';")) }
            #expect(try h.cells().map(id) == first.map(id))
            #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count == 24)
        }
    }

    @Test("bodies of other shapes are refused with a reason, and end nothing")
    func shapes() throws {
        try StudioHarness.with(try StudioHarness()) { h in
            let ids = try h.cells().map(id), before = try h.text("sensors.sql")
            let bodies = ["null", "[]", "7", "\"x\"", "{", "{\"path\":7}", "{\"source\":7,\"hash\":\"x\"}", "{\"hash\":[]}", "{\"cell\":{}}", "{\"cell\":\"\"}", "{\"from\":\"c99\"}", "{\"parameters\":[1]}",
                          "{\"cell\":\"c3\",\"parameters\":{\"a\":{}}}", "{\"after\":\"nowhere\",\"source\":\"x\"}", "{\"at\":-1,\"source\":\"x\"}", "{\"at\":9223372036854775807,\"source\":\"ä😀\"}", "{\"kind\":\"none\",\"hash\":\"x\"}",
                          "{\"interpreter\":\"%flink.ssql(type=\",\"hash\":\"x\"}", "{\"cell\":\"c3\",\"parameters\":{\"n\":\"a\\nb\"}}"]
            for (method, tail) in [("POST", ""), ("PUT", "/\(ids[2])"), ("POST", "/run"), ("POST", "/complete"), ("POST", "/\(ids[2])/move")] {
                let path = tail.isEmpty ? "/v1/notebooks" : tail.hasPrefix("/c") && tail != "/complete" ? book + "/cells" + tail : book + tail
                for body in bodies {
                    let client = try Client(h.server.port)
                    defer { client.close() }
                    try client.request(method, path, body)
                    let answer = try client.answer()
                    #expect(answer.status < 500, "\(method) \(path) \(body): \(answer.status) \(answer.json.text())")
                }
            }
            #expect(try h.text("sensors.sql").replacingOccurrences(of: "\n", with: "").count == before.replacingOccurrences(of: "\n", with: "").count)
        }
    }

    @Test("other forms of notebooks are shown and run, and not changed")
    func otherForms() throws {
        let jupyter = """
            {"cells":[{"cell_type":"markdown","metadata":{},"source":["# From Jupyter"]},{"cell_type":"code","execution_count":1,"metadata":{},"outputs":[],"source":["SELECT status\\n","FROM t"]}],"metadata":{},"nbformat":4,"nbformat_minor":5}
            """
        try StudioHarness.with(try StudioHarness(files: ["from.ipynb": jupyter])) { h in
            let book = try h.get("/v1/notebooks/from.ipynb").json, cells = book["cells"]?.array ?? []
            #expect(book["isEditable"]?.bool == false && book["title"]?.string == "From Jupyter" && cells.count == 2)
            let edit = try h.send("PUT", "/v1/notebooks/from.ipynb/cells/c2", object(["hash": cells[1]["hash"]!, "source": "SELECT 1"]))
            #expect(edit.status == 400 && edit.json.text().contains("notebook convert"))
            #expect(try h.text("from.ipynb") == jupyter)
            let reader = try h.follow("from.ipynb")
            defer { reader.close() }
            #expect(try h.send("POST", "/v1/notebooks/from.ipynb/run", object([:])).status == 202)
            try reader.wait("its rows") { $0.state("c2") == "finished" && $0.shown("c2").first?["rows"]?.array?.count == 3 }
            #expect(try h.send("POST", "/v1/notebooks", object(["path": "new.ipynb"])).status == 400)
        }
    }
}
