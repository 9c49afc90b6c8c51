/// A key of the pipeline file as it is documented and checked: the reference is rendered from these, and the reader knows a section's
/// keys, defaults and ranges from the same values.
package struct ConfigKey: Sendable {
  package var name: String
  /// Comment lines above the key in the reference.
  package var comment: [String]
  package var content: Content

  /// What stands behind the colon in the reference.
  package enum Content: Sendable {
    /// YAML text of one line.
    case value(String)
    case section([ConfigKey])
  }

  init(_ name: String, _ value: String, _ comment: String...) {
    self.name = name
    self.comment = comment
    self.content = .value(value)
  }

  init(_ name: String, keys: [ConfigKey], _ comment: String...) {
    self.name = name
    self.comment = comment
    self.content = .section(keys)
  }

  /// A duration with its default and range.
  init(_ setting: DurationSetting, _ comment: String...) {
    self.name = setting.key
    let range = "\(ScalarText.durationText(setting.range.lowerBound)) to \(ScalarText.durationText(setting.range.upperBound))"
    self.comment = comment + ["Default \(ScalarText.durationText(setting.value)); \(range)."]
    self.content = .value(ScalarText.durationText(setting.value))
  }

  /// A size with its default and range.
  init(_ setting: SizeSetting, _ comment: String...) {
    self.name = setting.key
    let range = "\(ScalarText.sizeText(setting.range.lowerBound)) to \(ScalarText.sizeText(setting.range.upperBound))"
    self.comment = comment + ["Default \(ScalarText.sizeText(setting.value)); \(range)."]
    self.content = .value(ScalarText.sizeText(setting.value))
  }

  /// A whole number with its default and range.
  init(_ setting: CountSetting, _ comment: String...) {
    self.name = setting.key
    self.comment = comment + ["Default \(setting.value); \(setting.range.lowerBound) to \(setting.range.upperBound)."]
    self.content = .value("\(setting.value)")
  }
}

/// A duration's key, default and range, in milliseconds.
struct DurationSetting: Sendable {
  var key: String
  var value: Int64
  var range: ClosedRange<Int64>
}

/// A size's key, default and range, in bytes.
struct SizeSetting: Sendable {
  var key: String
  var value: Int
  var range: ClosedRange<Int>
}

/// A number's key, default and range.
struct CountSetting: Sendable {
  var key: String
  var value: Int
  var range: ClosedRange<Int>
}

/// Every default and range of the pipeline file.
enum Settings {
  private static let second: Int64 = 1000
  private static let minute: Int64 = 60_000
  private static let hour: Int64 = 3_600_000
  private static let day: Int64 = 86_400_000
  private static let KiB = 1 << 10
  private static let MiB = 1 << 20
  private static let GiB = 1 << 30

  static let outOfOrderness = DurationSetting(key: "out_of_orderness", value: 5 * second, range: 0...365 * day)
  static let idleAfter = DurationSetting(key: "idle_after", value: 30 * second, range: second...365 * day)
  static let maxAhead = DurationSetting(key: "max_ahead", value: 10 * minute, range: 0...3650 * day)
  static let recordBytes = SizeSetting(key: "max_record_bytes", value: 16 * MiB, range: KiB...256 * MiB)
  /// The value is the reference's example: the key has no default.
  static let within = DurationSetting(key: "within", value: 24 * hour, range: 1...3650 * day)
  static let allowedLateness = DurationSetting(key: "allowed_lateness", value: hour, range: 0...3650 * day)

  static let batchRows = CountSetting(key: "max_rows", value: 500_000, range: 1...1_000_000)
  static let batchBytes = SizeSetting(key: "max_bytes", value: 64 * MiB, range: 64 * KiB...GiB)
  static let batchDelay = DurationSetting(key: "max_delay", value: second, range: 1...hour)
  static let batchPartitions = CountSetting(key: "partitions_max", value: 100, range: 1...100_000)
  static let settle = DurationSetting(key: "settle", value: 5 * second, range: second...600 * second)
  /// The value is not the default, which is auto.
  static let windowReserve = CountSetting(key: "window_reserve", value: 0, range: 0...1_000_000)

  static let deadLetterDelay = DurationSetting(key: "max_delay", value: 10 * second, range: 1...hour)
  static let deadLetterPayload = SizeSetting(key: "payload_max", value: 64 * KiB, range: KiB...16 * MiB)
  static let deadLetterBytes = SizeSetting(key: "max_bytes", value: 10 * GiB, range: MiB...1024 * GiB)
  static let checkpointInterval = DurationSetting(key: "interval", value: 10 * second, range: 100...hour)
  static let retain = CountSetting(key: "retain", value: 3, range: 1...1000)
  static let memory = SizeSetting(key: "memory", value: 512 * MiB, range: 16 * MiB...1024 * GiB)
  static let unacked = SizeSetting(key: "unacked_max", value: 4 * GiB, range: 16 * MiB...1024 * GiB)
  static let epochRows = CountSetting(key: "max_rows", value: 65_536, range: 1...1_000_000)
  static let epochBytes = SizeSetting(key: "max_bytes", value: 32 * MiB, range: 64 * KiB...GiB)
  static let epochDelay = DurationSetting(key: "max_delay", value: 20, range: 1...60 * second)
  static let prefetch = SizeSetting(key: "prefetch", value: 64 * MiB, range: MiB...16 * GiB)
}
