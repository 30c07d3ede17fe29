/// One tree of a ``RandomCutForest``: a view of its part of the block.
///
/// Branches are numbered from 0, leaf `i` is called `~i`. A point equal to one in the tree shares its leaf.
struct RandomCutTree {
    struct Header {
        /// A branch or leaf; ``none`` for an empty tree.
        var root: Int32
        /// Heads of the lists of free places, -1 = none, and how many places were ever in use.
        var freeBranch: Int32, freeLeaf: Int32, branches: Int32, leaves: Int32
        /// Samples in the heap.
        var count: Int32
        /// e to the greatest key of the sample, counted from the forest's base.
        var limit: Double
        /// The state of the tree's random numbers: each has its own, so that it does not matter how rows come in batches.
        var random: UInt64
    }

    struct Branch {
        var left: Int32, right: Int32, parent: Int32
        /// Points below.
        var mass: Int32
        /// Points whose `dimension` is at most this are to the left.
        var cut: Double
        var dimension: Int32
    }

    struct Leaf {
        var parent: Int32, mass: Int32
    }

    /// Where a point goes, and its score there.
    struct Place {
        var score: Double
        /// The dimension of the cut that made the score; -1 = the tree is too small for one.
        var dimension: Int
        /// What it is separated from, or the leaf that it is equal to.
        var node: Int32
        /// The cut; nil = it is equal to that leaf, or the tree is empty.
        var cut: (dimension: Int, value: Double, goesLeft: Bool)?
    }

    static let none = Int32.min

    let header: UnsafeMutablePointer<Header>
    let branches: UnsafeMutablePointer<Branch>
    /// Of branch b: the least values from `2 * b * dimensions`, then the greatest.
    let boxes: UnsafeMutablePointer<Double>
    let leaves: UnsafeMutablePointer<Leaf>
    let points: UnsafeMutablePointer<Double>
    /// A heap of the sample, the greatest key first, with the leaf of each.
    let keys: UnsafeMutablePointer<Double>
    let owners: UnsafeMutablePointer<Int32>
    let dimensions: Int

    @inline(__always)
    init(_ base: UnsafeMutableRawPointer, _ layout: RandomCutForest.Layout) {
        header = base.assumingMemoryBound(to: Header.self)
        branches = (base + layout.nodes).assumingMemoryBound(to: Branch.self)
        boxes = (base + layout.boxes).assumingMemoryBound(to: Double.self)
        leaves = (base + layout.leaves).assumingMemoryBound(to: Leaf.self)
        points = (base + layout.points).assumingMemoryBound(to: Double.self)
        keys = (base + layout.keys).assumingMemoryBound(to: Double.self)
        owners = (base + layout.owners).assumingMemoryBound(to: Int32.self)
        dimensions = layout.dimensions
    }

    func clear(random: UInt64) {
        header.pointee = Header(root: Self.none, freeBranch: -1, freeLeaf: -1, branches: 0, leaves: 0, count: 0, limit: 0, random: random)
    }

    func copy(_ other: RandomCutTree, capacity: Int) {
        header.pointee = other.header.pointee
        branches.update(from: other.branches, count: capacity)
        boxes.update(from: other.boxes, count: capacity * 2 * dimensions)
        leaves.update(from: other.leaves, count: capacity)
        points.update(from: other.points, count: capacity * dimensions)
        keys.update(from: other.keys, count: capacity)
        owners.update(from: other.owners, count: capacity)
    }

    @inline(__always) func mass(_ node: Int32) -> Int32 { node >= 0 ? branches[Int(node)].mass : leaves[Int(~node)].mass }
    @inline(__always) private func low(_ node: Int32) -> UnsafeMutablePointer<Double> {
        node >= 0 ? boxes + Int(node) * 2 * dimensions : points + Int(~node) * dimensions
    }
    @inline(__always) private func high(_ node: Int32) -> UnsafeMutablePointer<Double> {
        node >= 0 ? boxes + (Int(node) * 2 + 1) * dimensions : points + Int(~node) * dimensions
    }

    // MARK: Scores

