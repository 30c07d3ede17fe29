import Foundation
import StreamCore
import TestScripts
import Testing
@testable import Notebook

/// What Python's XML parser sees in charts.
struct ChartTests {
    static func directory() throws -> URL {
        let place = ProcessInfo.processInfo.environment["SWIFTWATER_CHART_SAMPLES"].map { URL(filePath: $0) }
            ?? FileManager.default.temporaryDirectory.appending(path: "swiftwater-charts-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        return place
    }

    static func remove(_ place: URL) {
        if ProcessInfo.processInfo.environment["SWIFTWATER_CHART_SAMPLES"] == nil { try? FileManager.default.removeItem(at: place) }
    }

    /// The pictures as the judge sees them, by name.
    static func judged(_ charts: [(name: String, table: ResultTable, spec: ChartSpec)], width: Double = 720, height: Double = 360, theme: ChartTheme = .auto) throws -> [String: [String: Any]] {
        let place = try directory()
        defer { remove(place) }
        var paths: [String] = []
        for chart in charts {
            let path = place.appending(path: chart.name + ".svg")
            try ChartSVG.text(chart.table, chart.spec, width: width, height: height, theme: theme).write(to: path, atomically: true, encoding: .utf8)
            paths.append(path.path)
        }
        let answer = try #require(try PythonScript.answer("notebook/svg.py", paths) as? [String: [String: Any]])
        return Dictionary(uniqueKeysWithValues: answer.map { (String($0.key.dropLast(4)), $0.value) })
    }

    static func marks(_ picture: [String: Any]?) -> [[String: String]] { picture?["marks"] as? [[String: String]] ?? [] }
    static func number(_ mark: [String: String], _ name: String) -> Double { Double(mark[name] ?? "") ?? .nan }

    @Test func picturesAreXML() throws {
        for (width, height) in [(720.0, 360.0), (340, 300)] {
            let pictures = try Self.judged(Samples.charts, width: width, height: height)
            #expect(pictures.count == Samples.charts.count)
            for (name, picture) in pictures {
                #expect(picture["width"] as? Double == width)
                for text in picture["texts"] as? [[String: String]] ?? [] {
                    guard text["transform"] == nil else { continue }
                    let size = ChartText.width(text["text"] ?? "") * 0.85, x = Self.number(text, "x")
                    let left = text["text-anchor"] == "end" ? x - size : text["text-anchor"] == "middle" ? x - size / 2 : x
                    #expect(left >= -2 && left + size <= width + 2, "\(name): \(text)")
                    #expect(Self.number(text, "y") <= picture["height"] as? Double ?? 0, "\(name): \(text)")
                }
                if name != "empty" { #expect(!Self.marks(picture).isEmpty, "\(name)") }
            }
        }
    }

    @Test func barsAreAsHighAsTheirValues() throws {
        let pictures = try Self.judged(Samples.charts)
        let bars = Self.marks(pictures["bar"])
        #expect(bars.map { $0["data-x"] } == ["OK", "WARNING", "ERROR"])
        #expect(bars.map { Self.number($0, "data-y") } == [74.93, 112.4871, 148.06])
        let unit = Self.number(bars[0], "height") / 74.93
        for bar in bars {
            #expect(abs(Self.number(bar, "height") - unit * Self.number(bar, "data-y")) < 0.05)
            #expect(abs(Self.number(bar, "y") + Self.number(bar, "height") - Self.number(bars[0], "y") - Self.number(bars[0], "height")) < 0.02, "all stand on the axis")
        }
        #expect(bars[1]["tooltip"] == "status: WARNING\navg_current_temperature: 112.4871")
        #expect((pictures["bar"]?["xTicks"] as? [String]) == ["OK", "WARNING", "ERROR"])
        #expect((pictures["bar"]?["desc"] as? String)?.contains("OK: 74.93; WARNING: 112.487; ERROR: 148.06") == true)
        // The ticks cover the values, and a bar ends where its value is on the axis.
        let ticks = try #require(pictures["bar"]?["yTicks"] as? [[Any]])
        let values = ticks.map { (Double(($0[0] as? String ?? "").filter { $0 != "," }) ?? .nan, ($0[1] as? Double ?? .nan) - 4) }
        #expect(values.first?.0 == 0 && (values.last?.0 ?? 0) >= 148.06)
        let (low, high) = (values[0], values[values.count - 1])
        let end = low.1 + (high.1 - low.1) * 148.06 / high.0
        #expect(abs(end - Self.number(bars[2], "y")) < 0.1)

        let flow = Self.marks(pictures["bar-negative"])
        let zero = Self.number(flow[0], "y") + Self.number(flow[0], "height")
        for bar in flow {
            let value = Self.number(bar, "data-y")
            #expect(value < 0 ? abs(Self.number(bar, "y") - zero) < 0.02 : abs(Self.number(bar, "y") + Self.number(bar, "height") - zero) < 0.02, "\(bar)")
        }
        #expect((pictures["bar-negative"]?["yTicks"] as? [[Any]])?.contains { ($0[0] as? String)?.hasPrefix("\u{2212}") == true } == true)

        let grouped = Self.marks(pictures["bar-groups"])
        #expect(grouped.count == 18 && Set(grouped.map { $0["data-series"] }) == ["OK", "WARNING", "ERROR"])
        let edges = grouped.map { (Self.number($0, "x"), Self.number($0, "x") + Self.number($0, "width")) }.sorted { $0.0 < $1.0 }
        #expect(zip(edges, edges.dropFirst()).allSatisfy { $0.1 <= $1.0 + 0.01 }, "no bar covers another")
        #expect(pictures["bar-groups"]?["legend"] as? [String] == ["OK", "WARNING", "ERROR"])
    }

    @Test func slicesAreAWhole() throws {
        let slices = Self.marks(try Self.judged(Samples.charts)["pie"])
        #expect(slices.count == 8 && slices.last?["data-x"] == "5 others")
        let total = slices.reduce(0) { $0 + Self.number($1, "data-y") }
        #expect(total == 5052 && abs(slices.reduce(0) { $0 + Self.number($1, "data-share") } - 1) < 1e-9)
        var turned = 0.0
        for slice in slices {
            let numbers = (slice["d"] ?? "").split { "MLAz ".contains($0) }.compactMap { Double($0) }
            let (centre, from, to) = ((numbers[0], numbers[1]), (numbers[2], numbers[3]), (numbers[9], numbers[10]))
            var angle = (atan2(to.0 - centre.0, centre.1 - to.1) - atan2(from.0 - centre.0, centre.1 - from.1)) / (2 * .pi)
            if angle < 0 { angle += 1 }
            #expect(abs(angle - Self.number(slice, "data-y") / total) < 0.002, "\(slice)")
            turned += angle
        }
        #expect(abs(turned - 1) < 0.002)
        let whole = Samples.table([("a", "STRING"), ("b", "INT")], [[.string("all"), .int(3)]])
        #expect(Self.marks(try Self.judged([("one", whole, ChartSpec(.pie))])["one"]).map { $0["tag"] } == ["circle"])
    }

    @Test func linesGoThroughTime() throws {
        let shuffled = ResultTable(columns: Samples.windows().columns, rows: Samples.windows().rows.reversed())
        let pictures = try Self.judged(Samples.charts + [("shuffled", shuffled, ChartSpec(.line, y: ["num"], group: "status"))])
        for name in ["line", "area", "shuffled"] {
            let marks = Self.marks(pictures[name])
            #expect(marks.count == 120)
            for status in ["OK", "WARNING", "ERROR"] {
                let times = marks.filter { $0["data-series"] == status }.map { $0["data-x"] ?? "" }
                #expect(times == times.sorted() && times.first == "2021-05-19 11:20:00")
            }
        }
        #expect((pictures["line"]?["xTicks"] as? [String])?.prefix(3) == ["11:20", "2021-05-19", "11:21"])
        // Parts of a stacked area stand on each other.
        func top(_ status: String) -> Double {
            let mark = Self.marks(pictures["area"]).first { $0["data-series"] == status && $0["data-x"] == "2021-05-19 11:20:10" }
            return Double((mark?["d"] ?? "").split { "MaLH hvlz".contains($0) }[1]) ?? .nan
        }
        #expect(top("ERROR") < top("WARNING") - 5 && top("WARNING") < top("OK") - 5)
    }

    @Test func nullsPartALine() throws {
        let gap = Samples.table([("t", "INT"), ("v", "DOUBLE")], [[.int(1), .double(1)], [.int(2), .double(2)], [.int(3), .null], [.int(4), .double(4)], [.int(5), .double(3)], [.null, .double(9)]])
        let picture = try #require(try Self.judged([("gap", gap, ChartSpec(.line, x: "t", y: ["v"]))])["gap"])
        #expect((picture["paths"] as? [[String: String]])?.count == 2)
        #expect(picture["notes"] as? [String] == ["1 rows without t not drawn."])
        #expect(Self.marks(picture).map { $0["data-y"] } == ["1", "2", "4", "3"])
    }

    @Test func nothingIsLeftOutSilently() throws {
        let many = Samples.table([("k", "STRING"), ("v", "INT")], (0..<500).map { [.string("key \($0)"), .int(Int64($0))] }, total: 12_345)
        let series = Samples.table([("t", "INT"), ("who", "STRING"), ("v", "INT")], (0..<40).map { [.int(Int64($0 / 20)), .string("sensor \($0 % 20)"), .int(Int64($0))] })
        let long = Samples.windows(6000, statuses: ["OK"])
        let pictures = try Self.judged([("many", many, ChartSpec(.bar)), ("series", series, ChartSpec(.line, x: "t", y: ["v"], group: "who")), ("long", long, ChartSpec(.line, y: ["num"])),
                                        ("scattered", long, ChartSpec(.scatter, y: ["num"]))])
        let notes = pictures.mapValues { ($0["notes"] as? [String] ?? []).joined(separator: " ") }
        #expect(notes["many"] == "Drawn from the newest 500 of 12,345 rows. \(500 - Self.marks(pictures["many"]).count) more values of k not drawn: key 110, key 111, key 112, key 113, key 114, ….")
        #expect(notes["series"] == "12 more series not drawn: sensor 8, sensor 9, sensor 10, sensor 11, sensor 12, ….")
        #expect(notes["long"]?.hasPrefix("The lowest and highest of each stretch: ") == true)
        #expect(notes["scattered"] == "The last 4,000 of 6,000 points." && Self.marks(pictures["scattered"]).count == 4000)
    }

    @Test func rowsOfTheSameKeyArePutTogether() throws {
        func values(_ aggregate: ChartSpec.Aggregate?, _ kind: ChartSpec.Kind = .bar) throws -> (String, [Double?]) {
            let data = try ChartData(Samples.readings, ChartSpec(kind, x: "status", y: ["current_temperature"], aggregate: aggregate))
            return (data.yName, data.series[0].points.map(\.y))
        }
        #expect(try values(nil) == ("sum(current_temperature)", [93.11 + 130.41, 168.32 + 171.5, 140.93]))
        #expect(try values(.avg) == ("avg(current_temperature)", [(93.11 + 130.41) / 2, (168.32 + 171.5) / 2, 140.93]))
        #expect(try values(.count) == ("count(current_temperature)", [2, 2, 1]))
        #expect(try values(.max).1 == [130.41, 171.5, 140.93])
        #expect(try values(.min).1 == [93.11, 168.32, 140.93])
        #expect(try values(nil, .line) == ("current_temperature", [nil, 171.5, 140.93]))
        #expect(try values(nil, .scatter).1.count == 6)
        let counted = try ChartData(Samples.readings, ChartSpec(.bar, x: "status", aggregate: .count))
        #expect(counted.series.map(\.name) == ["count"] && counted.series[0].points.map(\.y) == [3, 2, 1])
        #expect(try ChartData(Samples.readings, ChartSpec(.line, x: "status", y: ["current_temperature"])).notes == ["3 rows have the same status as a later one, which is drawn"])
    }

    @Test func columnsAreChosen() throws {
        let line = try ChartData(Samples.windows(), ChartSpec(.line, group: "status"))
        #expect(line.xName == "hop_time" && line.xKind == .time && line.series.count == 6)
        #expect(try ChartData(Samples.byStatus, ChartSpec(.bar)).series.map(\.name) == ["num", "avg_current_temperature"])
        let scatter = try ChartData(Samples.points, ChartSpec(.scatter))
        #expect(scatter.xName == "age" && scatter.yName == "charges")
        #expect(try ChartData(Samples.byStatus, ChartSpec(.pie)).yName == "num")
        #expect(try ChartData(Samples.byStatus, ChartSpec(.bar, x: "STATUS", y: ["Num"])).yName == "num")
    }

    @Test func whatCannotBeDrawnIsSaid() throws {
        func problem(_ table: ResultTable, _ spec: ChartSpec) -> String {
            do {
                _ = try ChartData(table, spec)
                return ""
            } catch { return "\(error)" }
        }
        #expect(problem(Samples.byStatus, ChartSpec(.bar, x: "stauts")) == "the chart's x is \"stauts\", which is no column of the result. Fix: write \"status\".")
        #expect(problem(Samples.byStatus, ChartSpec(.bar, y: ["temperature"])).contains("use one of avg_current_temperature, num, status"))
        #expect(problem(Samples.byStatus, ChartSpec(.bar, x: "num", y: ["status"])) == "row 1: status is \"OK\", which is no number. Fix: draw a column of numbers, or count rows with aggregate=count.")
        #expect(problem(Samples.balance, ChartSpec(.pie, x: "month", y: ["flow"])).contains("flow of \"2026-02-01\" is \u{2212}830.25"))
        #expect(problem(Samples.byStatus, ChartSpec(.pie, y: ["num", "avg_current_temperature"])).contains("a pie shows one column"))
        #expect(problem(Samples.byStatus, ChartSpec(.pie, y: ["num"], group: "status")).contains("a pie has no groups"))
        #expect(problem(Samples.table([("a", "STRING")], []), ChartSpec(.bar)).contains("there is no numeric column to draw in (a STRING)"))
    }

    @Test func namesAndValuesAreText() throws {
        let evil = "</title><script>alert(1)</script>\" onload='x' &amp; \u{0}\u{1B}[31m"
        let table = Samples.table([(evil, "STRING"), ("<b>", "INT"), ("g", "STRING")], [[.string(evil), .int(1), .string("<svg/onload=x>")], [.string("]]>"), .int(2), .string("b")]])
        for kind in [ChartSpec.Kind.bar, .line, .area, .scatter] {
            let picture = try #require(try Self.judged([("evil", table, ChartSpec(kind, x: evil, y: ["<b>"], group: "g", title: evil))])["evil"])
            #expect(Self.marks(picture).contains { $0["data-series"] == "<svg/onload=x>" }, "\(kind)")
        }
        let slices = try #require(try Self.judged([("evil", table, ChartSpec(.pie, x: evil, y: ["<b>"], title: evil))])["evil"])
        #expect(Self.marks(slices)[0]["data-x"] == evil.replacing("\u{0}", with: "\u{FFFD}").replacing("\u{1B}", with: "\u{FFFD}"))
    }

    // MARK: Scales

    @Test func ticksAreRoundAndCoverWhatThereIs() {
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        var state = seed
        func next() -> Double {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(state >> 11) / Double(1 << 53)
        }
        for _ in 0..<2_000 {
            let size = pow(10, next() * 20 - 8), a = (next() - 0.5) * size, b = a + next() * size
            let ticks = NumberTicks(from: a, to: b, count: 5)
            #expect(ticks.low <= a + ticks.step * 1e-6 && ticks.high >= b - ticks.step * 1e-6, "seed \(seed): \(a) to \(b)")
            #expect((2...13).contains(ticks.values.count), "seed \(seed): \(a) to \(b): \(ticks.values)")
            #expect(Set(ticks.labels).count == ticks.labels.count, "seed \(seed): \(a) to \(b): \(ticks.labels)")
        }
        #expect(NumberTicks(from: 0, to: 0.3, count: 3).labels == ["0.0", "0.1", "0.2", "0.3"])
        #expect(NumberTicks(from: 0, to: 2_500_000, count: 5).labels == ["0", "0.5M", "1.0M", "1.5M", "2.0M", "2.5M"])
        #expect(NumberTicks(from: 5, to: 5, count: 4).values.contains(5))
        #expect(ChartNumber.text(1234.5) == "1,234.5" && ChartNumber.text(-0.25) == "\u{2212}0.25" && ChartNumber.text(89.533333333333) == "89.5333" && ChartNumber.text(1e300) == "1e300" && ChartNumber.text(-1.25e-9) == "\u{2212}1.25e\u{2212}9")
        #expect(NumberTicks(from: 0, to: 9e15, count: 5).labels == ["0", "2e15", "4e15", "6e15", "8e15", "1e16"])
    }

    @Test func timesHaveTicksOfTheirUnits() {
        func ticks(_ from: String, _ to: String) -> [String] {
            TimeTicks(from: ChartTime.parse(from) ?? 0, to: ChartTime.parse(to) ?? 0, count: 6).labels.map { $0.0 + ($0.1.map { "/" + $0 } ?? "") }
        }
        #expect(ticks("2021-05-19 11:20:03", "2021-05-19 11:21:01") == ["11:20:10/2021-05-19", "11:20:20", "11:20:30", "11:20:40", "11:20:50", "11:21:00"])
        #expect(ticks("2021-05-19 22:10:00", "2021-05-20 02:10:00") == ["23:00/2021-05-19", "00:00/2021-05-20", "01:00", "02:00"])
        #expect(ticks("2021-12-29", "2022-01-03") == ["Dec 29/2021", "Dec 30", "Dec 31", "Jan 1/2022", "Jan 2", "Jan 3"])
        #expect(ticks("2021-02-10", "2021-08-01") == ["Mar/2021", "Apr", "May", "Jun", "Jul", "Aug"])
        #expect(ticks("1960-02-10", "1999-08-01") == ["1960", "1970", "1980", "1990"] || ticks("1960-02-10", "1999-08-01") == ["1970", "1980", "1990"])
        #expect(ticks("10:00:00", "10:00:02.5") == ["10:00:00.000", "10:00:00.500", "10:00:01.000", "10:00:01.500", "10:00:02.000", "10:00:02.500"])
        #expect(ChartTime.isTime("TIMESTAMP_LTZ(3)") && ChartTime.isTime("DATE") && ChartTime.isTime("TIME(0)") && ChartTime.isTime("timestamp(3) NOT NULL") && !ChartTime.isTime("DATEX") && !ChartTime.isTime("STRING"))
    }

    @Test func anyResultIsDrawn() throws {
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func pick(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        let numbers: [JSON] = [.int(0), .int(1), .int(-7), .int(.max), .int(.min), .double(0.1), .double(-2.5e-300), .double(1e299), .double(-1e299), .double(.leastNonzeroMagnitude), .double(.infinity), .double(.nan),
                               .double(1e18), .double(1.000_000_000_000_1), .double(1), .null, .string("12.5"), .string("NaN")]
        let times = ["2021-05-19 11:20:00.123", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999", "2021-05-19", "12:30:00", "1969-12-31 23:59:59.9", "2024-02-29T00:00:00Z"]
        let texts = ["a", "b", "", "東京", "👩‍👩‍👧 family", String(repeating: "long ", count: 30), "<&\"'>", "e\u{301}"]
        var charts: [(name: String, table: ResultTable, spec: ChartSpec)] = []
        for round in 0..<250 {
            let isPlain = pick(3) == 0
            let rows = (0..<[0, 1, 2, 5, 40, 300][pick(6)]).map { _ -> [JSON] in
                [.string(texts[pick(8)]), pick(9) == 0 ? .null : .string(times[pick(7)]), isPlain ? .int(Int64(pick(100))) : numbers[pick(18)], isPlain ? .double(Double(pick(1000)) / 7) : numbers[pick(18)], .string("group \(pick(12))")]
            }
            let table = Samples.table([("text", "STRING"), ("time", "TIMESTAMP(3)"), ("n", "INT"), ("d", "DOUBLE"), ("g", "STRING")], rows, total: Int64(rows.count + pick(2) * 100))
            let kind = [ChartSpec.Kind.bar, .line, .area, .pie, .scatter][pick(5)]
            let spec = ChartSpec(kind, x: [nil, "text", "time", "n"][pick(4)], y: [[], ["d"], ["n"], ["d", "n"]][pick(4)], group: [nil, "g"][pick(2)], title: [nil, "A title"][pick(2)],
                                 aggregate: ([nil] + ChartSpec.Aggregate.allCases.map { $0 })[pick(7)])
            do {
                for width in [24, 80] {
                    for line in try ChartTerminal.text(table, spec, width: width, height: 8 + pick(20), colors: pick(2) == 0).split(separator: "\n") {
                        let plain = PageText.withoutEscapes(String(line))
                        #expect(ChartText.cells(plain) <= width, "seed \(seed), round \(round): \(plain)")
                    }
                }
                if charts.count < 60 { charts.append(("random-\(round)", table, spec)) }
                _ = try ChartSVG.text(table, spec, width: Double(200 + pick(800)), height: Double(100 + pick(400)))
            } catch let error as StreamError {
                #expect(error.code == .validate && kind == .pie, "seed \(seed), round \(round): \(error)")
            }
        }
        let pictures = try Self.judged(charts)
        for (name, picture) in pictures {
            for mark in Self.marks(picture) {
                for attribute in ["x", "y", "width", "height"] where mark[attribute] != nil {
                    #expect((-1...2_000).contains(Self.number(mark, attribute)), "seed \(seed), \(name): \(mark)")
                }
            }
        }
    }

    @Test func coloursDifferForEveryReader() throws {
        for colors in [ChartTheme.lightColors, ChartTheme.darkColors] {
            let answer = try #require(try PythonScript.answer("notebook/palette.py", [colors.ground] + colors.series) as? [String: Any])
            #expect(answer["contrast"] as? Double ?? 0 >= 3)
            #expect((answer["distance"] as? [String: Double])?.values.allSatisfy { $0 > 0.05 } == true, "\(answer)")
            #expect((answer["firstFour"] as? [String: Double])?.values.allSatisfy { $0 > 0.06 } == true, "\(answer)")
        }
    }

    // MARK: PNG

    @Test func pngIsThePicture() throws {
        let place = try Self.directory()
        defer { Self.remove(place) }
        var paths: [String] = []
        for (name, theme) in [("light", ChartTheme.light), ("dark", .dark)] {
            let path = place.appending(path: name + ".png")
            try Data(try ChartPNG.bytes(Samples.byStatus, Samples.charts[0].spec, width: 300, height: 200, scale: 2, theme: theme)).write(to: path)
            paths.append(path.path)
        }
        let answer = try #require(try PythonScript.answer("notebook/svg.py", paths) as? [String: [String: Any]])
        for (name, colors) in [("light", ChartTheme.lightColors), ("dark", ChartTheme.darkColors)] {
            let picture = try #require(answer[name + ".png"])
            #expect(picture["width"] as? Int == 600 && picture["height"] as? Int == 400)
            let found = try #require(picture["colors"] as? [String: Double])
            #expect(found[String(colors.ground.dropFirst())] ?? 0 > 0.4, "\(found)")
            #expect(found[String(colors.series[0].dropFirst())] ?? 0 > 0.1, "the bars: \(found)")
        }
        #expect(throws: StreamError.self) { try ChartPNG.bytes(svg: "<svg", scale: 1) }
        #expect(throws: StreamError.self) { try ChartPNG.bytes(svg: "<svg/>", scale: 0) }
        func problem(_ program: String, _ seconds: Double) -> String {
            do {
                return "\(try ChartPNG.bytes(svg: "<svg/>", seconds: seconds, program: program).count) bytes"
            } catch { return "\(error)" }
        }
        #expect(problem("no-such-program-for-pictures", 5).hasSuffix("which is not installed. Fix: install it (apt-get install librsvg2-bin, or brew install librsvg), or write SVG instead."))
        let sleeper = place.appending(path: "sleeper")
        try "#!/bin/sh\nexec sleep 60\n".write(to: sleeper, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: sleeper.path)
        #expect(problem(sleeper.path, 0.2).contains("did not end within 0.2 s"))
    }
}
