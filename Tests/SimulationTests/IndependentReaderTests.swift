import Foundation
import Simulations
import StreamTesting
import Testing

@Suite("Simulated tables") struct IndependentReaderTests {
    /// The simulation itself reads tables with our own reader, for speed.
    @Test("an independent reader finds the table well formed after all the crashes", arguments: [
        (SimulatedJob.orders, "order_hudi_cow", "order_id,item_id"), (.sensors, "sensor_state_cow", "status,hop_time"), (.changes, "newest", "id"),
        (.join, "totals", "product"),
    ])
    func independentReader(job: SimulatedJob, table: String, key: String) throws {
        for seed in UInt64(2_000)..<2_002 {
            let simulation = try job.simulation(seed: seed)
            let report = try simulation.run()
            let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            let process = Process(), output = Pipe()
            let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? tests.deletingLastPathComponent().path + "/.venv/bin/python"
            process.executableURL = URL(filePath: python)
            process.arguments = [tests.path + "/Support/hudi/check_table.py", simulation.disk.root + "/tables/" + table, "--key", key, "--global-keys"]
            process.standardOutput = output
            process.standardError = output
            try process.run()
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(job.rawValue), seed \(seed), \(report): \(text)")
        }
    }
}
