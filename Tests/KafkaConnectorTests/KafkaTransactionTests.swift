import CRdKafka
import Foundation
import StreamCore
import StreamTesting
import Synchronization
import Testing
@testable import KafkaConnector

@Suite("kafka sink, exactly once") struct KafkaTransactionTests {
    private struct Target {
        let topic: String, prefix = Broker.shared.group("tx"), judge: Judge

        init(partitions: Int = 3) throws {
            topic = try Broker.shared.topic("exactly", partitions: partitions)
            judge = try Broker.shared.judge
        }

        func sink(_ options: [String: String] = [:]) throws -> any TableSink {
            try KafkaSinkTests.sink(KafkaSinkTests.table(try Broker.shared.bootstrap, topic, [
                "key.format": "raw", "key.fields": "name", "value.format": "json", "format": "",
                "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": prefix].merging(options) { $1 }))
        }

        func ids() throws -> [Int] { KafkaSinkTests.ids(try judge.consume(topic)).sorted() }

        func check(_ rows: [[Value]], _ note: String) throws {
            let wanted = rows.map { row -> Int in if case .int(let id) = row[0] { Int(id) } else { -1 } }.sorted()
            let found = try ids()
            #expect(found == wanted, "\(note): \(found.count) rows, \(wanted.count) wanted")
        }
    }

    private struct Rows {
        var next = 0
        mutating func callAsFunction(_ subtask: Int, _ count: Int) -> SinkStep {
            defer { next += count }
            return .write(subtask: subtask, rows: (next..<next + count).map { [.int(Int64($0)), .string("k\(subtask)-\($0 % 3)")] })
        }
    }

    private static func context(_ job: String = "job", restored: UInt64? = nil, subtask: Int = 0, parallelism: Int = 1) -> SinkContext {
        SinkContext(jobID: job, subtask: subtask, parallelism: parallelism, isRecoverable: true, restoredCheckpoint: restored)
    }

    @Test("a death after any step leaves each row once")
    func everyStep() throws {
        func steps() -> [SinkStep] {
            var rows = Rows()
            return [
                rows(0, 5), rows(1, 4), .checkpoint, rows(0, 30), rows(1, 3), .checkpointWithoutCommit, .fail, rows(0, 4), .checkpoint, .checkpoint,
                rows(1, 40), .abortedCheckpoint, rows(1, 2), .checkpoint, .fail, rows(0, 6), rows(1, 2), .checkpoint, .restart(parallelism: 3),
                rows(2, 6), rows(0, 2), .checkpointWithoutCommit, .fail, rows(2, 20), .finish,
            ]
        }
        for death in SinkHistory.deaths(of: steps().count + 1) {
            let target = try Target()
            var all = steps()
            all.insert(.restart(parallelism: 2), at: death)
            var history = SinkHistory(steps: all, schema: KafkaSinkTests.schema, parallelism: 2) { _ in try target.sink() }
            history.check = { try target.check($0, "death at step \(death)") }
            try history.run()
        }
    }

