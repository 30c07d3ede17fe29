#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import StreamCore

/// Robust random cut trees over a sample of the points seen, in one block of memory.
///
/// Guha, Mishra, Roy, Schrijvers: "Robust Random Cut Forest Based Anomaly Detection On Streams" (2016). The score of a point is its collusive displacement
/// (CoDisp) in the tree right after it was inserted, as `rrcf` computes it: of the leaf and the subtrees around it, the largest number of points that
/// one displaces, for each of its own; averaged over trees. Each tree keeps a sample of its own, drawn without regard to values, in which a point's
/// weight falls by e with every `timeDecay` points that come after it (Efraimidis and Spirakis, 2006).
///
/// A point that is not taken into a tree's sample is scored by walking down the tree and drawing the cuts that its insertion would make.
final class RandomCutForest {
    let options: RandomCutForestOptions
    let features: Int
    /// Of a point: features times shingle.
    let dimensions: Int
    private(set) var block: MemoryBlock
    private(set) var layout: Layout
    /// Where the parts of tree `t` are.
    @inline(__always) func tree(_ t: Int) -> RandomCutTree { RandomCutTree(block.base + layout.tree(t), layout) }

    /// What belongs to no tree; lies at the start of the block.
    struct Header {
        /// Points learned.
        var seen: Int64
        /// Rows that the scales were learned from.
        var scaled: Int64
        /// Rows in the shingle so far, and where its next one goes.
        var held: Int32, next: Int32
        /// Points in each tree.
        var count: Int64
        /// The point at which the trees' limits are counted from.
        var base: Int64
    }

    /// Sizes and places of the parts of the block, in bytes.
    struct Layout {
        let trees: Int, capacity: Int, dimensions: Int, features: Int, shingle: Int
        let nodes: Int, boxes: Int, leaves: Int, points: Int, keys: Int, owners: Int, treeBytes: Int, start: Int

        init(trees: Int, capacity: Int, features: Int, shingle: Int) {
            (self.trees, self.capacity, self.features, self.shingle) = (trees, capacity, features, shingle)
            dimensions = features * shingle
            nodes = MemoryLayout<RandomCutTree.Header>.stride
            boxes = nodes + capacity * MemoryLayout<RandomCutTree.Branch>.stride
            leaves = boxes + capacity * 2 * dimensions * 8
            points = leaves + capacity * MemoryLayout<RandomCutTree.Leaf>.stride
            keys = points + capacity * dimensions * 8
            owners = keys + capacity * 8
            treeBytes = (owners + capacity * 4 + 7) / 8 * 8
            // The header, then mean, variance and weight of each feature, then the shingle.
            start = MemoryLayout<Header>.stride + 3 * features * 8 + dimensions * 8
        }

        var bytes: Int { start + trees * treeBytes }
        func tree(_ t: Int) -> Int { start + t * treeBytes }
    }

    /// - Parameter salt: makes the random choices differ between keys.
    init(_ options: RandomCutForestOptions, features: Int, salt: UInt64) {
        self.options = options
        self.features = features
        dimensions = features * options.shingle
        layout = Layout(trees: options.trees, capacity: min(16, options.samples + 1), features: features, shingle: options.shingle)
        block = MemoryBlock(bytes: layout.bytes)
        block.base.initializeMemory(as: UInt8.self, repeating: 0, count: layout.bytes)
        header.pointee = Header(seen: 0, scaled: 0, held: 0, next: 0, count: 0, base: 0)
        let start = RowHash.mix(options.seed &+ RowHash.nullHash) ^ salt
        for t in 0..<options.trees { tree(t).clear(random: RowHash.mix(start &+ UInt64(t) &* RowHash.nullHash)) }
    }

    private init(copying other: RandomCutForest) {
        (options, features, dimensions, layout) = (other.options, other.features, other.dimensions, other.layout)
        block = MemoryBlock(bytes: layout.bytes)
        block.base.copyMemory(from: other.block.base, byteCount: layout.bytes)
    }

    func copy() -> RandomCutForest { RandomCutForest(copying: self) }

    private var header: UnsafeMutablePointer<Header> { block.base.assumingMemoryBound(to: Header.self) }
    private var means: UnsafeMutablePointer<Double> { (block.base + MemoryLayout<Header>.stride).assumingMemoryBound(to: Double.self) }
    private var variances: UnsafeMutablePointer<Double> { means + features }
    private var weights: UnsafeMutablePointer<Double> { means + 2 * features }
    private var shingle: UnsafeMutablePointer<Double> { means + 3 * features }

    /// Points in each tree.
    var count: Int { Int(header.pointee.count) }

    /// Values beyond this count as this, so that no sum of differences is infinite.
    private static let largest = 1e100

    // MARK: Scores

