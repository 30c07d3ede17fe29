import CChecksum
import CLZ4
import StreamCore

/// The header of a record batch in a segment. All numbers little-endian.
///
///      0  magic "SWB1"           32  arrival, ms since 1970 (Int64)
///      4  CRC32C of [8, length)  40  producer id, 0 = none (UInt64)
///      8  length with header     48  producer sequence (UInt64)
///     12  version, flags         56  payload bytes before compression
///     14  flushed offset, bits 32...47
///     16  index of first record  60  flushed offset, bits 0...31
///     24  records                64  payload
///     28  writer epoch
///
/// With flag 4 the producer id is that of a request (``RequestID``), and the sequence marks its payload.
///
/// Payload, LZ4 block-compressed when flag 1 is set, then encrypted when flag 2 is set (``BatchCipher``):
///
///     data end [n] UInt32 | key end [n] UInt32 | all data | all keys
struct BatchHeader {
    static let size = 64
    static let magic: UInt32 = 0x3142_5753
    static let version: UInt8 = 1
    static let lz4Flag: UInt8 = 1, encryptedFlag: UInt8 = 2, requestFlag: UInt8 = 4
    /// A batch is never longer; a header that says so is damaged.
    static let lengthMax = 64 << 20

    var length: Int
    var isCompressed: Bool
    var isEncrypted = false
    var isRequest = false
    var baseIndex: UInt64
    var count: Int
    var epoch: UInt32
    var timestamp: Int64
    var producer: UInt64
    var producerSequence: UInt64
    var payloadBytes: Int
    /// How far the segment was known to be on disk when the batch was written: what is damaged before this was whole once.
    var flushedOffset = 0

    init(length: Int, isCompressed: Bool, baseIndex: UInt64, count: Int, epoch: UInt32, timestamp: Int64, producer: UInt64,
         producerSequence: UInt64, payloadBytes: Int) {
        self.length = length
        self.isCompressed = isCompressed
        self.baseIndex = baseIndex
        self.count = count
        self.epoch = epoch
        self.timestamp = timestamp
        self.producer = producer
        self.producerSequence = producerSequence
        self.payloadBytes = payloadBytes
    }

    /// nil when the bytes cannot be a header; only the checksum tells whether they are one.
    init?(_ p: UnsafeRawPointer) {
        func u32(_ at: Int) -> UInt32 { UInt32(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt32.self)) }
        func u64(_ at: Int) -> UInt64 { UInt64(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
        guard u32(0) == Self.magic, p.load(fromByteOffset: 12, as: UInt8.self) == Self.version else { return nil }
        length = Int(u32(8))
        let flags = p.load(fromByteOffset: 13, as: UInt8.self)
        isCompressed = flags & Self.lz4Flag != 0
        isEncrypted = flags & Self.encryptedFlag != 0
        isRequest = flags & Self.requestFlag != 0
        baseIndex = u64(16)
        count = Int(u32(24))
        epoch = u32(28)
        timestamp = Int64(bitPattern: u64(32))
        producer = u64(40)
        producerSequence = u64(48)
        payloadBytes = Int(u32(56))
        flushedOffset = Int(u32(60)) | Int(UInt16(littleEndian: p.loadUnaligned(fromByteOffset: 14, as: UInt16.self))) << 32
        guard length > Self.size, length <= Self.lengthMax, count > 0, payloadBytes <= Self.lengthMax, payloadBytes >= count * 8,
              storedBytes > 0, isCompressed || payloadBytes == storedBytes
        else { return nil }
    }

    /// Bytes of the payload before encryption.
    var storedBytes: Int { length - Self.size - (isEncrypted ? BatchCipher.extraBytes : 0) }

    /// What encryption binds a payload to.
    var bound: (UInt32, UInt32, UInt32) { (isCompressed ? 1 : 0, UInt32(count), UInt32(payloadBytes)) }

    /// Writes the header in front of a payload that is in place, checksum last.
    func write(to p: UnsafeMutableRawPointer) {
        func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ at: Int) {
            p.storeBytes(of: value.littleEndian, toByteOffset: at, as: T.self)
        }
        put(Self.magic, 0)
        put(UInt32(length), 8)
        put(Self.version, 12)
        put((isCompressed ? Self.lz4Flag : 0) | (isEncrypted ? Self.encryptedFlag : 0) | (isRequest ? Self.requestFlag : 0), 13)
        put(UInt16(truncatingIfNeeded: flushedOffset >> 32), 14)
        put(baseIndex, 16)
        put(UInt32(count), 24)
        put(epoch, 28)
        put(UInt64(bitPattern: timestamp), 32)
        put(producer, 40)
        put(producerSequence, 48)
        put(UInt32(payloadBytes), 56)
        put(UInt32(truncatingIfNeeded: flushedOffset), 60)
        put(sw_crc32c(0, p + 8, length - 8), 4)
    }

    /// `p` holds all `length` bytes.
    func checksumHolds(_ p: UnsafeRawPointer) -> Bool {
        UInt32(littleEndian: p.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) == sw_crc32c(0, p + 8, length - 8)
    }
}

enum Compression {
    /// Compresses into `out`; 0 when it would not fit.
    static func compress(_ bytes: UnsafeRawPointer, _ count: Int, into out: UnsafeMutableRawPointer, room: Int) -> Int {
        Int(LZ4_compress_default(bytes.assumingMemoryBound(to: CChar.self), out.assumingMemoryBound(to: CChar.self),
                                 Int32(count), Int32(room)))
    }

    static func decompress(_ bytes: UnsafeRawPointer, _ count: Int, into out: UnsafeMutableRawPointer, exactly size: Int) -> Bool {
        LZ4_decompress_safe(bytes.assumingMemoryBound(to: CChar.self), out.assumingMemoryBound(to: CChar.self),
                            Int32(count), Int32(size)) == Int32(size)
    }
}