    @Test("random histories", arguments: UInt64(1)...3)
    func histories(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var rows = Rows(), steps: [SinkStep] = []
        for _ in 0..<25 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0...5: steps.append(rows(Int.random(in: 0..<4, using: &random), Int.random(in: 1...20, using: &random)))
            case 6: steps.append(.abortedCheckpoint)
            case 7: steps.append(.fail)
            case 8: steps += [.checkpointWithoutCommit, .restart(parallelism: Int.random(in: 1...4, using: &random))]
            case 9: steps.append(.restart(parallelism: Int.random(in: 1...4, using: &random)))
            default: steps.append(.checkpoint)
            }
        }
        steps.append(.finish)
        let target = try Target()
        var history = SinkHistory(steps: steps, schema: KafkaSinkTests.schema, parallelism: 2) { _ in try target.sink() }
        history.check = { try target.check($0, "seed \(seed)") }
        try history.run()
    }

    @Test("rows are hidden until the commit; a commit that died in the middle goes on in another process")
    func halfCommitted() throws {
        let target = try Target()
        var committables: [Committable] = []
        do {
            let sink = try target.sink()
            let committer = try #require(try sink.committer(Self.context()))
            let writers = try (0..<2).map { try sink.writer(Self.context(subtask: $0, parallelism: 2)) }
            for (i, writer) in writers.enumerated() { try writer.write(KafkaSinkTests.rows(i * 10..<(i + 1) * 10)) }
            committables = try writers.flatMap { try $0.prepareCommit(1) }
            let hidden = try target.ids()
            #expect(committables.count == 2 && hidden.isEmpty)
            // Rows of a checkpoint that never completes.
            for writer in writers { try writer.write(KafkaSinkTests.rows(100..<110)) }
            _ = try writers[0].prepareCommit(2)
            try committer.commit(1, [committables[0]])
        }
        for _ in 0..<2 {
            let sink = try target.sink()
            let committer = try #require(try sink.committer(Self.context(restored: 1)))
            try committer.recover(1, committables)
            #expect(try target.ids() == Array(0..<20))
            try committer.recover(1, committables)
            committer.close()
        }
        // It goes on with other producers than those of the checkpoint.
        let sink = try target.sink()
        let committer = try #require(try sink.committer(Self.context(restored: 1)))
        try committer.recover(1, committables)
        let writer = try sink.writer(Self.context(restored: 1))
        try writer.write(KafkaSinkTests.rows(20..<30))
        let next = try writer.prepareCommit(2)
        let old = try committables.map { try PreparedTransaction(bytes: $0.bytes).id }, new = try next.map { try PreparedTransaction(bytes: $0.bytes).id }
        #expect(Set(old).isDisjoint(with: new))
        try committer.commit(2, next)
        #expect(try target.ids() == Array(0..<30))
        try writer.close()
        committer.close()
    }

    @Test("a checkpoint without rows leaves nothing to commit; three producers serve many checkpoints")
    func producersTakeTurns() throws {
        let target = try Target(partitions: 1), sink = try target.sink()
        let committer = try #require(try sink.committer(Self.context())), writer = try sink.writer(Self.context())
        var ids: Set<String> = []
        for n in 1...12 as ClosedRange<UInt64> {
            try writer.write(KafkaSinkTests.rows(Int(n) * 10..<Int(n + 1) * 10))
            let committables = try writer.prepareCommit(n * 2)
            ids.formUnion(try committables.map { try PreparedTransaction(bytes: $0.bytes).id })
            try committer.commit(n * 2, committables)
            #expect(try writer.prepareCommit(n * 2 + 1).isEmpty)
        }
        #expect(ids.count <= 3, "\(ids)")
        #expect(try KafkaSinkTests.ids(target.judge.consume(target.topic, library: .pure)) == Array(10..<130))
        try writer.close()
        committer.close()
    }

    @Test func checkpointsThatNeverCommitEndInAnError() throws {
        let target = try Target(partitions: 1), sink = try target.sink()
        let writer = try sink.writer(Self.context())
        let error = #expect(throws: StreamError.self) {
            for n in 1...40 as ClosedRange<UInt64> {
                try writer.write(KafkaSinkTests.rows(0..<1))
                _ = try writer.prepareCommit(n)
            }
        }
        #expect(error?.problem.contains("wait for their commit") == true, "\(error!)")
        writer.abort()
    }

    @Test("a run that goes on after its successor has started is fenced, and its rows are not seen")
    func zombies() throws {
        let target = try Target()
        let old = try target.sink()
        let committer = try #require(try old.committer(Self.context())), writer = try old.writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(1)
        try committer.commit(1, committables)
        try writer.write(KafkaSinkTests.rows(10..<20))
        let new = try target.sink(), successor = try #require(try new.committer(Self.context(restored: 1)))
        try successor.recover(1, committables)
        let error = #expect(throws: StreamError.self) {
            try writer.write(KafkaSinkTests.rows(20..<30))
            try committer.commit(2, try writer.prepareCommit(2))
        }
        #expect(error?.code == .conflict && error?.fix?.contains("sink.transactional-id-prefix") == true, "\(error!)")
        writer.abort()
        let next = try new.writer(Self.context(restored: 1))
        try next.write(KafkaSinkTests.rows(50..<60))
        try successor.commit(2, try next.prepareCommit(2))
        #expect(try target.ids() == Array(0..<10) + Array(50..<60))
        try next.close()
    }

    @Test("rows whose transaction was ended by the cluster are not lost without a word")
    func lostRows() throws {
        let target = try Target(), sink = try target.sink()
        let writer = try sink.writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(7)
        let prepared = try PreparedTransaction(bytes: committables[0].bytes)
        let wire = KafkaWireClient(try KafkaConfiguration(["bootstrap.servers": Broker.shared.bootstrap]), table: "t")
        #expect(try wire.fence(prepared.id) > 0)
        #expect(try wire.fence(Broker.shared.group()) == 0)
        let error = #expect(throws: StreamError.self) { try target.sink().committer(Self.context(restored: 7))!.recover(7, committables) }
        #expect(error?.code == .corrupt && error?.problem.contains("checkpoint 7") == true && error?.fix?.contains("transaction.timeout.ms") == true, "\(error!)")
        #expect(try target.ids().isEmpty)
        // As Flink does, when it is told to.
        let ignoring = try target.sink(["sink.lost-transactions": "ignore"])
        let committer = try #require(try ignoring.committer(Self.context(restored: 7)))
        try committer.recover(7, committables)
        let metrics = OperatorMetrics(), warnings = Mutex<[String]>([])
        metrics.onWarning { text in warnings.withLock { $0.append(text) } }
        var context = Self.context(restored: 7)
        context.metrics = metrics
        let next = try ignoring.writer(context)
        #expect(warnings.withLock { $0 }.contains { $0.contains("are lost") })
        next.abort()
        committer.close()
        writer.abort()
    }

    @Test func aTimeoutThatTheBrokersDoNotAllowIsRefusedAtTheStart() throws {
        let target = try Target()
        // Kafka allows 15 minutes unless told otherwise.
        guard Broker.hasKafka else { return }
        let sink = try target.sink(["properties.transaction.timeout.ms": "7200000"])
        let error = #expect(throws: StreamError.self) { _ = try sink.writer(Self.context()) }
        #expect(error?.fix?.contains("properties.transaction.timeout.ms") == true, "\(error!)")
    }

    @Test(.kafkaOnly) func transactionsThatTheBrokerEndsAreTold() throws {
        let target = try Target()
        let writer = try target.sink(["properties.transaction.timeout.ms": "2000"]).writer(Self.context())
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(1)
        let deadline = Date().addingTimeInterval(30)
        // The broker lets a later record be read once it has ended the transaction.
        try target.judge.produce(target.topic, (0..<3).map { Message("later", partition: $0) })
        while try target.judge.consume(target.topic).count < 3, Date() < deadline {}
        let error = #expect(throws: StreamError.self) { try target.sink().committer(Self.context(restored: 1))!.recover(1, committables) }
        #expect(error?.code == .corrupt, "\(error!)")
    }
}

