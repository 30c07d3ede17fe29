/// Lists of row numbers by group, all in one block of memory: places of a list that outgrows its room are used again for others.
final class RowLists {
    private struct Head {
        var start: Int
        var count: Int32
        /// Room is 1 << sizeClass places; -1 = none.
        var sizeClass: Int32
    }

    private let heads = GroupArray<Head>(fill: Head(start: 0, count: 0, sizeClass: -1))
    private let pool = GroupArray<Int32>(fill: 0)
    private var end = 0
    private var free: [[Int]] = []

    func reserve(_ groups: Int) { heads.reserve(groups) }

    @inline(__always) func count(_ group: Int32) -> Int { Int(heads.base[Int(group)].count) }

    /// The list; valid until any list grows.
    @inline(__always) func rows(_ group: Int32) -> UnsafeMutablePointer<Int32> { pool.base + heads.base[Int(group)].start }

    func insert(_ row: Int32, at position: Int, of group: Int32) {
        let head = heads.base + Int(group)
        let n = Int(head.pointee.count)
        if head.pointee.sizeClass < 0 || n == 1 << Int(head.pointee.sizeClass) { grow(head) }
        let list = pool.base + head.pointee.start
        if position < n { (list + position + 1).update(from: list + position, count: n - position) }
        list[position] = row
        head.pointee.count += 1
    }

    func append(_ row: Int32, to group: Int32) { insert(row, at: count(group), of: group) }

    func remove(at position: Int, of group: Int32) {
        let head = heads.base + Int(group)
        let n = Int(head.pointee.count), list = pool.base + head.pointee.start
        if position < n - 1 { (list + position).update(from: list + position + 1, count: n - 1 - position) }
        head.pointee.count -= 1
        if n == 1 { release(head) }
    }

    /// Removes the first `n` rows.
    func removeFirst(_ n: Int, of group: Int32) {
        guard n > 0 else { return }
        let head = heads.base + Int(group)
        let left = Int(head.pointee.count) - n, list = pool.base + head.pointee.start
        list.update(from: list + n, count: left)
        head.pointee.count = Int32(left)
        if left == 0 { release(head) }
    }

    func removeAll(of group: Int32) {
        let head = heads.base + Int(group)
        head.pointee.count = 0
        release(head)
    }

    private func grow(_ head: UnsafeMutablePointer<Head>) {
        let (old, n) = (head.pointee, Int(head.pointee.count))
        let wanted = Int(old.sizeClass) + 1
        while free.count <= wanted { free.append([]) }
        var start = end
        if let reused = free[wanted].popLast() {
            start = reused
        } else {
            end += 1 << wanted
            pool.reserve(end)
        }
        if n > 0 { (pool.base + start).update(from: pool.base + old.start, count: n) }
        if old.sizeClass >= 0 { free[Int(old.sizeClass)].append(old.start) }
        head.pointee = Head(start: start, count: old.count, sizeClass: Int32(wanted))
    }

    private func release(_ head: UnsafeMutablePointer<Head>) {
        guard head.pointee.sizeClass >= 0 else { return }
        free[Int(head.pointee.sizeClass)].append(head.pointee.start)
        head.pointee = Head(start: 0, count: 0, sizeClass: -1)
    }

    /// Group kept[i] becomes group i, all others go; their lists must be empty.
    func remap(_ kept: [Int32]) { heads.remap(kept) }
}
