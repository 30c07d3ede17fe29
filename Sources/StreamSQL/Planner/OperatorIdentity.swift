import StreamCore
import StreamRuntime

extension JobGraph {
    /// Gives every vertex the id by which checkpoints know its state: made of what it does and of what its inputs are, so that it
    /// is the same for as long as these mean the same, and does not depend on the parallelism.
    ///
    /// - Parameter transparent: vertices that exist at some parallelisms only, and hold no state at a barrier. What comes behind
    ///   them is known as if they were not there.
    mutating func identifyOperators(transparent: Set<Int>) {
        // Several for a transparent vertex of several inputs, as for a UNION ALL.
        var lineage: [Int: [String]] = [:]
        var seen: [String: Int] = [:]
        for i in vertices.indices {
            let vertex = vertices[i]
            let before = edges.filter { $0.to == vertex.id }
            let inputs = before.flatMap { edge in lineage[edge.from]!.map { "\(edge.input):" + $0 } }.sorted().joined(separator: ",")
            let own = Self.hash(vertex.name + "(" + inputs + ")")
            let isTransparent = transparent.contains(vertex.id)
            lineage[vertex.id] = isTransparent ? before.flatMap { lineage[$0.from]! } : [own]
            // Equal steps over equal inputs, such as a view computed twice, are told apart by their order.
            seen[own, default: 0] += 1
            vertices[i].operatorID = own + (seen[own]! > 1 ? "-\(seen[own]!)" : "")
        }
    }

    /// 16 hexadecimal digits.
    private static func hash(_ text: String) -> String {
        var text = text
        let hash = text.withUTF8 { RowHash.bytes(UnsafeRawPointer($0.baseAddress!), $0.count) }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