    /// Rows that go through one tree before the next, so that it stays in the cache.
    static let blockRows = 128

    /// Working memory of ``add(_:count:scores:parts:_:)``, to be kept from call to call.
    final class Work {
        fileprivate let points: UnsafeMutablePointer<Double>, weights: UnsafeMutablePointer<Double>, growth: UnsafeMutablePointer<Double>

        init(dimensions: Int) {
            points = .allocate(capacity: blockRows * dimensions)
            weights = .allocate(capacity: blockRows * dimensions)
            growth = .allocate(capacity: blockRows)
        }

        deinit {
            points.deallocate()
            weights.deallocate()
            growth.deallocate()
        }
    }

    /// Learns rows one after the other, and scores each by what was learned before it.
    ///
    /// - Parameters:
    ///   - rows: the values of the features of at most ``blockRows`` rows, none of them infinite or NaN.
    ///   - scores: NaN for rows before which too little was learned.
    ///   - grades: the scores as shares of the sample.
    ///   - parts: the features' parts in each score, which is their sum.
    func add(_ rows: UnsafePointer<Double>, count n: Int, scores: UnsafeMutablePointer<Double>, grades: UnsafeMutablePointer<Double>,
             parts: UnsafeMutablePointer<Double>, _ work: Work) {
        // Rows before the first whole shingle are no points.
        var skipped = 0, given = 0
        for i in 0..<n {
            scores[i] = .nan
            guard take(rows + i * features, work.points + given * dimensions) else {
                skipped += 1
                continue
            }
            for d in 0..<dimensions { work.weights[given * dimensions + d] = options.normalizes ? weights[d % features] : 1 }
            given += 1
        }
        guard given > 0 else { return }
        let held = Int(header.pointee.count), first = header.pointee.seen
        // A tree holds one point more than its sample while the one that leaves is still in it.
        let needed = min(held + given, options.samples) + 1
        if needed > layout.capacity { grow(to: needed) }
        let decay = 1 / Double(options.timeDecay)
        if Double(first - header.pointee.base) * decay > 50 { rebase(to: first, decay) }
        let base = header.pointee.base
        for i in 0..<given { work.growth[i] = exp(Double(first + Int64(i) - base) * decay) * (1 + 1e-9) }
        let (scores, grades, parts) = (scores + skipped, grades + skipped, parts + skipped * features)
        for i in 0..<given { scores[i] = 0 }
        for i in 0..<given * features { parts[i] = 0 }
        for t in 0..<options.trees {
            let tree = self.tree(t)
            var random = Random(state: tree.header.pointee.random)
            for i in 0..<given {
                let grows = held + i < options.samples, u = random.open()
                // -log u >= 1 - u: most points are left out without taking a logarithm.
                var key = 0.0, isTaken = grows
                if grows || 1 - u < tree.header.pointee.limit * work.growth[i] {
                    key = log(-log(u)) - Double(first + Int64(i)) * decay
                    isTaken = grows || key < tree.keys[0]
                }
                let point = work.points + i * dimensions
                let place = tree.place(point, work.weights + i * dimensions, &random)
                scores[i] += place.score
                if place.dimension >= 0 { parts[i * features + place.dimension % features] += place.score }
                guard isTaken else { continue }
                let leaf = tree.insert(point, place)
                if grows {
                    tree.push(key, leaf)
                } else {
                    tree.remove(sampleOf: tree.owners[0])
                    tree.replaceTop(key, leaf)
                }
                tree.header.pointee.limit = exp(tree.keys[0] + Double(base) * decay)
            }
            tree.header.pointee.random = random.state
        }
        let share = 1 / Double(options.trees)
        for i in 0..<given {
            guard first + Int64(i) >= Int64(options.outputAfter) else {
                scores[i] = .nan
                continue
            }
            scores[i] *= share
            grades[i] = scores[i] / Double(max(min(held + i, options.samples), 1))
            for f in 0..<features { parts[i * features + f] *= share }
        }
        header.pointee.seen += Int64(given)
        header.pointee.count = Int64(min(held + given, options.samples))
    }

    /// Puts a row into the shingle, and the point that ends with it into `point`. False while there are too few rows for one.
    private func take(_ row: UnsafePointer<Double>, _ point: UnsafeMutablePointer<Double>) -> Bool {
        let head = header, size = options.shingle
        let at = Int(head.pointee.next)
        for f in 0..<features { shingle[at * features + f] = min(max(row[f], -Self.largest), Self.largest) }
        head.pointee.next = Int32(truncatingIfNeeded: (at + 1) % size)
        if Int(head.pointee.held) < size { head.pointee.held += 1 }
        if options.normalizes { learnScale(shingle + at * features) }
        guard Int(head.pointee.held) == size else { return false }
        // The oldest row first.
        for s in 0..<size {
            let from = shingle + (at + 1 + s) % size * features
            for f in 0..<features { point[s * features + f] = from[f] }
        }
        return true
    }

