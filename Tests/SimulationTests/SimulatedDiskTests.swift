import Foundation
import StreamCore
import StreamTesting
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Foundation has one too.
typealias Host = StreamCore.Host

@Suite("Simulated disk") struct SimulatedDiskTests {
    /// Contents of all files by path, and directories with an empty value of their own.
    static func contents(_ disk: SimulatedDisk) throws -> [String: String] {
        var result: [String: String] = [:]
        func visit(_ path: String, _ shown: String) throws {
            for name in try Host.names(in: path) {
                if Host.isDirectory(path + "/" + name) {
                    result[shown + name + "/"] = ""
                    try visit(path + "/" + name, shown + name + "/")
                } else {
                    result[shown + name] = String(decoding: try Host.read(path + "/" + name), as: UTF8.self)
                }
            }
        }
        try visit(disk.root, "")
        return result
    }

    static func write(_ host: Host, _ path: String, _ text: String, sync: Bool) throws {
        let fd = host.open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard fd >= 0 else { throw Host.failure("create", path) }
        defer { _ = host.close(fd) }
        try Array(text.utf8).withUnsafeBytes { try host.writeAll(fd, $0, at: 0, path: path) }
        if sync, host.sync(fd) != 0 { throw Host.failure("flush", path) }
    }

    /// The states that power cuts leave, over many seeds.
    static func outcomes(_ seeds: Range<UInt64> = 0..<60, _ prepare: (SimulatedDisk) throws -> Void) throws -> Set<[String: String]> {
        var result: Set<[String: String]> = []
        for seed in seeds {
            let disk = try SimulatedDisk(seed: seed)
            try prepare(disk)
            var random = SeededRandom(seed)
            try disk.crash(&random)
            result.insert(try contents(disk))
        }
        return result
    }

    @Test("without a flush a file may be there or not, whole, cut or torn")
    func nothingFlushed() throws {
        let found = try Self.outcomes(0..<300) { try Self.write($0.host, $0.root + "/a", "hello", sync: false) }
        #expect(found.contains([:]))
        #expect(found.contains(["a": ""]))
        #expect(found.contains(["a": "hello"]))
        #expect(found.contains { ($0["a"]?.count).map { (1..<5).contains($0) } ?? false }, "no cut one among \(found)")
        #expect(found.contains(["a": "\0\0\0\0\0"]))
    }

    @Test("a flushed file may lose its name, never a byte")
    func flushedFile() throws {
        let found = try Self.outcomes { try Self.write($0.host, $0.root + "/a", "hello", sync: true) }
        #expect(found == [[:], ["a": "hello"]])
    }

    @Test("a flushed file in a flushed directory stays")
    func flushedBoth() throws {
        let found = try Self.outcomes { disk in
            try disk.host.createDirectories(disk.root + "/d/e")
            try Self.write(disk.host, disk.root + "/d/e/a", "hello", sync: true)
            try disk.host.syncDirectory(disk.root + "/d/e")
        }
        #expect(found == [["d/": "", "d/e/": "", "d/e/a": "hello"]])
    }

    @Test("a flushed file in a directory whose name was not flushed may vanish with it")
    func lostParent() throws {
        let found = try Self.outcomes { disk in
            _ = disk.host.mkdir(disk.root + "/d", 0o755)
            try Self.write(disk.host, disk.root + "/d/a", "hello", sync: true)
            try disk.host.syncDirectory(disk.root + "/d")
        }
        #expect(found == [[:], ["d/": "", "d/a": "hello"]])
    }

    @Test("a rename happens or not, also between directories")
    func renames() throws {
        let found = try Self.outcomes { disk in
            try disk.host.createDirectories(disk.root + "/x")
            try disk.host.createDirectories(disk.root + "/y")
            try disk.host.replaceFile(disk.root + "/x/a", Array("new".utf8))
            try disk.host.replaceFile(disk.root + "/y/a", Array("old".utf8))
            #expect(disk.host.rename(disk.root + "/x/a", disk.root + "/y/a") == 0)
        }
        #expect(found == [["x/": "", "y/": "", "x/a": "new", "y/a": "old"], ["x/": "", "y/": "", "y/a": "new"]])
    }

    @Test("flushing one of two directories makes a rename between them durable", arguments: ["x", "y"])
    func renameFlushed(flushed: String) throws {
        let found = try Self.outcomes { disk in
            try disk.host.createDirectories(disk.root + "/x")
            try disk.host.createDirectories(disk.root + "/y")
            try disk.host.replaceFile(disk.root + "/x/a", Array("new".utf8))
            #expect(disk.host.rename(disk.root + "/x/a", disk.root + "/y/a") == 0)
            try disk.host.syncDirectory(disk.root + "/" + flushed)
        }
        #expect(found == [["x/": "", "y/": "", "y/a": "new"]])
    }

