import StreamCore
import Testing
@testable import Notebook

struct ChartTerminalTests {
    @Test func barsOfBlocks() throws {
        let text = try ChartTerminal.text(Samples.byStatus, Samples.charts[0].spec, width: 40, colors: false)
        #expect(text == """
            Average temperature by status
            avg_current_temperature by status
            OK      │███████████▋ 74.93
            WARNING │█████████████████▌ 112.487
            ERROR   │███████████████████████ 148.06

            """)
    }

    @Test(arguments: [24, 40, 80, 132], [false, true])
    func noLineIsTooLong(_ width: Int, _ colors: Bool) throws {
        for (name, table, spec) in Samples.charts {
            for kind in ChartSpec.Kind.allCases where kind != .table {
                var spec = spec
                spec.kind = kind
                if kind == .pie { spec.group = nil }
                guard let text = try? ChartTerminal.text(table, spec, width: width, height: 16, colors: colors) else {
                    #expect(kind == .pie, "\(name) \(kind)")
                    continue
                }
                #expect(text.contains("\u{1B}") == (colors && (name != "empty" || spec.title != nil)), "\(name) \(kind)")
                for line in text.split(separator: "\n") {
                    let plain = PageText.withoutEscapes(String(line))
                    #expect(ChartText.cells(plain) <= width, "\(name) \(kind) at \(width): \(plain)")
                }
            }
        }
    }

    @Test func lengthsAreProportional() throws {
        let table = Samples.table([("k", "STRING"), ("v", "INT")], [1, 2, 4, 8, -4].map { [.string("k\($0)"), .int(Int64($0))] })
        let lines = try ChartTerminal.text(table, ChartSpec(.bar), width: 60, colors: false).split(separator: "\n").dropFirst()
        let lengths = lines.map { $0.count { $0 == "█" } }
        #expect(abs(lengths[3] - 8 * lengths[0]) <= 4 && abs(lengths[3] - 2 * lengths[2]) <= 1 && lengths[2] == lengths[4], "\(lengths)")
        let axis = lines.map { $0.distance(from: $0.startIndex, to: $0.firstIndex(of: "│") ?? $0.startIndex) }
        #expect(Set(axis).count == 1, "bars to both sides of one axis: \(axis)")
    }

    @Test func sharesOfAPie() throws {
        let text = try ChartTerminal.text(Samples.byStatus, ChartSpec(.pie, y: ["num"]), width: 60, colors: false)
        #expect(text.contains("412  69 %") && text.contains("57  9.5 %") && text.contains("131  22 %"))
    }

    @Test func manyAreCounted() throws {
        let many = Samples.table([("k", "STRING"), ("v", "INT")], (0..<100).map { [.string("key \($0)"), .int(Int64($0))] })
        let text = try ChartTerminal.text(many, ChartSpec(.bar), width: 80, height: 12, colors: false)
        #expect(text.hasSuffix("89 more values of k not drawn: key 11, key 12, key 13, key 14, key 15, ….\n"), "\(text)")
        #expect(try ChartTerminal.text(Samples.table([("a", "STRING"), ("b", "INT")], []), ChartSpec(.bar), colors: false) == "No rows to draw by a\n")
    }

    @Test func aLineRises() throws {
        let table = Samples.table([("x", "INT"), ("y", "INT")], (0...20).map { [.int(Int64($0)), .int(Int64($0))] })
        let rows = try ChartTerminal.text(table, ChartSpec(.line, x: "x", y: ["y"]), width: 60, height: 14, colors: false).split(separator: "\n").filter { $0.contains("│") || $0.contains("┤") }
        let firsts = rows.compactMap { row in row.firstIndex { ("\u{2801}"..."\u{28FF}").contains(String($0)) }.map { row.distance(from: row.startIndex, to: $0) } }
        #expect(firsts.count >= 9 && firsts == firsts.sorted(by: >), "\(firsts)")
    }

    @Test func controlCharactersDoNotReachTheTerminal() throws {
        let table = Samples.table([("k\u{1B}[2J", "STRING"), ("v", "INT")], [[.string("a\u{1B}]0;x\u{7}b\nc\u{202E}"), .int(1)]])
        for kind in [ChartSpec.Kind.bar, .line, .pie] {
            let text = try ChartTerminal.text(table, ChartSpec(kind, title: "\u{1B}[31mred"), colors: false)
            #expect(!text.unicodeScalars.contains { $0 != "\n" && ($0.value < 0x20 || (0x7F...0x9F).contains($0.value) || $0.value == 0x202E) }, "\(text.debugDescription)")
        }
    }
}
