/// A pattern as states with edges that take a row and edges that do not.
///
/// As in Flink, a greedy variable leaves no choice: where it can take a row, what stands behind it cannot.
struct MatchAutomaton {
    struct Edge {
        var target: Int
        /// The variable that takes the row; -1 = no row is taken.
        var variable: Int
        /// Variables that must not be able to take the row.
        var nots: [Int] = []
    }
    struct State { var takes: [Edge] = [], proceeds: [Edge] = [] }

    private(set) var states: [State] = [State()]
    private(set) var start = 0
    static let final = 0

    init(_ pattern: [MatchSpec.Element]) {
        var sink = Self.final
        for element in pattern.reversed() { sink = add(element, before: sink) }
        start = sink
    }

    private mutating func made(_ state: State) -> Int {
        states.append(state)
        return states.count - 1
    }

    private mutating func single(_ variable: Int, _ target: Int, proceed: Int? = nil) -> Int {
        made(State(takes: [Edge(target: target, variable: variable)], proceeds: proceed.map { [Edge(target: $0, variable: -1)] } ?? []))
    }

    private mutating func add(_ element: MatchSpec.Element, before sink: Int) -> Int {
        let v = element.variable
        if element.isGreedy, element.maximum == nil || (element.maximum! > 1 && element.minimum != element.maximum!) {
            for i in states[sink].takes.indices { states[sink].takes[i].nots.append(v) }
            for i in states[sink].proceeds.indices { states[sink].proceeds[i].nots.append(v) }
        }
        let isOptional = element.minimum == 0, least = max(element.minimum, 1)
        var last = sink
        if let most = element.maximum {
            for _ in least..<max(most, least) { last = single(v, last, proceed: sink) }
        } else {
            last = made(State(proceeds: [Edge(target: sink, variable: -1)]))
            states[last].takes = [Edge(target: last, variable: v)]
        }
        for _ in 0..<least - 1 { last = single(v, last) }
        return single(v, last, proceed: isOptional ? sink : nil)
    }
}
