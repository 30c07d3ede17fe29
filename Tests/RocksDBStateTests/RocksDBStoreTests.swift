import StreamCore
import Testing
@testable import RocksDBState

private func key(_ group: Int, _ n: Int) -> [UInt8] {
    [UInt8(group >> 8), UInt8(group & 255)] + withUnsafeBytes(of: UInt32(n).bigEndian) { Array($0) }
}

private func makeStore(_ directory: String, _ name: String, limit: Int = 32 << 20) throws -> any KeyedStore {
    var options = RocksDBOptions()
    options.managedLimit = limit
    return try RocksDBBackend(options).makeStore("s", identity: name, directory: directory + "/" + name)
}

private func contents(_ store: any KeyedStore) throws -> [[UInt8]: [UInt8]] {
    var all: [[UInt8]: [UInt8]] = [:]
    var last: [UInt8] = []
    try store.scan(from: [], to: nil) {
        let key = Array($0)
        #expect(last.lexicographicallyPrecedes(key))
        last = key
        all[key] = Array($1)
        return true
    }
    return all
}

@Suite("RocksDB store") struct RocksDBStoreTests {
    @Test("random changes leave what a dictionary has, few or many at a time, in order or not", arguments: UInt64(0)..<4)
    func model(seed: UInt64) throws {
        try withDirectory { directory in
            var random = SeededGenerator(seed)
            let store = try makeStore(directory, "a")
            defer { store.close() }
            var model: [[UInt8]: [UInt8]] = [:]
            for round in 0..<12 {
                var changes = StoreChanges()
                if random.chance(30) {
                    let group = Int.random(in: 0..<8, using: &random)
                    let (low, high) = (key(group, 100), key(group, 2_000))
                    changes.deleteRange(low, high)
                    model = model.filter { !(low.lexicographicallyPrecedes($0.key) || low == $0.key) || !$0.key.lexicographicallyPrecedes(high) }
                }
                var keys: Set<[UInt8]> = []
                for _ in 0..<(round % 3 == 0 ? 12_000 : 50) { keys.insert(key(Int.random(in: 0..<8, using: &random), Int.random(in: 0..<4_000, using: &random))) }
                let list = random.chance(70) ? keys.sorted { $0.lexicographicallyPrecedes($1) } : Array(keys)
                for k in list {
                    if random.chance(25) {
                        changes.delete(k)
                        model[k] = nil
                    } else {
                        let value = (0..<Int.random(in: 0..<20, using: &random)).map { UInt8($0) } + [UInt8(round)]
                        changes.put(k, value)
                        model[k] = value
                    }
                }
                try store.apply(changes)
            }
            #expect(try contents(store) == model, "seed \(seed)")
            var asked = ByteList()
            var expected: [Int: [UInt8]] = [:]
            for i in 0..<3_000 {
                let k = key(Int.random(in: 0..<9, using: &random), Int.random(in: 0..<4_000, using: &random))
                asked.append(k)
                expected[i] = model[k]
            }
            var got: [Int: [UInt8]] = [:]
            try store.get(asked) { got[$0] = Array($1) }
            #expect(got == expected, "seed \(seed)")
            #expect(try store.get(key(3, 3_999)) == model[key(3, 3_999)])
            var prefixes = ByteList()
            for group in [1, 5, 7] { prefixes.append([0, UInt8(group)]) }
            var seen = 0
            try store.scan(prefixes: prefixes) { i, k, v in
                seen += 1
                #expect(Int(k[1]) == [1, 5, 7][i] && model[Array(k)] == Array(v))
            }
            #expect(seen == model.keys.filter { [1, 5, 7].contains($0[1]) }.count)
        }
    }

    @Test("a view does not see later changes and outlives the store")
    func view() throws {
        try withDirectory { directory in
            let store = try makeStore(directory, "a")
            var changes = StoreChanges()
            changes.put(key(0, 1), [1])
            try store.apply(changes)
            var view: (any KeyedStoreView)? = try store.view()
            changes.removeAll()
            changes.put(key(0, 1), [2])
            changes.put(key(0, 2), [2])
            try store.apply(changes)
            store.close()
            var seen: [[UInt8]] = []
            try view!.scan(from: [], to: nil) {
                seen.append(Array($1))
                return true
            }
            #expect(seen == [[1]])
            view = nil
            #expect(!Host.exists(directory + "/a"))
            #expect(throws: StreamError.self) { try store.get(key(0, 1)) }
        }
    }

    /// A store with `count` keys in each of 128 key groups.
    private func filled(_ directory: String, _ name: String, groups: Range<Int>, count: Int = 100) throws -> any KeyedStore {
        let store = try makeStore(directory, name)
        var changes = StoreChanges()
        for group in groups { for n in 0..<count { changes.put(key(group, n), [UInt8(n & 255), UInt8(group)]) } }
        try store.apply(changes)
        return store
    }

