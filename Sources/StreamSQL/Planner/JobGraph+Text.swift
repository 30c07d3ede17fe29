import StreamCore
import StreamRuntime

extension JobGraph {
    /// The graph for Graphviz. The same graph gives the same text.
    public func dot() -> String {
        func quoted(_ text: String) -> String {
            "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n") + "\""
        }
        var lines = ["digraph \(quoted(name)) {", "  rankdir=LR;", "  node [shape=box, fontname=\"Helvetica\"];"]
        for vertex in vertices {
            let shape =
                switch vertex.kind {
                case .source, .sink: ", style=rounded"
                case .transform: ""
                }
            lines.append("  v\(vertex.id) [label=\(quoted(vertex.name + "\nparallelism \(vertex.parallelism)"))\(shape)];")
        }
        for edge in edges {
            let label = label(edge)
            lines.append("  v\(edge.from) -> v\(edge.to)" + (label.isEmpty ? ";" : " [label=\(quoted(label))];"))
        }
        return (lines + ["}"]).joined(separator: "\n")
    }

    /// One line per vertex, in topological order, with where its input comes from.
    public var text: String {
        vertices.map { vertex in
            let inputs = edges.filter { $0.to == vertex.id }.map { edge in
                let label = label(edge)
                return "\(edge.from)" + (label.isEmpty ? "" : " \(label)")
            }
            return "\(vertex.id): \(vertex.name) [parallelism \(vertex.parallelism)]"
                + (inputs.isEmpty ? "" : " <- " + inputs.joined(separator: "; "))
        }.joined(separator: "\n")
    }

    private func label(_ edge: JobEdge) -> String {
        let fields = vertices[edge.from].outputSchema
        let how =
            switch edge.partitioning {
            case .forward: ""
            case .hash(let keys): "hash(\(keys.map { fields[$0].name }.joined(separator: ", ")))"
            case .rebalance: "rebalance"
            case .single: "single"
            }
        return edge.input == 0 ? how : (how.isEmpty ? "right" : "right, " + how)
    }
}