@Suite("kafka sink, connections of its own") struct WireTests {
    /// The exchange of RFC 7677, section 3.
    @Test func scramProvesBothSides() {
        var login = ScramLogin(.sha256, user: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(String(decoding: login.first, as: UTF8.self) == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        #expect(login.answer(Array(challenge.utf8)).map { String(decoding: $0, as: UTF8.self) }
            == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
        #expect(login.accepts(Array("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".utf8)))
        #expect(!login.accepts(Array("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".utf8)) && !login.accepts(Array("e=other-error".utf8)))
        #expect(login.answer(Array("r=somebodyelse,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".utf8)) == nil)
    }

    /// A server with a certificate of its own that answers one request with its bytes in reverse order.
    private static let server = """
        import socket, ssl, subprocess, sys, os
        folder = sys.argv[1]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", folder + "/key.pem", "-out", folder + "/ca.pem"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/ca.pem", folder + "/key.pem")
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        while True:
            plain, _ = listener.accept()
            try:
                with context.wrap_socket(plain, server_side=True) as s:
                    size = int.from_bytes(s.recv(4), "big")
                    request = s.recv(size)
                    answer = request[4:8] + request[:3:-1]
                    s.sendall(len(answer).to_bytes(4, "big") + answer)
            except OSError:
                pass
        """

    @Test func connectionsAreEncryptedAndTheBrokerIsChecked() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kafka-tls-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let process = Process(), output = Pipe()
        process.executableURL = URL(filePath: ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? "/usr/bin/python3")
        process.arguments = ["-c", Self.server, folder]
        process.standardOutput = output
        try process.run()
        defer {
            // A thread of the tests may hand down a mask that keeps SIGTERM back.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        let port = try #require(Int(String(decoding: output.fileHandleForReading.availableData, as: UTF8.self).filter { $0.isNumber }))
        func connect(_ host: String, _ more: [String: String]) throws -> WireConnection {
            let connection = try WireConnection(host: host, port: port, seconds: 10)
            try connection.encrypt(KafkaConfiguration(["bootstrap.servers": "localhost:\(port)", "security.protocol": "SSL"].merging(more) { $1 }))
            return connection
        }
        let authority = ["ssl.ca.location": folder + "/ca.pem"]
        let certificate = try String(contentsOfFile: folder + "/ca.pem", encoding: .utf8)
        for trusted in [authority, ["ssl.ca.pem": certificate], ["enable.ssl.certificate.verification": "false"]] {
            var body = WireMessage()
            body.add(Int16(0x0102))
            var answer = try connect("localhost", trusted).call(10, 1, body)
            #expect(try answer.read(Int16.self) == 0x0201)
        }
        var error = #expect(throws: StreamError.self) { _ = try connect("localhost", [:]) }
        #expect(error?.problem.contains("is not trusted: self") == true && error?.fix?.contains("properties.ssl.ca.location") == true, "\(error!)")
        // The certificate has another name.
        error = #expect(throws: StreamError.self) { _ = try connect("127.0.0.1", authority) }
        #expect(error?.problem.contains("is not trusted: IP address mismatch") == true, "\(error!)")
        error = #expect(throws: StreamError.self) { _ = try connect("localhost", ["ssl.ca.location": folder + "/none.pem"]) }
        #expect(error?.fix?.contains("ssl.ca.location") == true, "\(error!)")
    }

    @Test(.kafkaOnly, arguments: ["SSL", "SASL_PLAINTEXT", "SASL_SSL"], ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    func transactionsOfAnEarlierRunAreCommittedOnSecureClusters(security: String, mechanism: String) throws {
        let broker = Broker.secure, topic = try broker.topic("secure"), port = try broker.port + ["SSL": 200, "SASL_PLAINTEXT": 300, "SASL_SSL": 400][security]!
        let table = KafkaSinkTests.table("127.0.0.1:\(port)", topic, [
            "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": broker.group("tx"), "properties.security.protocol": security,
            "properties.sasl.mechanism": mechanism, "properties.sasl.username": "alice", "properties.sasl.password": "alice-secret",
            "properties.ssl.ca.location": try broker.certificates + "/ca.pem"])
        let context = SinkContext(isRecoverable: true), writer = try KafkaSinkTests.sink(table).writer(context)
        try writer.write(KafkaSinkTests.rows(0..<10))
        let committables = try writer.prepareCommit(1)
        try #require(try KafkaSinkTests.sink(table).committer(SinkContext(isRecoverable: true, restoredCheckpoint: 1))).recover(1, committables)
        #expect(KafkaSinkTests.ids(try broker.judge.consume(topic)) == Array(0..<10))
    }
}
