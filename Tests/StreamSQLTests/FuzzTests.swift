import Foundation
import ReferenceSQL
import Testing

/// Random queries on the engine and on the reference interpreter, for $SWIFTWATER_FUZZ_SECONDS (10 when not set), always the same ones
/// from seed 1 (or $SWIFTWATER_FUZZ_SEED), so that a commit passes or fails for its own sake; `make fuzz-sql` draws new ones.
/// A failure prints its seed: `swiftwater-fuzz-sql --seed N --cases 1` shows it again.
@Suite("Random queries") struct FuzzTests {
    /// As many as two minutes are enough for on two cores beside the other tests, or nearly so.
    private static let cases: UInt64 = 600

    @Test("give the rows of the reference interpreter") func agree() {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["SWIFTWATER_FUZZ_SECONDS"].flatMap { Double($0) } ?? 10
        let first = environment["SWIFTWATER_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
        let most = environment["SWIFTWATER_FUZZ_CASES"].flatMap { UInt64($0) } ?? Self.cases
        let fuzzer = Fuzzer(), end = Date().addingTimeInterval(seconds)
        var seed = first, agreed = 0
        while Date() < end, seed - first < most {
            let fuzz = FuzzCase(seed: seed)
            switch fuzzer.check(fuzz) {
            case .failed:
                let small = fuzzer.shrunk(fuzz, tries: 300)
                Issue.record("seed \(seed)\n\(small.text)\n\(fuzzer.check(small))")
                return
            case .agreed: agreed += 1
            default: break
            }
            seed += 1
        }
        print("random queries: seeds \(first) to \(seed - 1), \(agreed) of \(seed - first) compared with the reference")
        #expect(seconds == 0 || agreed > 0)
    }

    @Test("a planted bug is found, and cut down to a few rows") func planted() throws {
        var fuzzer = Fuzzer()
        fuzzer.losesRows = true
        let found = try #require((UInt64(1)..<200).lazy.map(FuzzCase.init).first { fuzzer.check($0).isFailure })
        let small = fuzzer.shrunk(found)
        #expect(fuzzer.check(small).isFailure)
        #expect(small.tables.reduce(0) { $0 + $1.rows.count } <= 4, "\(small.text)")
    }
}