    @Test("a renamed directory takes its files along, durable or not as they are")
    func renamedDirectory() throws {
        let found = try Self.outcomes { disk in
            try disk.host.createDirectories(disk.root + "/x")
            try disk.host.replaceFile(disk.root + "/x/a", Array("kept".utf8))
            #expect(disk.host.rename(disk.root + "/x", disk.root + "/y") == 0)
        }
        #expect(found == [["x/": "", "x/a": "kept"], ["y/": "", "y/a": "kept"]])
    }

    @Test("a removed file may come back until its directory is flushed")
    func removal() throws {
        func found(flush: Bool) throws -> Set<[String: String]> {
            try Self.outcomes { disk in
                try disk.host.replaceFile(disk.root + "/a", Array("old".utf8))
                try disk.host.remove(disk.root + "/a")
                if flush { try disk.host.syncDirectory(disk.root) }
            }
        }
        #expect(try found(flush: false) == [[:], ["a": "old"]])
        #expect(try found(flush: true) == [[:]])
    }

    @Test("replacing a file leaves the old bytes or the new ones wherever the power fails")
    func replacing() throws {
        var found: Set<[String: String]> = []
        for cut in 0..<8 {
            for seed in UInt64(0)..<20 {
                let disk = try SimulatedDisk(seed: seed)
                try disk.host.replaceFile(disk.root + "/a", Array("first".utf8))
                disk.cutPower(afterCalls: cut)
                let done = (try? disk.host.replaceFile(disk.root + "/a", Array("second".utf8))) != nil
                #expect(done == !disk.isPowerless)
                var random = SeededRandom(seed)
                try disk.crash(&random)
                let left = try Self.contents(disk)
                #expect(["first", "second"].contains(left["a"]), "cut at \(cut), seed \(seed): \(left)")
                if done { #expect(left == ["a": "second"]) }
                found.insert(left)
                // What the cut left behind is no obstacle for the next start.
                try disk.host.replaceFile(disk.root + "/a", Array("third".utf8))
                try disk.crashLosingAll()
                #expect(try Self.contents(disk)["a"] == "third")
            }
        }
        #expect(found.contains(["a": "first"]) && found.contains(["a": "second"]))
        #expect(found.contains { $0.keys.contains("a.tmp") })
    }

    @Test("a flush that does nothing is found out by a power cut")
    func lostSync() throws {
        let found = try Self.outcomes { disk in
            disk.faults.lostSyncs = [0]
            try disk.host.replaceFile(disk.root + "/a", Array("hello".utf8))
        }
        #expect(found.contains(["a": ""]) && found.contains(["a": "hello"]))
    }

    @Test("a failed flush loses what it covered, though a later one succeeds")
    func failedSync() throws {
        let disk = try SimulatedDisk(seed: 3), host = disk.host, path = disk.root + "/a"
        try host.replaceFile(path, Array("....".utf8))
        let fd = host.open(path, O_RDWR, 0)
        _ = host.write(fd, "A", 1, 0)
        disk.faults.failingSyncs = 1
        #expect(host.sync(fd) == -1 && errno == EIO)
        disk.faults.failingSyncs = 0
        _ = host.write(fd, "B", 1, 1)
        #expect(host.sync(fd) == 0)
        #expect(try Self.contents(disk) == ["a": "AB.."])
        try disk.crashLosingAll()
        #expect(try Self.contents(disk) == ["a": ".B.."])
        _ = host.close(fd)
    }

    @Test("after a power cut and after a kill nothing old works, and locks are free", arguments: [true, false])
    func dead(killed: Bool) throws {
        let disk = try SimulatedDisk(seed: 1), host = disk.host
        let fd = host.open(disk.root + "/lock", O_RDWR | O_CREAT, 0o644)
        #expect(flock(fd, LOCK_EX | LOCK_NB) == 0)
        #expect(host.write(fd, "x", 1, 0) == 1)
        #expect(host.sync(fd) == 0)
        try host.syncDirectory(disk.root)
        var random = SeededRandom(1)
        if killed { disk.kill() } else { try disk.crash(&random) }
        #expect(host.write(fd, "y", 1, 0) == -1 && errno == EIO)
        #expect(host.sync(fd) == -1)
        #expect(host.open(disk.root + "/other", O_RDWR | O_CREAT, 0o644) == -1)
        #expect(host.rename(disk.root + "/lock", disk.root + "/b") == -1)
        #expect(host.unlink(disk.root + "/lock") == -1)
        let again = disk.host.open(disk.root + "/lock", O_RDWR, 0)
        #expect(again >= 0 && again != fd)
        #expect(flock(again, LOCK_EX | LOCK_NB) == 0)
        #expect(host.close(fd) == 0)
        #expect(disk.host.write(again, "z", 1, 0) == 1)
        #expect(disk.host.close(again) == 0)
        #expect(try Self.contents(disk) == ["lock": "z"])
    }

    @Test("the end of a process alone loses nothing, a power cut later still can")
    func killed() throws {
        let disk = try SimulatedDisk(seed: 1)
        try Self.write(disk.host, disk.root + "/a", "hello", sync: false)
        disk.kill()
        #expect(try Self.contents(disk) == ["a": "hello"])
        try disk.crashLosingAll()
        #expect(try Self.contents(disk) == [:])
    }

    @Test("a full disk takes a part of a write, then none, and no new files")
    func fullDisk() throws {
        let disk = try SimulatedDisk(seed: 1), host = disk.host
        disk.freeBytes = 8
        let fd = host.open(disk.root + "/a", O_RDWR | O_CREAT, 0o644)
        #expect(host.write(fd, "12345", 5, 0) == 5)
        #expect(host.write(fd, "67890", 5, 5) == 3)
        #expect(host.write(fd, "90", 2, 8) == -1 && errno == ENOSPC)
        #expect(host.write(fd, "ab", 2, 0) == 2, "overwriting takes no room")
        #expect(host.open(disk.root + "/b", O_RDWR | O_CREAT, 0o644) == -1 && errno == ENOSPC)
        #expect(host.mkdir(disk.root + "/d", 0o755) == -1 && errno == ENOSPC)
        #expect(throws: StreamError.self) { try host.replaceFile(disk.root + "/b", [1]) }
        disk.freeBytes = nil
        #expect(host.write(fd, "90", 2, 8) == 2)
        #expect(host.close(fd) == 0)
        #expect(try Self.contents(disk) == ["a": "ab34567890"])
    }

    @Test("files that others write are not flushed until a descriptor of theirs is")
    func foreignWrites() throws {
        func found(flush: Bool) throws -> Set<[String: String]> {
            try Self.outcomes { disk in
                try disk.host.createDirectories(disk.root + "/d")
                try Data("hello".utf8).write(to: URL(filePath: disk.root + "/d/a.tmp"))
                let fd = disk.host.open(disk.root + "/d/a.tmp", O_RDONLY, 0)
                if flush { #expect(disk.host.sync(fd) == 0) }
                _ = disk.host.close(fd)
                #expect(disk.host.rename(disk.root + "/d/a.tmp", disk.root + "/d/a") == 0)
                try disk.host.syncDirectory(disk.root + "/d")
            }
        }
        #expect(try found(flush: true) == [["d/": "", "d/a": "hello"]])
        let unsafe = try found(flush: false)
        #expect(unsafe.contains(["d/": "", "d/a": ""]) && unsafe.contains(["d/": "", "d/a": "hello"]))
    }

    @Test("names that others make, change and remove are noticed")
    func foreignNames() throws {
        let disk = try SimulatedDisk(seed: 5)
        try FileManager.default.createDirectory(atPath: disk.root + "/d/e", withIntermediateDirectories: true)
        try Data("1".utf8).write(to: URL(filePath: disk.root + "/d/e/a"))
        for directory in ["", "/d", "/d/e"] { try disk.host.syncDirectory(disk.root + directory) }
        let fd = disk.host.open(disk.root + "/d/e/a", O_RDONLY, 0)
        #expect(disk.host.sync(fd) == 0)
        _ = disk.host.close(fd)
        try FileManager.default.moveItem(atPath: disk.root + "/d/e/a", toPath: disk.root + "/d/b")
        try disk.host.syncDirectory(disk.root + "/d")
        try disk.host.syncDirectory(disk.root + "/d/e")
        try disk.crashLosingAll()
        #expect(try Self.contents(disk) == ["d/": "", "d/e/": "", "d/b": "1"])
    }

    @Test("two names of one file share its bytes, and each has a fate of its own")
    func hardLinks() throws {
        let found = try Self.outcomes { disk in
            try disk.host.replaceFile(disk.root + "/a", Array("one".utf8))
            #expect(disk.host.link(disk.root + "/a", disk.root + "/b") == 0)
            let fd = disk.host.open(disk.root + "/b", O_RDWR, 0)
            #expect(disk.host.write(fd, "ONE", 3, 0) == 3)
            #expect(disk.host.sync(fd) == 0)
            _ = disk.host.close(fd)
        }
        #expect(found == [["a": "ONE"], ["a": "ONE", "b": "ONE"]])
    }

    @Test("a slow flush moves the simulated clock, and the wall clock of the host with it")
    func latency() throws {
        let disk = try SimulatedDisk(seed: 1)
        disk.faults.syncLatency = .milliseconds(40) ... .milliseconds(90)
        let before = disk.host.now()
        try Self.write(disk.host, disk.root + "/a", "hello", sync: true)
        #expect((40...90).contains(disk.host.now() - before))
    }

    @Test("nothing outside of the disk can be changed")
    func outside() throws {
        let disk = try SimulatedDisk(seed: 1), other = NSTemporaryDirectory() + "swiftwater-outside-\(UUID().uuidString)"
        #expect(disk.host.open(other, O_RDWR | O_CREAT, 0o644) == -1 && errno == EACCES)
        #expect(disk.host.mkdir(other, 0o755) == -1 && errno == EACCES)
        #expect(disk.host.unlink("/") == -1)
        #expect(!Host.exists(other))
    }

    @Test("the same seed and the same calls give the same ids, faults and remains")
    func replays() throws {
        func run() throws -> (ids: [String], left: [String: String], lines: [String]) {
            let disk = try SimulatedDisk(seed: 9), lines = Lines()
            disk.observe { lines.add($0) }
            disk.faults.shortWrites = 2
            disk.faults.failingSyncs = 3
            for i in 0..<30 { try? disk.host.replaceFile(disk.root + "/\(i % 7)", Array("number \(i)".utf8)) }
            var random = SeededRandom(4)
            try disk.crash(&random)
            return ((0..<3).map { _ in disk.host.uuid() }, try Self.contents(disk), lines.all)
        }
        let first = try run(), second = try run()
        #expect(first.ids == second.ids)
        #expect(first.left == second.left)
        #expect(first.lines == second.lines && first.lines.count > 90)
    }

    private final class Lines: @unchecked Sendable {  // SAFETY: used by one thread
        var all: [String] = []
        func add(_ line: String) { all.append(line) }
    }

    /// Random calls, checked against a model that only knows what must survive.
    @Test("what was flushed survives any power cut, whatever else is going on", arguments: UInt64(0)..<40)
    func fuzz(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let disk = try SimulatedDisk(seed: seed)
        /// Files that are durable under their name with these bytes, and untouched since.
        var certain: [String: String] = [:]
        for round in 0..<4 {
            let host = disk.host
            let directories = ["", "/d", "/d/e"]
            for directory in directories.dropFirst() { try host.createDirectories(disk.root + directory) }
            for step in 0..<60 {
                let directory = directories.randomElement(using: &random)!
                let path = disk.root + directory + "/f\(Int.random(in: 0..<4, using: &random))"
                let other = disk.root + directories.randomElement(using: &random)! + "/f\(Int.random(in: 0..<4, using: &random))"
                let text = "\(seed)/\(round)/\(step) " + String(repeating: "x", count: Int.random(in: 0..<1_500, using: &random))
                switch Int.random(in: 0..<6, using: &random) {
                case 0:
                    try host.replaceFile(path, Array(text.utf8))
                    certain[path] = text
                case 1:
                    try Self.write(host, path, text, sync: Bool.random(using: &random))
                    certain[path] = nil
                case 2:
                    try host.remove(path)
                    certain[path] = nil
                case 3 where path != other:
                    if host.rename(path, other) == 0 { (certain[path], certain[other]) = (nil, nil) }
                case 4:
                    if host.link(path, path + "-link") == 0 {
                        // Bytes written through one name change the other.
                        certain[path] = nil
                        #expect(host.unlink(path + "-link") == 0)
                    }
                default: try host.syncDirectory(disk.root + directory)
                }
            }
            try disk.crash(&random)
            for directory in directories {
                for name in try Host.names(in: disk.root + directory) where name.hasSuffix("-link") {
                    try disk.host.remove(disk.root + directory + "/" + name)
                    try disk.host.syncDirectory(disk.root + directory)
                }
            }
            for (path, text) in certain.sorted(by: { $0.key < $1.key }) {
                #expect(try String(decoding: Host.read(path), as: UTF8.self) == text, "\(path), seed \(seed), round \(round)")
            }
            // What is there now is durable.
            let left = try Self.contents(disk)
            try disk.crashLosingAll()
            #expect(try Self.contents(disk) == left)
            certain = [:]
            for (name, text) in left where !name.hasSuffix("/") { certain[disk.root + "/" + name] = text }
        }
    }
}
