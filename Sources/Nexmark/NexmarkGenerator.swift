import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The events of the Nexmark auction site as newline-JSON, in the order of their time: the same settings give the same bytes.
///
/// Of fifty events one is a person, three are auctions and the others bids. Each line is
/// `{"event_type":0|1|2,"person":…,"auction":…,"bid":…}`, where two of the three are null.
public struct NexmarkGenerator: Sendable {
    public var seed: UInt64
    /// Events per second of event time.
    public var rate: Int
    /// Milliseconds since 1970-01-01 of the first event.
    public var start: Int64

    static let firstID: Int64 = 1_000, firstCategory: Int64 = 10, categories = 5
    static let activePeople: Int64 = 1_000, auctionsInFlight: Int64 = 100
    /// Ids that are not given yet may be asked for: so many.
    static let lead: Int64 = 10
    private static let extraPool = 1 << 16
    private static let hotChannels = ["Google", "Facebook", "Baidu", "Apple"]
    private static let otherChannels = 10_000
    private static let states = ["AZ", "CA", "ID", "OR", "WA", "WY"]
    private static let cities = [
        "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne",
    ]
    private static let firstNames = ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"]
    private static let lastNames = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"]

    /// Letters that texts are cut out of.
    private let letters: [UInt8]
    /// `"channel":"…","url":"…"` of the four hot channels and of the others.
    private let channels: [[UInt8]]

    public init(seed: UInt64, rate: Int = 10_000, start: Int64 = 1_704_067_200_000) {
        self.seed = seed
        self.rate = rate
        self.start = start
        var random = Random(seed: seed ^ 0x4e45_584d_4152_4b00)
        letters = (0..<Self.extraPool).map { _ in UInt8(ascii: "a") + UInt8(random.below(26)) }
        var channels: [[UInt8]] = []
        for i in 0..<Self.hotChannels.count + Self.otherChannels {
            func part() -> String {
                var text = ""
                for _ in 0..<3 + random.below(2) { text += random.below(13) == 0 ? "_" : String(UnicodeScalar(UInt8(97 + random.below(26)))) }
                return text
            }
            var url = "https://www.nexmark.com/\(part())/\(part())/\(part())/item.htm?query=1"
            let number = i - Self.hotChannels.count
            if number >= 0, random.below(10) > 0 {
                url += "&channel_id=\(UInt32(truncatingIfNeeded: Int32(bitPattern: reversed(UInt32(number))).magnitude))"
            }
            let name = number < 0 ? Self.hotChannels[i] : "channel-\(number)"
            channels.append(Array("\"channel\":\"\(name)\",\"url\":\"\(url)\"".utf8))
        }
        self.channels = channels
    }

    /// SplitMix64.
    struct Random {
        var state: UInt64
        init(seed: UInt64) { state = seed }

        @inline(__always)
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
            return z ^ z >> 31
        }

