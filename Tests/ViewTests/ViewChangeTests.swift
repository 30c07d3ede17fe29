import Foundation
import StreamCore
import StreamTesting
import Synchronization
import Testing
@testable import ViewConnector

/// What subscribers are told.
@Suite("changes of a view") struct ViewChangeTests {
    private static func text(_ events: [ViewEvent]?) -> [String] {
        (events ?? []).map { event in
            switch event {
            case .reset: "reset"
            case .change(_, let row): "\(row.key) " + (row.row.map { String(decoding: $0, as: UTF8.self) } ?? "gone")
            }
        }
    }

    @Test("inserts, updates and deletes come in their order, once; what changes nothing is no change")
    func order() throws {
        let view = try DrivenView()
        try view.start()
        try view.put("a", 1)
        let all = try view.registry.subscribe("v", key: nil, since: nil, snapshot: false), one = try view.registry.subscribe("v", key: "a", since: nil, snapshot: false)
        #expect(try Self.text(all.next(milliseconds: 0)) == [])
        try view.put("a", 2)
        try view.put("a", 2)
        try view.put("b", 1)
        try view.delete("a")
        try view.delete("a")
        #expect(try Self.text(all.next(milliseconds: 0)) == [#"a {"id":"a","a":2,"b":""}"#, #"b {"id":"b","a":1,"b":""}"#, "a gone"])
        // One key begins with its newest row, and does not go back behind it.
        #expect(try Self.text(one.next(milliseconds: 0)) == ["a gone"])
        try view.put("a", 3)
        let last = try one.next(milliseconds: 0)
        #expect(Self.text(last).last == #"a {"id":"a","a":3,"b":""}"#)
        guard case .change(let id, let row) = try #require(last?.last) else { return }
        #expect(try view.registry.get("v", key: "a")?.version == row.version)
        one.close()
        all.close()
        // One who comes back goes on where it was.
        try view.put("a", 4)
        let back = try view.registry.subscribe("v", key: nil, since: id, snapshot: false)
        #expect(try Self.text(back.next(milliseconds: 0)) == [#"a {"id":"a","a":4,"b":""}"#])
        let unknown = try view.registry.subscribe("v", key: "a", since: 12, snapshot: false)
        #expect(try Self.text(unknown.next(milliseconds: 0)) == ["reset"])
        #expect(try Self.text(unknown.next(milliseconds: 0)) == [#"a {"id":"a","a":4,"b":""}"#])
    }

    @Test("a slow reader is told that it missed changes and gets the newest rows; nothing is kept for it")
    func slow() throws {
        let view = try DrivenView(["view.changes.buffer": "50"])
        try view.start(parallelism: 2)
        let changes = try view.registry.subscribe("v", key: nil, since: nil, snapshot: false)
        try view.write((0..<300).map { [.string("k\($0)"), .int(1), .string("")] })
        for round in 0..<20 { try view.write((0..<30).map { [.string("k\($0)"), .int(Int64(round)), .string("")] }) }
        try view.delete("k5")
        var known: [String: [UInt8]] = ["stale": []], resets = 0
        while true {
            let events = try #require(try changes.next(milliseconds: 0))
            if events.isEmpty { break }
            for event in events {
                switch event {
                case .reset:
                    known = [:]
                    resets += 1
                case .change(_, let row): known[row.key] = row.row
                }
            }
        }
        #expect(resets == 1 && known.count == 299)
        for (key, row) in known { #expect(try view.registry.get("v", key: key)?.row == row) }
    }

    @Test("readers at any pace end with the newest rows, while writers write and the job begins anew")
    func convergence() throws {
        let view = try DrivenView(["view.changes.buffer": "200"])
        try view.start(parallelism: 3)
        let done = Atomic<Bool>(false), results = Mutex<[[String: [UInt8]]]>([]), problems = Mutex<[String]>([])
        let registry = view.registry
        for reader in 0..<3 {
            let changes = try registry.subscribe("v", key: nil, since: nil, snapshot: true)
            Thread.detachNewThread {
                var known: [String: ViewRow] = [:], random = SeededRandom(UInt64(reader)), isLast = false
                do {
                    while true {
                        let events = try changes.next(milliseconds: 20) ?? []
                        if events.isEmpty, isLast { break }
                        isLast = events.isEmpty && done.load(ordering: .sequentiallyConsistent)
                        for event in events {
                            switch event {
                            case .reset: known = [:]
                            case .change(_, let row): if row.version >= known[row.key]?.version ?? 0 { known[row.key] = row }
                            }
                        }
                        if reader > 0 { usleep(UInt32.random(in: 0..<2_000, using: &random) * UInt32(reader)) }
                    }
                } catch { problems.withLock { $0.append("\(error)") } }
                results.withLock { $0.append(known.compactMapValues { $0.row }) }
            }
        }
        var random = SeededRandom(3)
        for _ in 0..<400 {
            try view.write((0..<20).map { _ in [.string("k\(Int.random(in: 0..<60, using: &random))"), .int(Int64.random(in: 0..<1_000, using: &random)), .string("")] })
            try view.delete("k\(Int.random(in: 0..<60, using: &random))")
        }
        done.store(true, ordering: .sequentiallyConsistent)
        try eventually("the readers' end") { results.withLock { $0.count } == 3 }
        #expect(problems.withLock { $0 } == [])
        let rows = try registry.scan("v", limit: 100, after: nil).rows
        for result in results.withLock({ $0 }) {
            #expect(result.count == rows.count)
            for row in rows { #expect(result[row.key] == row.row, "\(row.key)") }
        }
    }

    @Test("with visibility checkpoint changes come with the commit, the last of each row")
    func checkpoints() throws {
        let view = try DrivenView(["view.visibility": "checkpoint"])
        try view.start()
        let changes = try view.registry.subscribe("v", key: nil, since: nil, snapshot: false)
        try view.put("a", 1)
        try view.put("a", 2)
        try view.put("b", 1)
        try view.put("c", 1)
        try view.delete("c")
        #expect(try changes.next(milliseconds: 0) == [])
        try view.takeCheckpoint()
        #expect(try Self.text(changes.next(milliseconds: 0)) == [#"a {"id":"a","a":2,"b":""}"#, #"b {"id":"b","a":1,"b":""}"#])
        try view.put("a", 9)
        try view.delete("b")
        try view.takeCheckpoint(commits: false)
        try view.put("a", 10)
        try view.commit()
        #expect(try Self.text(changes.next(milliseconds: 0)).sorted() == [#"a {"id":"a","a":9,"b":""}"#, "b gone"])
    }
}
