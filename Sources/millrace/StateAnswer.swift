internal import MillBase
internal import MillConfig
internal import MillEngine
internal import MillLog
internal import MillState

/// What is known of one key, for people and as JSON.
struct StateAnswer {
  var key: String
  var origin: RecordOrigin?
  var settings: DeduplicateSettings

  /// When the key is forgotten: the watermark, or the clock, has passed it.
  private var keptUntil: Int64? {
    guard let origin else { return nil }
    let lateness = settings.time == .event ? settings.allowedLatenessMilliseconds : 0
    return origin.time &+ settings.withinMilliseconds &+ lateness
  }

  func text(_ look: StateLook) -> String {
    let time = settings.time == .event ? "event time" : "epoch clock"
    var lines: [String] = []
    if let origin, let keptUntil {
      let clock = settings.time == .event ? "the watermark" : "the clock"
      lines = [
        "\(key): known", "  first seen  \(utcText(milliseconds: origin.time)) (\(time))",
        "  record      topic \(source(origin, look)?.topic ?? "unknown"), partition \(Slot(rawValue: origin.partition).partition), offset \(origin.offset)",
        "  duplicates  records of this key less than \(ScalarText.durationText(settings.withinMilliseconds)) from it are dropped",
        "  kept until  \(clock) has passed \(utcText(milliseconds: keptUntil))",
      ]
    } else {
      lines = ["\(key): not known: the next record of this key is kept"]
    }
    return (lines + asOf(look)).map { shown($0) + "\n" }.joined()
  }

  func json(_ look: StateLook) -> String {
    var text = "{\"key\":\(jsonText(key)),\"known\":\(origin != nil)"
    if let origin, let keptUntil {
      text +=
        ",\"first_seen_ms\":\(origin.time),\"topic\":\(source(origin, look).map { jsonText($0.topic) } ?? "null"),"
        + "\"partition\":\(Slot(rawValue: origin.partition).partition),\"offset\":\(origin.offset),\"kept_until_ms\":\(keptUntil)"
    }
    return text + ",\"as_of\":\(asOfJSON(look))}"
  }
}

/// The source that a record came from, as the checkpoint knows it.
private func source(_ origin: RecordOrigin, _ look: StateLook) -> NamedSource? {
  let number = Slot(rawValue: origin.partition).source
  let named = look.manifest.plan.sources.first { $0.number == number }
  return named ?? look.manifest.sources.first { $0.number == number }.map { NamedSource(number: number, name: $0.name, topic: $0.topic) }
}

/// What a state comes to.
struct StateStats {
  var buckets: [BucketStats]
  var filterBytes: UInt64
  var filterBytesMax: Int
  var memoryBytes: Int

  private var keys: UInt64 { buckets.reduce(0) { $0 + $1.keys } }
  private var bytes: UInt64 { buckets.reduce(0) { $0 + $1.bytes } }

  func text(_ look: StateLook) -> String {
    var lines = [
      "keys     about \(grouped(Int64(clamping: keys)))", "bytes    \(grouped(Int64(clamping: bytes))) in files",
      "filters  \(grouped(Int64(clamping: filterBytes))) bytes of at most \(grouped(Int64(filterBytesMax))) in memory",
      "buckets  \(buckets.count)",
    ]
    if let oldest = buckets.first, let newest = buckets.last {
      lines.append("oldest   bucket from \(utcText(milliseconds: oldest.start))")
      lines.append("newest   bucket from \(utcText(milliseconds: newest.start))")
    }
    for bucket in buckets {
      lines.append(
        "  from \(utcText(milliseconds: bucket.start)): about \(grouped(Int64(clamping: bucket.keys))) keys, "
          + "\(grouped(Int64(clamping: bucket.bytes))) bytes")
    }
    return (lines + asOf(look)).map { shown($0) + "\n" }.joined()
  }

  func json(_ look: StateLook) -> String {
    let list = buckets.map { "{\"from_ms\":\($0.start),\"keys\":\($0.keys),\"bytes\":\($0.bytes)}" }.joined(separator: ",")
    return "{\"keys\":\(keys),\"bytes\":\(bytes),\"filter_bytes\":\(filterBytes),\"memory_bytes\":\(memoryBytes),\"buckets\":[\(list)],"
      + "\"as_of\":\(asOfJSON(look))}"
  }
}

/// A time bucket.
struct BucketStats {
  /// First time of the keys in it, ms.
  var start: Int64
  /// RocksDB's estimate: a key that was kept anew may count twice until its files are merged.
  var keys: UInt64
  var bytes: UInt64
}

/// Which moment an answer is of.
private func asOf(_ look: StateLook) -> [String] {
  let manifest = look.manifest
  let watermark = manifest.watermark == .min ? "none yet" : utcText(milliseconds: manifest.watermark)
  let offsets = manifest.sources.map { source in
    let offsets = source.partitions.enumerated().map { "\($0): \($1.nextOffset)" }.joined(separator: ", ")
    return manifest.sources.count == 1 ? offsets : "\(source.name) \(offsets)"
  }.joined(separator: "; ")
  return [
    "as of checkpoint \(CheckpointID(lineage: manifest.lineage, epoch: manifest.epoch)), "
      + "clock \(utcText(milliseconds: manifest.clockMilliseconds)), watermark \(watermark)",
    "  records before these offsets are in it (partition: offset): \(offsets)",
  ]
}

private func asOfJSON(_ look: StateLook) -> String {
  let manifest = look.manifest
  func offsets(_ source: Manifest.SourceState?) -> String { (source?.partitions ?? []).map { "\($0.nextOffset)" }.joined(separator: ",") }
  let sources = manifest.sources.map {
    "{\"name\":\(jsonText($0.name)),\"topic\":\(jsonText($0.topic)),\"next_offsets\":[\(offsets($0))]}"
  }.joined(separator: ",")
  return "{\"lineage\":\"\(manifest.lineage)\",\"epoch\":\(manifest.epoch),\"clock_ms\":\(manifest.clockMilliseconds),"
    + "\"watermark_ms\":\(manifest.watermark == .min ? "null" : "\(manifest.watermark)"),\"next_offsets\":[\(offsets(manifest.sources.first))],"
    + "\"sources\":[\(sources)]}"
}
