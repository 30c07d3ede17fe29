import Foundation
import StreamCore
import Testing

@testable import StreamState

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite struct DirectoryLockTests {
    @Test("a released lock is free although a copy of its descriptor lives on") func releases() throws {
        let directory = NSTemporaryDirectory() + "swiftwater-lock-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let before = Set(Self.descriptors(of: directory))
        var lock: DirectoryLock? = try DirectoryLock(directory)
        // What a child process has between fork and exec.
        let copies = Self.descriptors(of: directory).filter { !before.contains($0) }.map { dup($0) }
        defer { for copy in copies { close(copy) } }
        #expect(!copies.isEmpty)
        #expect(throws: StreamError.self) { try DirectoryLock(directory) }
        #expect(lock != nil)
        lock = nil
        _ = try DirectoryLock(directory)
    }

    /// Open descriptors of the lock file.
    private static func descriptors(of directory: String) -> [Int32] {
        var wanted = stat()
        guard stat(directory + "/lock", &wanted) == 0 else { return [] }
        return (0..<1_024).filter { descriptor in
            var found = stat()
            return fstat(descriptor, &found) == 0 && found.st_ino == wanted.st_ino && found.st_dev == wanted.st_dev
        }
    }
}
