import RocksDBState
import StreamCore
import StreamTesting

/// The jobs that simulations run.
public enum SimulatedJob: String, CaseIterable, Sendable {
    case sensors, orders, changes, join

    public func simulation(seed: UInt64) throws -> Simulation {
        try Simulation(name: rawValue, seed: seed) { disk in
            switch self {
            case .sensors: try SensorsSimulation(seed: seed, disk: disk)
            case .orders: try OrdersSimulation(seed: seed, disk: disk)
            case .changes: try ChangesSimulation(seed: seed, disk: disk)
            case .join: try JoinSimulation(seed: seed, disk: disk)
            }
        }
    }

    /// Runs one seed to its end.
    /// - Throws: ``SimulationFailure``.
    @discardableResult
    public func run(seed: UInt64, planted: PlantedBug? = nil, inRocksDB: Bool = false, trace: ((String) -> Void)? = nil) throws -> SimulationReport {
        let simulation = try simulation(seed: seed)
        simulation.planted = planted
        simulation.trace = trace
        if inRocksDB { simulation.makeBackend = { try RocksDBBackend(host: $0) } }
        return try simulation.run()
    }
}