        @inline(__always)
        mutating func below(_ n: Int) -> Int { Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(n)).high) }
        mutating func below(_ n: Int64) -> Int64 { Int64(below(Int(n))) }
        mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }
        mutating func price() -> Int64 { Int64((pow(10, fraction() * 6) * 100).rounded()) }
    }

    // MARK: ids

    /// The last person that event `n` knows of, from 0.
    static func lastPerson(_ n: Int64) -> Int64 { n / 50 }

    /// The last auction that event `n` knows of, from 0; -1 = none yet.
    static func lastAuction(_ n: Int64) -> Int64 {
        let (epoch, offset) = (n / 50, n % 50)
        return offset == 0 ? epoch * 3 - 1 : epoch * 3 + min(offset, 3) - 1
    }

    private func person(_ n: Int64, _ random: inout Random) -> Int64 {
        let people = Self.lastPerson(n) + 1, active = min(people, Self.activePeople)
        return people - active + random.below(active + Self.lead)
    }

    private func auction(_ n: Int64, _ random: inout Random) -> Int64 {
        let last = Self.lastAuction(n), first = max(last - Self.auctionsInFlight, 0)
        return first + random.below(last - first + 1 + Self.lead)
    }

    func time(_ n: Int64) -> Int64 { start + n * 1_000 / Int64(rate) }

    // MARK: lines

    /// A line under construction.
    private struct Line {
        var to: UnsafeMutablePointer<UInt8>
        var count = 0

        @inline(__always)
        mutating func put(_ text: StaticString) {
            memcpy(to + count, text.utf8Start, text.utf8CodeUnitCount)
            count += text.utf8CodeUnitCount
        }
        mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
            memcpy(to + count, bytes.baseAddress!, bytes.count)
            count += bytes.count
        }
        mutating func put(_ text: String) {
            var copy = text
            copy.withUTF8 { if $0.count > 0 { put($0) } }
        }
        mutating func put(_ value: Int64) { count += NumberText.write(value, to: to + count) }
        mutating func put(time: Int64) {
            to[count] = UInt8(ascii: "\"")
            count += 1 + DateTimeText.writeTimestamp(time, precision: 3, to: to + count + 1)
            to[count] = UInt8(ascii: "\"")
            count += 1
        }
        mutating func put(byte: UInt8) {
            to[count] = byte
            count += 1
        }
    }

    /// A text of `length` letters.
    private func put(_ length: Int, _ random: inout Random, into line: inout Line) {
        guard length > 0 else { return }
        let at = random.below(Self.extraPool - length)
        letters.withUnsafeBufferPointer { line.put(UnsafeBufferPointer(rebasing: $0[at..<at + length])) }
    }

    /// A text of words, of 3 to `most` - 1 characters.
    private func putWords(_ most: Int, _ random: inout Random, into line: inout Line) {
        let length = 3 + random.below(most - 3), start = line.count
        put(length, &random, into: &line)
        for i in start + 1..<line.count - 1 where random.below(13) == 0 { line.to[i] = UInt8(ascii: " ") }
    }

    /// What fills an event of `used` bytes up to `average` on average, give or take a fifth of what is missing.
    private func putExtra(_ used: Int, average: Int, _ random: inout Random, into line: inout Line) {
        let missing = average - used
        guard missing > 0 else { return }
        let spread = Int((Double(missing) * 0.2).rounded())
        put(missing - spread + (spread == 0 ? 0 : random.below(2 * spread)), &random, into: &line)
    }

    /// Bytes that the longest line may take.
    static let lineCapacity = 2_048

    /// Writes event `n` with its newline; the number of bytes.
    func write(_ n: Int64, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var random = Random(seed: seed &* 0xd134_2543_de82_ef95 &+ UInt64(bitPattern: n) &* 0x9e6c_63d0_876a_9a47)
        var line = Line(to: out)
        switch n % 50 {
        case 0: writePerson(n, &random, &line)
        case 1...3: writeAuction(n, &random, &line)
        default: writeBid(n, &random, &line)
        }
        return line.count
    }

    private func writePerson(_ n: Int64, _ random: inout Random, _ line: inout Line) {
        line.put("{\"event_type\":0,\"person\":{\"id\":")
        line.put(Self.lastPerson(n) + Self.firstID)
        line.put(",\"name\":\"")
        let from = line.count
        line.put(Self.firstNames[random.below(Self.firstNames.count)])
        line.put(" ")
        line.put(Self.lastNames[random.below(Self.lastNames.count)])
        line.put("\",\"emailAddress\":\"")
        put(3 + random.below(4), &random, into: &line)
        line.put("@")
        put(3 + random.below(2), &random, into: &line)
        line.put(".com\",\"creditCard\":\"")
        for i in 0..<4 {
            if i > 0 { line.put(" ") }
            var digits = random.below(10_000)
            for k in 0..<4 {
                line.to[line.count + 3 - k] = UInt8(ascii: "0") + UInt8(digits % 10)
                digits /= 10
            }
            line.count += 4
        }
        line.put("\",\"city\":\"")
        line.put(Self.cities[random.below(Self.cities.count)])
        line.put("\",\"state\":\"")
        line.put(Self.states[random.below(Self.states.count)])
        let names = 53
        let used = 8 + line.count - from - names
        line.put("\",\"dateTime\":")
        line.put(time: time(n))
        line.put(",\"extra\":\"")
        putExtra(used, average: 200, &random, into: &line)
        line.put("\"},\"auction\":null,\"bid\":null}\n")
    }

    private func writeAuction(_ n: Int64, _ random: inout Random, _ line: inout Line) {
        let now = time(n)
        // Three of four sellers are the first of the last hundred people.
        let seller = random.below(4) > 0 ? Self.lastPerson(n) / 100 * 100 : person(n, &random)
        let category = Self.firstCategory + Int64(random.below(Self.categories))
        let initial = random.price()
        // On average it ends when as many auctions more have begun as are in flight.
        let horizon = time(n + Self.auctionsInFlight * 50 / 3) - now
        let expires = now + 1 + random.below(max(horizon * 2, 1))
        line.put("{\"event_type\":1,\"person\":null,\"auction\":{\"id\":")
        line.put(Self.lastAuction(n) + Self.firstID)
        line.put(",\"itemName\":\"")
        let from = line.count
        putWords(20, &random, into: &line)
        line.put("\",\"description\":\"")
        putWords(100, &random, into: &line)
        let used = 48 + line.count - from - 17
        line.put("\",\"initialBid\":")
        line.put(initial)
        line.put(",\"reserve\":")
        line.put(initial + random.price())
        line.put(",\"dateTime\":")
        line.put(time: now)
        line.put(",\"expires\":")
        line.put(time: expires)
        line.put(",\"seller\":")
        line.put(seller + Self.firstID)
        line.put(",\"category\":")
        line.put(category)
        line.put(",\"extra\":\"")
        putExtra(used, average: 500, &random, into: &line)
        line.put("\"},\"bid\":null}\n")
    }

    private func writeBid(_ n: Int64, _ random: inout Random, _ line: inout Line) {
        // Half of the bids are for the first of the last hundred auctions.
        let auction = random.below(2) > 0 ? Self.lastAuction(n) / 100 * 100 : auction(n, &random)
        // Three of four bidders are the second of the last hundred people, so that hot bidders are no hot sellers.
        let bidder = random.below(4) > 0 ? Self.lastPerson(n) / 100 * 100 + 1 : person(n, &random)
        let price = random.price()
        let channel = random.below(2) > 0 ? random.below(Self.hotChannels.count) : Self.hotChannels.count + random.below(Self.otherChannels)
        line.put("{\"event_type\":2,\"person\":null,\"auction\":null,\"bid\":{\"auction\":")
        line.put(auction + Self.firstID)
        line.put(",\"bidder\":")
        line.put(bidder + Self.firstID)
        line.put(",\"price\":")
        line.put(price)
        line.put(",")
        channels[channel].withUnsafeBufferPointer { line.put($0) }
        line.put(",\"dateTime\":")
        line.put(time: time(n))
        line.put(",\"extra\":\"")
        putExtra(32, average: 100, &random, into: &line)
        line.put("\"}}\n")
    }

    private static func fileFailure(_ path: String) -> StreamError {
        Host.failure("write", path, fix: "name a file in a directory that exists and has room")
    }

    /// Writes events 0..<count to a file, which appears under its name when it is whole.
    ///
    /// - Throws: `.io` when the file cannot be written.
    public func write(events count: Int, to path: String, host: Host = .system) throws {
        let temporary = path + ".tmp"
        let file = host.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard file >= 0 else { throw Self.fileFailure(temporary) }
        do {
            defer { _ = host.close(file) }
            let size = 1 << 20
            let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: size + Self.lineCapacity)
            defer { buffer.deallocate() }
            var (held, offset) = (0, 0)
            for n in 0..<Int64(count) {
                held += write(n, to: buffer + held)
                guard held >= size || n == Int64(count) - 1 else { continue }
                try host.writeAll(file, UnsafeRawBufferPointer(start: buffer, count: held), at: offset, path: temporary)
                offset += held
                held = 0
            }
        } catch {
            _ = host.unlink(temporary)
            throw error
        }
        guard host.rename(temporary, path) == 0 else { throw Self.fileFailure(path) }
    }

    /// Events `range` as text.
    public func text(_ range: Range<Int>) -> String {
        var bytes: [UInt8] = []
        let line = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.lineCapacity)
        defer { line.deallocate() }
        for n in range { bytes += UnsafeBufferPointer(start: line, count: write(Int64(n), to: line)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

private func reversed(_ x: UInt32) -> UInt32 {
    (0..<32).reduce(UInt32(0)) { $0 << 1 | x >> UInt32($1) & 1 }
}
