import StreamCore
import StreamExpressions

/// Scores rows by the forest of their key, in order of arrival.
final class RandomCutForestOperator: KeyedStateOperator {
    private let spec: RandomCutForestSpec
    private let features: Evaluator
    private let table: GroupTable
    private var forests: [Freezable<RandomCutForest>] = []
    private var context = OperatorContext(name: "random cut forest")
    private let versions = VersionCounter()
    /// Version by unit of ``groupsPerUnit`` forests, 0 = changed since the last snapshot.
    private var unitVersions: [UInt64] = []
    private let ids = Scratch<Int32>(), orders = Scratch<Int32>(), hashes = Scratch<UInt64>(), numbers = Scratch<Double>()
    private let work: RandomCutForest.Work
    private var scores: UnsafeMutablePointer<Double> { numbers.base }
    private var grades: UnsafeMutablePointer<Double> { scores + RandomCutForest.blockRows }
    private var parts: UnsafeMutablePointer<Double> { grades + RandomCutForest.blockRows }
    private var block: UnsafeMutablePointer<Double> { parts + RandomCutForest.blockRows * spec.features.count }
    private static let groupsPerUnit = 16

    init(_ spec: RandomCutForestSpec, _ context: EvaluationContext) {
        self.spec = spec
        features = Evaluator(spec.features, context: context)
        work = RandomCutForest.Work(dimensions: spec.features.count * spec.forest.shingle)
        _ = numbers.reserve(RandomCutForest.blockRows * 2 * (1 + spec.features.count))
        table = GroupTable(types: spec.partition.map { spec.inputSchema[$0].type })
    }

    private var columns: StateColumns { StateColumns(spec.partition.map { spec.inputSchema[$0] }) + StateColumns([("forest", .bytes)]) }

    var keyedState: KeyedStateForm {
        var form = KeyedStateForm(keyCount: spec.partition.count, kinds: [.init("forests", columns)])
        form.memoryPerKey = RandomCutForest.bytes(spec.forest, features: spec.features.count)
        return form
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.partition.map { batch.columns[$0] } }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let batch = batch.compacted(), n = batch.count
        guard n > 0 else { return .done }
        let groups = groups(keyColumns(of: batch, input: 0), count: n)
        let inputs = try features.evaluate(batch).map { $0.flat() }, width = inputs.count
        let values = inputs.map { $0.pointer(as: Double.self) }
        let places = spec.explains ? 2 + width : 1
        let results = (0..<places).map { _ in Buffer(zeroed: n * 8) }
        let to = results.map { $0.pointer(as: Double.self) }
        let nulls = Bitmap.make(n, valid: false)
        withExtendedLifetime((inputs, results)) {
            let (order, count) = points(inputs, values, groups, n)
            var start = 0
            while start < count {
                let group = Int(groups[Int(order[start])])
                var end = start + 1
                while end < count, end - start < RandomCutForest.blockRows, Int(groups[Int(order[end])]) == group { end += 1 }
                let size = end - start
                for i in 0..<size { for f in 0..<width { block[i * width + f] = values[f][Int(order[start + i])] } }
                forests[group].thaw { forest, _ in forest.copy() }
                forests[group].state.add(block, count: size, scores: scores, grades: grades, parts: parts, work)
                for i in 0..<size where !scores[i].isNaN {
                    let row = Int(order[start + i])
                    Bitmap.set(nulls.base, row)
                    to[0][row] = scores[i]
                    guard places > 1 else { continue }
                    to[1][row] = grades[i]
                    for f in 0..<width { to[2 + f][row] = parts[i * width + f] }
                }
                start = end
            }
        }
        for i in 0..<n { unitVersions[Int(groups[i]) / Self.groupsPerUnit] = 0 }
        let made = results.map { Column(type: .double, count: n, validity: nulls, values: $0) }
        try output.emit(Batch(columns: batch.columns + made, physicalCount: n, rowKinds: batch.rowKinds))
        return .done
    }

    /// The rows whose features are all there, those of a group together, in order of arrival.
    private func points(_ inputs: [Column], _ values: [UnsafePointer<Double>], _ groups: UnsafePointer<Int32>, _ n: Int) -> (UnsafePointer<Int32>, Int) {
        let order = orders.reserve(n)
        var count = 0, isMixed = false
        for i in 0..<n {
            guard inputs.indices.allSatisfy({ inputs[$0].isValid(i) && values[$0][i].isFinite }) else { continue }
            order[count] = Int32(truncatingIfNeeded: i)
            if count > 0, groups[i] != groups[Int(order[count - 1])] { isMixed = true }
            count += 1
        }
        if isMixed {
            var all = UnsafeMutableBufferPointer(start: order, count: count)
            all.sort { (groups[Int($0)], $0) < (groups[Int($1)], $1) }
        }
        return (UnsafePointer(order), count)
    }

    /// The groups of rows; those that are new get forests, whose choices depend on the key and not on when it came.
    private func groups(_ keys: [Column], count n: Int) -> UnsafePointer<Int32> {
        let groups = ids.reserve(n), known = table.count
        table.lookup(keys, rows: nil, count: n, into: groups)
        guard table.count > known else { return UnsafePointer(groups) }
        let new = Selection.range(known..<table.count), hash = hashes.reserve(new.count)
        withExtendedLifetime(new) {
            let columns = table.keyColumns(new.rows, count: new.count)
            if columns.isEmpty { hash[0] = 0 } else { KeyGroups.hash(columns, count: new.count, into: hash) }
        }
        for i in 0..<new.count { forests.append(Freezable(RandomCutForest(spec.forest, features: spec.features.count, salt: hash[i]))) }
        while unitVersions.count * Self.groupsPerUnit < forests.count { unitVersions.append(0) }
        return UnsafePointer(groups)
    }

    // MARK: State

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let keys = FrozenGroups(table.keys, maxParallelism: context.maxParallelism), names = columns.names
        let units = unitVersions.indices.map { unit in
            if unitVersions[unit] == 0 { unitVersions[unit] = versions.next() }
            let range = unit * Self.groupsPerUnit..<min((unit + 1) * Self.groupsPerUnit, forests.count)
            var frozen: [Frozen<RandomCutForest>] = []
            for group in range { frozen.append(forests[group].freeze()) }
            return StateUnit(name: "forests/\(unit)", version: unitVersions[unit]) { [frozen] in
                let groups = Selection.range(range), builder = ColumnBuilder(type: .bytes)
                for forest in frozen { forest.read { $0.append(to: builder) } }
                let forests = builder.finish(), n = range.count
                return withExtendedLifetime(groups) {
                    let order = keys.positions(of: groups.rows, count: n)
                    let columns = (keys.keys.columns(groups.rows, count: n) + [forests]).map { column in
                        withExtendedLifetime(order.ids) { column.gather(order.ids.rows, count: n) }
                    }
                    return order.cut(columns, name: "forests", columnNames: names)
                }
            }
        }
        return OperatorSnapshot(units: units)
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            guard piece.name == "forests" else { throw piece.unknown(operator: context.name) }
            let all = try columns.columns(of: piece, operator: context.name), n = piece.batch.count
            guard n > 0, let stored = all.last else { return }
            let groups = groups(Array(all.dropLast()), count: n)
            for i in 0..<n {
                let forest = try RandomCutForest(stored.bytes(at: i), spec.forest, features: spec.features.count, operator: context.name)
                forests[Int(groups[i])] = Freezable(forest)
                unitVersions[Int(groups[i]) / Self.groupsPerUnit] = 0
            }
        }
    }
}