    /// Walks down to where a point would be inserted: at each node a cut is drawn over the box of the node and the point, and the
    /// point goes where the first of those cuts parts it from the node.
    func place(_ x: UnsafePointer<Double>, _ weight: UnsafePointer<Double>, _ random: inout RandomCutForest.Random) -> Place {
        var place = Place(score: 0, dimension: -1, node: header.pointee.root, cut: nil)
        guard place.node != Self.none else { return place }
        while true {
            let node = place.node, low = low(node), high = high(node)
            var span = 0.0, beyond = 0.0
            for d in 0..<dimensions {
                let out = max(low[d] - x[d], 0) + max(x[d] - high[d], 0)
                span += weight[d] * (high[d] - low[d])
                beyond += weight[d] * out
            }
            if beyond > 0 {
                let drawn = random.unit() * (span + beyond)
                if drawn < beyond || span == 0 {
                    place.cut = cut(x, weight, low, high, min(drawn, beyond))
                    let displaced = Double(mass(node))
                    if displaced > place.score { (place.score, place.dimension) = (displaced, place.cut!.dimension) }
                    return place
                }
            }
            // Inside of its box, a leaf is the point itself.
            guard node >= 0 else { return place }
            let branch = branches[Int(node)], goesLeft = x[Int(branch.dimension)] <= branch.cut
            let (next, other) = goesLeft ? (branch.left, branch.right) : (branch.right, branch.left)
            let displaced = Double(mass(other)) / Double(mass(next) + 1)
            if displaced > place.score { (place.score, place.dimension) = (displaced, Int(branch.dimension)) }
            place.node = next
        }
    }

    /// The cut at `drawn` of all the lengths by which a point is outside of a box.
    private func cut(_ x: UnsafePointer<Double>, _ weight: UnsafePointer<Double>, _ low: UnsafePointer<Double>, _ high: UnsafePointer<Double>, _ drawn: Double)
        -> (dimension: Int, value: Double, goesLeft: Bool)
    {
        var rest = drawn, chosen = -1, part = 0.0
        for d in 0..<dimensions {
            let out = weight[d] * (max(low[d] - x[d], 0) + max(x[d] - high[d], 0))
            guard out > 0 else { continue }
            (chosen, part) = (d, min(rest / out, 1))
            if rest < out { break }
            rest -= out
        }
        // Rounding must not put the cut onto the other side.
        if x[chosen] < low[chosen] {
            let value = x[chosen] + part * (low[chosen] - x[chosen])
            return (chosen, value < low[chosen] ? value : x[chosen], true)
        }
        let value = high[chosen] + part * (x[chosen] - high[chosen])
        return (chosen, value < x[chosen] ? value : high[chosen], false)
    }

    // MARK: Changes

    /// Inserts a point where ``place(_:_:_:)`` found that it goes. Returns the number of its leaf.
    func insert(_ x: UnsafePointer<Double>, _ place: Place) -> Int32 {
        guard place.node != Self.none else {
            let leaf = makeLeaf(x, parent: -1)
            header.pointee.root = ~leaf
            return leaf
        }
        guard let cut = place.cut else {
            let leaf = ~place.node
            leaves[Int(leaf)].mass += 1
            widen(from: leaves[Int(leaf)].parent, x)
            return leaf
        }
        let parent = place.node >= 0 ? branches[Int(place.node)].parent : leaves[Int(~place.node)].parent
        let leaf = makeLeaf(x, parent: 0), branch = takeBranch()
        leaves[Int(leaf)].parent = branch
        setParent(place.node, branch)
        branches[Int(branch)] = Branch(left: cut.goesLeft ? ~leaf : place.node, right: cut.goesLeft ? place.node : ~leaf, parent: parent, mass: mass(place.node) + 1,
                                       cut: cut.value, dimension: Int32(truncatingIfNeeded: cut.dimension))
        let (low, high, oldLow, oldHigh) = (low(branch), high(branch), low(place.node), high(place.node))
        for d in 0..<dimensions { (low[d], high[d]) = (min(oldLow[d], x[d]), max(oldHigh[d], x[d])) }
        replace(place.node, with: branch, in: parent)
        widen(from: parent, x)
        return leaf
    }