    /// Mean and variance over about as many rows as the past counts, the row included, so that no deviation is without bounds.
    private func learnScale(_ row: UnsafePointer<Double>) {
        header.pointee.scaled += 1
        let part = 1 / Double(min(header.pointee.scaled, Int64(options.timeDecay)))
        for f in 0..<features {
            let difference = row[f] - means[f]
            means[f] += part * difference
            variances[f] = (1 - part) * (variances[f] + part * difference * difference)
            weights[f] = variances[f] > 0 ? 1 / variances[f].squareRoot() : 1
        }
    }

    private func rebase(to number: Int64, _ decay: Double) {
        header.pointee.base = number
        for t in 0..<options.trees where header.pointee.count > 0 { tree(t).header.pointee.limit = exp(tree(t).keys[0] + Double(number) * decay) }
    }

    private func grow(to needed: Int) {
        let larger = Layout(trees: layout.trees, capacity: min(max(2 * layout.capacity, needed), options.samples + 1), features: features, shingle: options.shingle)
        let made = MemoryBlock(bytes: larger.bytes)
        made.base.initializeMemory(as: UInt8.self, repeating: 0, count: larger.bytes)
        made.base.copyMemory(from: block.base, byteCount: layout.start)
        for t in 0..<layout.trees { RandomCutTree(made.base + larger.tree(t), larger).copy(tree(t), capacity: layout.capacity) }
        (block, layout) = (made, larger)
    }

    // MARK: State

    private struct Mark {
        var version: Int32 = 1
        var trees: Int32, samples: Int32, features: Int32, shingle: Int32, capacity: Int32
    }

    /// All of it as bytes, to be read by a machine of the same byte order.
    func append(to builder: ColumnBuilder) {
        var mark = Mark(trees: Int32(options.trees), samples: Int32(options.samples), features: Int32(features), shingle: Int32(options.shingle),
                        capacity: Int32(layout.capacity))
        let size = MemoryLayout<Mark>.stride
        let bytes = UnsafeMutableRawPointer.allocate(byteCount: size + layout.bytes, alignment: 8)
        defer { bytes.deallocate() }
        withUnsafeBytes(of: &mark) { bytes.copyMemory(from: $0.baseAddress!, byteCount: size) }
        (bytes + size).copyMemory(from: block.base, byteCount: layout.bytes)
        builder.append(bytes: UnsafeRawBufferPointer(start: bytes, count: size + layout.bytes))
    }

    /// - Throws: `.conflict` when the state is that of a forest of other sizes.
    init(_ bytes: UnsafeRawBufferPointer, _ options: RandomCutForestOptions, features: Int, operator name: String) throws {
        let size = MemoryLayout<Mark>.stride
        guard bytes.count >= size else { throw StreamError(.corrupt, "the state of \(name) has a forest of \(bytes.count) bytes") }
        let mark = bytes.loadUnaligned(as: Mark.self)
        guard mark.version == 1, Int(mark.trees) == options.trees, Int(mark.samples) == options.samples, Int(mark.features) == features, Int(mark.shingle) == options.shingle
        else {
            throw StreamError(
                .conflict, "the state of \(name) has forests of \(mark.trees) trees with \(mark.samples) samples over \(mark.features) columns and shingles of \(mark.shingle), "
                    + "but the query now asks for \(options.trees), \(options.samples), \(features) and \(options.shingle)",
                fix: "resume with the sizes that made the snapshot, or start the changed query without it")
        }
        let layout = Layout(trees: options.trees, capacity: Int(mark.capacity), features: features, shingle: options.shingle)
        guard bytes.count == size + layout.bytes else { throw StreamError(.corrupt, "the state of \(name) has a forest of \(bytes.count) bytes in place of \(size + layout.bytes)") }
        self.options = options
        self.features = features
        (dimensions, self.layout) = (layout.dimensions, layout)
        block = MemoryBlock(bytes: layout.bytes)
        block.base.copyMemory(from: bytes.baseAddress! + size, byteCount: layout.bytes)
    }

    /// Bytes of a forest whose trees are full.
    static func bytes(_ options: RandomCutForestOptions, features: Int) -> Int {
        Layout(trees: options.trees, capacity: options.samples + 1, features: features, shingle: options.shingle).bytes
    }

    /// SplitMix64.
    struct Random {
        var state: UInt64

        @inline(__always)
        private mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }

        /// 0 <= u < 1
        @inline(__always) mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }
        /// 0 < u < 1
        @inline(__always) mutating func open() -> Double { (Double(next() >> 11) + 0.5) * 0x1p-53 }
    }
}
