import StreamCore

/// The value columns of a state row as bytes.
///
///     compact   a bit per further column, 1 = equal to the first one; then each column that is not: numbers of 64 bits as
///               zigzag varints, floating-point ones as they are
///     else      length as a varint, then the columns as ``RowCodec`` lays them out
///
/// Counts and sums, of which most state consists, are compact. Rows of one entry stand one behind the other.
struct StoredValueCodec {
    let types: [DataType]
    let isCompact: Bool
    fileprivate let codec: RowCodec

    /// - Parameter hasNulls: values may be null.
    init(_ types: [DataType], hasNulls: Bool) {
        self.types = types
        codec = RowCodec(types)
        isCompact = !hasNulls && (1...8).contains(types.count) && types.allSatisfy { $0.physical == .int64 || $0.physical == .double }
    }

    /// Appends rows `rows` of the columns, one item each.
    func append(_ columns: [Column], rows: [Int32], to list: inout ByteList) {
        guard isCompact else { return appendRows(columns, rows, &list) }
        withExtendedLifetime(columns) {
            let pointers = columns.map { $0.pointer(as: UInt64.self) }
            let isInteger = types.map { $0.physical == .int64 }
            let scratch = UnsafeMutableRawPointer.allocate(byteCount: 1 + 10 * columns.count, alignment: 8)
            defer { scratch.deallocate() }
            pointers.withUnsafeBufferPointer { pointers in
                isInteger.withUnsafeBufferPointer { isInteger in
                    for row in rows {
                        let first = pointers[0][Int(row)]
                        var (equal, at): (UInt8, Int) = (0, 1)
                        for c in 0..<pointers.count {
                            let bits = pointers[c][Int(row)]
                            if c > 0, bits == first {
                                equal |= 1 << UInt8(c - 1)
                            } else if isInteger[c] {
                                at += Varint.write(Varint.zigzag(bits), scratch + at)
                            } else {
                                scratch.storeBytes(of: bits, toByteOffset: at, as: UInt64.self)
                                at += 8
                            }
                        }
                        scratch.storeBytes(of: equal, as: UInt8.self)
                        list.append(UnsafeRawBufferPointer(start: scratch, count: at))
                    }
                }
            }
        }
    }

    private func appendRows(_ columns: [Column], _ rows: [Int32], _ list: inout ByteList) {
        guard !rows.isEmpty else { return }
        let encoded = rows.withUnsafeBufferPointer { codec.encode(columns, rows: $0.baseAddress!, count: $0.count) }
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: 10, alignment: 8)
        defer { scratch.deallocate() }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for i in rows.indices {
            let bytes = encoded.bytes(at: i)
            let n = Varint.write(UInt64(bytes.count), scratch)
            list.append(UnsafeRawBufferPointer(start: scratch, count: n), bytes, nothing)
        }
    }

    /// Collects values and gives them back as columns.
    final class Reader {
        private let codec: StoredValueCodec
        private var numbers: [[UInt64]]
        private var rows = ColumnBuilder(type: .bytes)
        private var owners: [Int32] = []

        init(_ codec: StoredValueCodec) {
            self.codec = codec
            numbers = codec.types.map { _ in [] }
        }

        /// - Throws: `.corrupt`.
        func append(_ bytes: UnsafeRawBufferPointer, owner: Int32) throws {
            var at = 0
            func damaged() -> StreamError {
                StreamError(.corrupt, "a value of \(bytes.count) bytes in a store is damaged at byte \(at)", fix: "go on from an older checkpoint or a savepoint")
            }
            while at < bytes.count {
                guard codec.isCompact else {
                    guard let length = Varint.read(bytes, &at), length <= UInt64(bytes.count - at) else { throw damaged() }
                    let row = UnsafeRawBufferPointer(rebasing: bytes[at..<at + Int(length)])
                    guard let size = codec.codec.encodedSize(row), size == row.count else { throw damaged() }
                    rows.append(bytes: row)
                    at += Int(length)
                    owners.append(owner)
                    continue
                }
                let equal = bytes[at]
                at += 1
                var first: UInt64 = 0
                for c in codec.types.indices {
                    var bits = first
                    if c > 0, equal >> UInt8(c - 1) & 1 == 1 {
                    } else if codec.types[c].physical == .int64 {
                        guard let number = Varint.read(bytes, &at) else { throw damaged() }
                        bits = Varint.unzigzag(number)
                    } else {
                        guard at + 8 <= bytes.count else { throw damaged() }
                        bits = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                        at += 8
                    }
                    if c == 0 { first = bits }
                    numbers[c].append(bits)
                }
                owners.append(owner)
            }
        }

        /// The columns, nil when there are no rows, and the entry that each row belongs to.
        func finish() -> (columns: [Column]?, owners: [Int32]) {
            guard !owners.isEmpty else { return (nil, []) }
            guard codec.isCompact else { return (codec.codec.decode(rows.finish()), owners) }
            return (zip(codec.types, numbers).map { type, numbers in
                numbers.withUnsafeBufferPointer { .fixed(type, $0.baseAddress!, count: $0.count) }
            }, owners)
        }
    }
}

/// Numbers in groups of seven bits, lowest first; the eighth bit says that there are more.
enum Varint {
    @inline(__always) static func zigzag(_ bits: UInt64) -> UInt64 { bits << 1 ^ UInt64(bitPattern: Int64(bitPattern: bits) >> 63) }
    @inline(__always) static func unzigzag(_ number: UInt64) -> UInt64 { number >> 1 ^ (0 &- (number & 1)) }

    /// - Returns: bytes written, 10 at most.
    @inline(__always)
    static func write(_ number: UInt64, _ to: UnsafeMutableRawPointer) -> Int {
        var (rest, n) = (number, 0)
        while rest >= 0x80 {
            to.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: n, as: UInt8.self)
            rest >>= 7
            n += 1
        }
        to.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: n, as: UInt8.self)
        return n + 1
    }

    /// nil when the bytes end within the number.
    @inline(__always)
    static func read(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> UInt64? {
        var number: UInt64 = 0, shift: UInt64 = 0
        while at < bytes.count, shift < 64 {
            let byte = bytes[at]
            at += 1
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
        return nil
    }
}
