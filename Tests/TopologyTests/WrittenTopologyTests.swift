import Foundation
import ReferenceSQL
import StreamSQL
import Testing

@testable import Topology

/// What topologies come down to, written as SQL from its syntax trees.
@Suite("Topologies written again") struct WrittenTopologyTests {
    static let names = ((try? FileManager.default.contentsOfDirectory(atPath: ShippedTopologies.folder.path)) ?? []).filter { $0.hasSuffix(".yaml") }.sorted()

    @Test("mean the same", arguments: names)
    func same(name: String) throws {
        let topology = try Topology.load(path: ShippedTopologies.folder.appending(path: name).path, variables: [:])
        var written = WrittenAgain(statements: topology.statements)
        for statement in topology.statements { written.check(statement) }
        #expect(written.differences.isEmpty, "\(written.differences.joined())")
        #expect(written.statements == topology.statements.count && written.statements > 0)
        #expect(written.refusals.isEmpty, "\(written.refusals)")
        #expect(written.plans > 0 || !topology.replications.isEmpty)
    }

    @Test("are there") func present() { #expect(Self.names.count >= 11) }
}
