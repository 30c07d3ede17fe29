import StreamCore
import Testing

@Suite("Key groups") struct KeyGroupsTests {
    @Test("keys spread over all groups, evenly", arguments: [1, 7, 128, 1_000, 32_768])
    func spread(maxParallelism: Int) {
        var counts = [Int](repeating: 0, count: maxParallelism)
        for i in 0..<UInt64(maxParallelism) * 50 { counts[KeyGroups.group(ofHash: RowHash.mix(i), maxParallelism: maxParallelism)] += 1 }
        #expect(counts.min()! > 10 && counts.max()! < 120)
        #expect(KeyGroups.group(ofHash: .max, maxParallelism: maxParallelism) == maxParallelism - 1)
        #expect(KeyGroups.group(ofHash: 0, maxParallelism: maxParallelism) == 0)
    }

    @Test("every group belongs to the subtask whose range holds it", arguments: [1, 2, 3, 5, 64, 127, 128])
    func owners(parallelism: Int) {
        for subtask in 0..<parallelism {
            for group in KeyGroups.groups(ofSubtask: subtask, parallelism: parallelism, maxParallelism: 128) {
                #expect(KeyGroups.subtask(ofGroup: group, parallelism: parallelism, maxParallelism: 128) == subtask)
            }
        }
        #expect((0..<parallelism).map { KeyGroups.groups(ofSubtask: $0, parallelism: parallelism, maxParallelism: 128).count }.reduce(0, +) == 128)
    }
}
