@preconcurrency import Foundation
import ReferenceSQL

/// `swiftwater-fuzz-sql [--seconds N] [--seed N] [--cases N] [--verbose]`: random queries on the engine and on the reference
/// interpreter, until the time is over or the cases are done. Exits with 1 when they differ.
@main struct FuzzSQL {
    /// Printed by a signal handler, which may not allocate.
    nonisolated(unsafe) private static var last = UnsafeMutableBufferPointer<CChar>.allocate(capacity: 64)

    static func main() {
        var seconds = 60.0, seed = UInt64.random(in: 0..<1_000_000_000), cases = Int.max, isVerbose = false
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--seconds": seconds = arguments.popFirst().flatMap { Double($0) } ?? seconds
            case "--seed": seed = arguments.popFirst().flatMap { UInt64($0) } ?? seed
            case "--cases": cases = arguments.popFirst().flatMap { Int($0) } ?? cases
            case "--verbose": isVerbose = true
            default:
                print("usage: swiftwater-fuzz-sql [--seconds N] [--seed N] [--cases N] [--verbose]")
                exit(2)
            }
        }
        for signal in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS] {
            Foundation.signal(signal) { number in
                write(2, FuzzSQL.last.baseAddress, strlen(FuzzSQL.last.baseAddress!))
                _exit(128 + number)
            }
        }
        print("seed \(seed)")
        fflush(nil)
        let end = Date().addingTimeInterval(cases == .max ? seconds : .infinity)
        var agreed = 0, failed = 0, refused: [String: Int] = [:], unknown: [String: Int] = [:], done = 0
        let fuzzer = Fuzzer()
        while done < cases, Date() < end {
            let current = seed &+ UInt64(done)
            done += 1
            _ = "crashed at seed \(current)\n".withCString { strncpy(last.baseAddress!, $0, 63) }
            let fuzz = FuzzCase(seed: current)
            let outcome = fuzzer.check(fuzz)
            if isVerbose, cases < 100 { print(fuzz.text, "\n-- \(outcome)\n") }
            switch outcome {
            case .agreed: agreed += 1
            case .consistent(let what): unknown[what, default: 0] += 1
            case .refused(let why): refused[FuzzReport.kind(of: why), default: 0] += 1
            case .failed:
                failed += 1
                let small = fuzzer.shrunk(fuzz)
                print("\nFAILED seed \(current)\n\(small.text)\n-- \(fuzzer.check(small))\n")
                if isVerbose { print((try? fuzzer.explanation(small)) ?? "") }
                fflush(nil)
                if failed == 20 { break }
            }
            if failed == 20 { break }
        }
        print("\(done) cases: \(agreed) as the reference, \(unknown.values.reduce(0, +)) the same in all runs, \(refused.values.reduce(0, +)) refused, \(failed) failed")
        for (what, count) in unknown.sorted(by: { $0.value > $1.value }) { print("  \(count) \(what)") }
        for (what, count) in refused.sorted(by: { $0.value > $1.value }).prefix(isVerbose ? 100 : 12) { print("  \(count) refused: \(what)") }
        exit(failed > 0 ? 1 : 0)
    }
}