    @Test("a snapshot is restored as it is, in parts, and put together from several")
    func restore() throws {
        try withDirectory { directory in
            let whole = try filled(directory, "whole", groups: 0..<128)
            let all = try contents(whole)
            let files = try whole.snapshot(1)
            // What changes afterwards is not in it.
            var changes = StoreChanges()
            changes.deleteRange(key(0, 0), key(200, 0))
            try whole.apply(changes)
            whole.close()
            let before = try Host.names(in: files.directory)

            let halves = try [0..<64, 64..<128].enumerated().map { i, range in
                let half = try makeStore(directory, "half\(i)")
                try half.restore([files], keyGroups: range)
                #expect(try contents(half) == all.filter { range.contains(Int($0.key[1])) })
                return half
            }
            let parts = try halves.enumerated().map { i, half in try half.snapshot(UInt64(2 + i)) }
            for half in halves { half.close() }
            let again = try makeStore(directory, "again")
            try again.restore(parts, keyGroups: 0..<128)
            #expect(try contents(again) == all)
            again.close()
            let quarter = try makeStore(directory, "quarter")
            try quarter.restore(parts, keyGroups: 48..<80)
            #expect(try contents(quarter) == all.filter { (48..<80).contains(Int($0.key[1])) })
            quarter.close()
            #expect(try Host.names(in: files.directory) == before, "reading changed the snapshot")
        }
    }

    @Test("the second snapshot names the files of the first one again")
    func incremental() throws {
        try withDirectory { directory in
            let store = try filled(directory, "a", groups: 0..<128)
            defer { store.close() }
            let first = try store.snapshot(1)
            var changes = StoreChanges()
            changes.put(key(1, 1), [9])
            try store.apply(changes)
            let second = try store.snapshot(2)
            #expect(first.identity == second.identity)
            #expect(!first.immutable.isEmpty && Set(first.immutable).isSubset(of: second.immutable))
            #expect(second.immutable.count > first.immutable.count)
            for name in first.immutable { #expect(Host.size(of: first.directory + "/" + name) == Host.size(of: second.directory + "/" + name)) }
            let other = try filled(directory, "b", groups: 0..<1)
            #expect(try other.snapshot(1).identity != first.identity)
            other.close()
        }
    }

    @Test("missing and damaged files are reported by name")
    func damage() throws {
        try withDirectory { directory in
            let store = try filled(directory, "a", groups: 0..<128, count: 300)
            let files = try store.snapshot(1)
            store.close()
            let table = files.directory + "/" + files.immutable[0]
            var bytes = try Host.read(table)
            // A data block: found by its checksum when it is read.
            for i in 200..<400 { bytes[i] ^= 0x5A }
            try Host.system.remove(table)
            try Host.system.replaceFile(table, bytes)
            let damaged = try makeStore(directory, "b")
            let error = #expect(throws: StreamError.self) {
                try damaged.restore([files], keyGroups: 0..<128)
                _ = try contents(damaged)
            }
            #expect(error?.code == .corrupt && error?.description.contains(directory) == true, "\(String(describing: error))")
            damaged.close()

            try Host.system.remove(table)
            let missing = try makeStore(directory, "c")
            let second = #expect(throws: StreamError.self) { try missing.restore([files], keyGroups: 0..<128) }
            #expect(second?.code == .corrupt && second?.problem.contains(files.immutable[0]) == true)
            missing.close()
        }
    }

    @Test("stores share the memory limit, which must suffice")
    func memory() throws {
        for stores in [1, 2, 5, 16] {
            let shares = try #require(MemoryShares(limit: 256 << 20, stores: stores))
            #expect(shares.blockCache + (2 * shares.writeBuffer + shares.operatorCache) * stores <= 256 << 20)
            #expect(shares.writeBuffer >= MemoryShares.leastWriteBuffer)
        }
        #expect(MemoryShares(limit: 8 << 20, stores: 1) != nil)
        #expect(MemoryShares(limit: 8 << 20, stores: 64) == nil)
        var options = RocksDBOptions()
        options.managedLimit = 1 << 20
        #expect(throws: StreamError.self) { try RocksDBBackend(options) }
        #expect(try RocksDBOptions([RocksDBOptions.managedLimitKey: "64 mb"]).managedLimit == 64 << 20)
        #expect(throws: StreamError.self) { try RocksDBOptions([RocksDBOptions.managedLimitKey: "much"]) }
        try withDirectory { directory in
            options.managedLimit = 8 << 20
            let backend = try RocksDBBackend(options)
            var made: [any KeyedStore] = []
            let error = #expect(throws: StreamError.self) {
                for i in 0..<64 { made.append(try backend.makeStore("s", identity: "\(i)", directory: directory + "/\(i)")) }
            }
            #expect(error?.fix?.contains("raise") == true)
            #expect(made.count > 1 && made[0].operatorCacheBytes < 3 << 20)
            for store in made { store.close() }
        }
    }
}
