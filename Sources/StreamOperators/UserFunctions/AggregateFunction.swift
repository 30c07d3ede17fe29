import Foundation
import StreamCore
import StreamExpressions

/// An aggregate function written in Swift. Its state is a value that is encoded into checkpoints.
///
///     AggregateFunction("WEIGHTED_AVG", state: [0, 0],
///         accumulate: { (s: inout [Int], value: Int, weight: Int) in s[0] += value * weight; s[1] += weight },
///         retract: { s, value, weight in s[0] -= value * weight; s[1] -= weight },
///         merge: { $0[0] += $1[0]; $0[1] += $1[1] },
///         result: { s in s[1] == 0 ? nil : s[0] / s[1] })
public struct AggregateFunction: Sendable {
    public let name: String
    public let signature: FunctionSignature
    public let resultType: DataType
    /// Whether rows can be taken away again, as an input that changes asks for.
    public let canRetract: Bool
    let make: @Sendable (_ arguments: [Int]) -> UserAccumulator

    /// A row with a null argument is left out, unless the parameter is Optional. The closures may run on several threads, each on states
    /// of its own.
    ///
    /// - Parameters:
    ///   - state: what a group without rows has.
    ///   - retract: takes a row away that was accumulated before.
    ///   - merge: takes a second state in, for windows made of slices and for partial results.
    ///   - result: nil for null.
    public init<State: Codable & Sendable, each Argument: SQLValue, Result: SQLValue>(
        _ name: String, state: State,
        accumulate: @escaping @Sendable (inout State, repeat each Argument) -> Void,
        retract: @escaping @Sendable (inout State, repeat each Argument) -> Void,
        merge: @escaping @Sendable (inout State, State) -> Void,
        result: @escaping @Sendable (State) -> Result?
    ) {
        let takeBack: StateUpdate<State> = { state, columns, row in
            var next = 0
            func argument<T: SQLValue>(_: T.Type) -> T {
                defer { next += 1 }
                return T.read(columns[next], row)
            }
            retract(&state, repeat argument((each Argument).self))
        }
        self.init(name, state, FunctionSignature(of: repeat (each Argument).self), Self.update(accumulate), takeBack, merge, result)
    }

    /// As above, for inputs that only add rows: others are refused.
    public init<State: Codable & Sendable, each Argument: SQLValue, Result: SQLValue>(
        _ name: String, state: State,
        accumulate: @escaping @Sendable (inout State, repeat each Argument) -> Void,
        merge: @escaping @Sendable (inout State, State) -> Void,
        result: @escaping @Sendable (State) -> Result?
    ) {
        self.init(name, state, FunctionSignature(of: repeat (each Argument).self), Self.update(accumulate), nil, merge, result)
    }

    typealias StateUpdate<State> = @Sendable (inout State, [Column], Int) -> Void

    private static func update<State, each Argument: SQLValue>(
        _ accumulate: @escaping @Sendable (inout State, repeat each Argument) -> Void
    ) -> StateUpdate<State> {
        { state, columns, row in
            var next = 0
            func argument<T: SQLValue>(_: T.Type) -> T {
                defer { next += 1 }
                return T.read(columns[next], row)
            }
            accumulate(&state, repeat argument((each Argument).self))
        }
    }

    private init<State: Codable & Sendable, Result: SQLValue>(
        _ name: String, _ state: State, _ signature: FunctionSignature, _ accumulate: @escaping StateUpdate<State>, _ retract: StateUpdate<State>?,
        _ merge: @escaping @Sendable (inout State, State) -> Void, _ result: @escaping @Sendable (State) -> Result?
    ) {
        self.name = name.uppercased()
        self.signature = signature
        resultType = Result.sqlType
        canRetract = retract != nil
        make = { arguments in
            TypedUserAccumulator<State>(
                arguments: arguments, resultType: Result.sqlType, initial: state, accumulate: accumulate, retract: retract ?? accumulate, merge: merge,
                write: { state, builder in Result?.write(result(state), to: builder) })
        }
    }
}

