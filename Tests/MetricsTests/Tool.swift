import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
import Synchronization

/// Programs of Prometheus' package, which `make setup` installs.
enum Tool {
    struct Failure: Error, CustomStringConvertible { let description: String }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func path(_ name: String) throws -> URL {
        for directory in (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":") + ["/usr/bin"] {
            let path = "\(directory)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return URL(filePath: path) }
        }
        throw Failure(description: "there is no \(name): run make setup, or install the package prometheus")
    }

    /// Output and errors together, once it has ended.
    static func run(_ name: String, _ arguments: [String], input: [UInt8] = []) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = try path(name)
        process.arguments = arguments
        // By files: pipes would have to be read and written at one time.
        let directory = try TemporaryDirectory()
        let files = ["in", "out"].map { URL(filePath: directory.path + "/" + $0) }
        try Data(input).write(to: files[0])
        try Data().write(to: files[1])
        let (source, target) = (try FileHandle(forReadingFrom: files[0]), try FileHandle(forWritingTo: files[1]))
        (process.standardInput, process.standardOutput, process.standardError) = (source, target, target)
        try process.run()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: try Data(contentsOf: files[1]), as: UTF8.self))
    }

    /// The body of an answer, whatever its status.
    static func get(_ url: String) throws -> (status: Int, body: Data) {
        guard let url = URL(string: url) else { throw Failure(description: "\(url) is no URL") }
        let answer = Mutex<Result<(Int, Data), any Error>?>(nil), done = DispatchSemaphore(value: 0)
        URLSession.shared.dataTask(with: URLRequest(url: url, timeoutInterval: 10)) { data, response, error in
            answer.withLock { $0 = error.map { .failure($0) } ?? .success(((response as! HTTPURLResponse).statusCode, data ?? Data())) }
            done.signal()
        }.resume()
        done.wait()
        return try answer.withLock { try $0!.get() }
    }
}