    /// Takes one point of a leaf out of the tree.
    func remove(sampleOf leaf: Int32) {
        let parent = leaves[Int(leaf)].parent
        guard leaves[Int(leaf)].mass == 1 else {
            leaves[Int(leaf)].mass -= 1
            var node = parent
            while node >= 0 {
                branches[Int(node)].mass -= 1
                node = branches[Int(node)].parent
            }
            return
        }
        (leaves[Int(leaf)].mass, leaves[Int(leaf)].parent) = (0, header.pointee.freeLeaf)
        header.pointee.freeLeaf = leaf
        guard parent >= 0 else {
            header.pointee.root = Self.none
            return
        }
        let gone = branches[Int(parent)], sibling = gone.left == ~leaf ? gone.right : gone.left
        replace(parent, with: sibling, in: gone.parent)
        setParent(sibling, gone.parent)
        branches[Int(parent)].parent = header.pointee.freeBranch
        header.pointee.freeBranch = parent
        // Boxes shrink as far up as the point lay on their border.
        let x = points + Int(leaf) * dimensions
        var node = gone.parent, shrinks = true
        while node >= 0 {
            branches[Int(node)].mass -= 1
            if shrinks { shrinks = shrink(node, without: x) }
            node = branches[Int(node)].parent
        }
    }

    /// Makes the box of a branch that of its children. False if the point was inside of it, and so inside of those above.
    private func shrink(_ node: Int32, without x: UnsafePointer<Double>) -> Bool {
        let (low, high, branch) = (low(node), high(node), branches[Int(node)])
        var touches = false
        for d in 0..<dimensions where x[d] <= low[d] || x[d] >= high[d] { touches = true }
        guard touches else { return false }
        let (leftLow, rightLow, leftHigh, rightHigh) = (self.low(branch.left), self.low(branch.right), self.high(branch.left), self.high(branch.right))
        for d in 0..<dimensions { (low[d], high[d]) = (min(leftLow[d], rightLow[d]), max(leftHigh[d], rightHigh[d])) }
        return true
    }

    private func widen(from start: Int32, _ x: UnsafePointer<Double>) {
        var node = start
        while node >= 0 {
            branches[Int(node)].mass += 1
            let (low, high) = (low(node), high(node))
            for d in 0..<dimensions {
                if x[d] < low[d] { low[d] = x[d] }
                if x[d] > high[d] { high[d] = x[d] }
            }
            node = branches[Int(node)].parent
        }
    }

    private func replace(_ old: Int32, with new: Int32, in parent: Int32) {
        if parent < 0 {
            header.pointee.root = new
        } else if branches[Int(parent)].left == old {
            branches[Int(parent)].left = new
        } else {
            branches[Int(parent)].right = new
        }
    }

    private func setParent(_ node: Int32, _ parent: Int32) {
        if node >= 0 { branches[Int(node)].parent = parent } else { leaves[Int(~node)].parent = parent }
    }

    private func makeLeaf(_ x: UnsafePointer<Double>, parent: Int32) -> Int32 {
        var leaf = header.pointee.freeLeaf
        if leaf >= 0 {
            header.pointee.freeLeaf = leaves[Int(leaf)].parent
        } else {
            leaf = header.pointee.leaves
            header.pointee.leaves += 1
        }
        leaves[Int(leaf)] = Leaf(parent: parent, mass: 1)
        (points + Int(leaf) * dimensions).update(from: x, count: dimensions)
        return leaf
    }

    private func takeBranch() -> Int32 {
        let branch = header.pointee.freeBranch
        if branch >= 0 {
            header.pointee.freeBranch = branches[Int(branch)].parent
            return branch
        }
        header.pointee.branches += 1
        return header.pointee.branches - 1
    }

    // MARK: The sample

    func push(_ key: Double, _ leaf: Int32) {
        var at = Int(header.pointee.count)
        header.pointee.count += 1
        while at > 0, keys[(at - 1) / 2] < key {
            (keys[at], owners[at]) = (keys[(at - 1) / 2], owners[(at - 1) / 2])
            at = (at - 1) / 2
        }
        (keys[at], owners[at]) = (key, leaf)
    }

    /// Puts a sample in place of the one with the greatest key.
    func replaceTop(_ key: Double, _ leaf: Int32) {
        let count = Int(header.pointee.count)
        var at = 0
        while true {
            var child = 2 * at + 1
            guard child < count else { break }
            if child + 1 < count, keys[child + 1] > keys[child] { child += 1 }
            guard keys[child] > key else { break }
            (keys[at], owners[at]) = (keys[child], owners[child])
            at = child
        }
        (keys[at], owners[at]) = (key, leaf)
    }
}