extension AggregateFunction: Hashable {
    /// A session has one function of a name.
    public static func == (a: AggregateFunction, b: AggregateFunction) -> Bool { a.name == b.name && a.signature.types == b.signature.types }
    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// What arguments of the given types are cast to.
    func argumentTypes(_ given: [DataType]) throws -> [DataType] {
        try signature.bind(name, given.enumerated().map { .column($0, $1) }).map(\.type)
    }
}

/// The aggregate functions of a session, while a statement of it is bound: names are looked up far from the session.
public enum UserAggregates {
    @TaskLocal public static var current: [String: AggregateFunction] = [:]
}

/// State of an aggregate function written in Swift.
class UserAccumulator: Accumulator {
    init() { super.init(stateTypes: [.bytes]) }
    func result(_ groups: UnsafePointer<Int32>, count: Int) -> Column { preconditionFailure("abstract") }
}

/// One encoded value per group in checkpoints.
private final class TypedUserAccumulator<State: Codable & Sendable>: UserAccumulator {
    private let arguments: [Int]
    private let resultType: DataType
    private let initial: State
    private let accumulate: AggregateFunction.StateUpdate<State>
    private let retract: AggregateFunction.StateUpdate<State>
    private let mergeStates: @Sendable (inout State, State) -> Void
    private let write: @Sendable (State, ColumnBuilder) -> Void
    private var states: [State] = []

    init(arguments: [Int], resultType: DataType, initial: State, accumulate: @escaping AggregateFunction.StateUpdate<State>,
         retract: @escaping AggregateFunction.StateUpdate<State>, merge: @escaping @Sendable (inout State, State) -> Void, write: @escaping @Sendable (State, ColumnBuilder) -> Void) {
        self.arguments = arguments
        self.resultType = resultType
        self.initial = initial
        self.accumulate = accumulate
        self.retract = retract
        mergeStates = merge
        self.write = write
    }

    override func reserve(_ n: Int) {
        if states.count < n { states.append(contentsOf: repeatElement(initial, count: max(n, states.count * 2) - states.count)) }
    }

    override func update(_ input: UpdateInput) {
        let columns = arguments.map { input.columns[$0] }
        let apply = input.retract ? retract : accumulate
        forEachRow(input.rows, input.count) { i, row in apply(&states[Int(input.groups[i])], columns, row) }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: TypedUserAccumulator<State>.self)
        for i in 0..<count { mergeStates(&states[i], other.states[from + i]) }
    }

    override func clear(_ n: Int) { for i in 0..<min(n, states.count) { states[i] = initial } }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) { for i in 0..<count { states[Int(groups[i])] = initial } }

    override func remap(_ kept: [Int32]) {
        let n = states.count
        states = kept.map { states[Int($0)] } + Array(repeating: initial, count: max(0, n - kept.count))
    }

    override func assign(_ other: Accumulator) { states = unsafeDowncast(other, to: TypedUserAccumulator<State>.self).states }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        let builder = ColumnBuilder(type: .bytes, capacity: count)
        for i in 0..<count { StateCoding.encode(states[Int(groups[i])]).withUnsafeBytes { builder.append(bytes: $0) } }
        return [builder.finish()]
    }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let column = state[0].flat()
        forEachRow(rows, count) { i, row in
            let value = StateCoding.decode(State.self, column.bytes(at: row))
            mergeStates(&states[Int(groups[i])], value)
        }
    }

    override func result(_ groups: UnsafePointer<Int32>, count: Int) -> Column {
        let builder = ColumnBuilder(type: resultType, capacity: count)
        for i in 0..<count { write(states[Int(groups[i])], builder) }
        return builder.finish()
    }
}

/// A state as bytes: JSON, in which infinities and NaN are words.
private enum StateCoding {
    static func encode<State: Encodable>(_ state: State) -> Data {
        let encoder = JSONEncoder()
        encoder.nonConformingFloatEncodingStrategy = .convertToString(positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        guard let data = try? encoder.encode([state]) else { preconditionFailure("the state \(state) of an aggregate function cannot be encoded") }
        return data
    }

    static func decode<State: Decodable>(_ type: State.Type, _ bytes: UnsafeRawBufferPointer) -> State {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        guard let state = try? decoder.decode([State].self, from: Data(bytes)).first else {
            preconditionFailure("what an aggregate function encoded as its state is no state of it: \(String(decoding: bytes, as: UTF8.self))")
        }
        return state
    }
}
