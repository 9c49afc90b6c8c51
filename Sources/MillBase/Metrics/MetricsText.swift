/// A page of metrics in Prometheus' text format, version 0.0.4: `# HELP`, `# TYPE`, then the family's samples.
///
/// Families keep the order in which they are added; a page says each name once.
package struct MetricsText {
  /// What the page's answer is to be called.
  package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  package typealias Label = (name: String, value: String)

  /// One value with the labels that tell it from its family's others.
  package struct Sample {
    var labels: [Label]
    var value: String

    package init(_ value: some BinaryInteger, _ labels: Label...) {
      self.labels = labels
      self.value = "\(value)"
    }

    package init(_ value: Double, _ labels: Label...) {
      self.labels = labels
      self.value = MetricsText.number(value)
    }

    /// 1 where it holds, else 0.
    package init(_ holds: Bool, _ labels: Label...) {
      self.labels = labels
      value = holds ? "1" : "0"
    }
  }

  package private(set) var text = ""
  private let common: [Label]
  private var names: Set<String> = []

  /// `common`: labels of every sample but the process's own.
  package init(common: Label...) { self.common = common }

  /// What only grows while the process lives; the name ends with `_total`.
  package mutating func counter(_ name: String, _ help: String, _ samples: Sample...) { counter(name, help, samples) }

  package mutating func counter(_ name: String, _ help: String, _ samples: [Sample]) {
    precondition(name.hasSuffix("_total"), "counter \(name): its name must end with _total")
    family(name, "counter", help, samples, common)
  }

  package mutating func gauge(_ name: String, _ help: String, _ samples: Sample...) { gauge(name, help, samples) }

  package mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
    precondition(!name.hasSuffix("_total"), "gauge \(name): only a counter's name ends with _total")
    family(name, "gauge", help, samples, common)
  }

  /// Of the process, not of the pipeline: under the names that all of Prometheus' clients use, without the common labels.
  package mutating func process(_ name: String, _ help: String, _ sample: Sample) {
    family(name, name.hasSuffix("_total") ? "counter" : "gauge", help, [sample], [])
  }

  package mutating func histogram(_ name: String, _ help: String, _ readings: (Histogram.Reading, [Label])...) {
    begin(name, "histogram", help)
    for (reading, labels) in readings {
      var count: UInt64 = 0
      for (bound, inBucket) in zip(reading.bounds + [.infinity], reading.counts) {
        count += inBucket
        line(name + "_bucket", common + labels + [("le", Self.number(bound))], "\(count)")
      }
      line(name + "_sum", common + labels, Self.number(reading.sum))
      line(name + "_count", common + labels, "\(count)")
    }
  }

  /// A family without samples isn't said at all.
  private mutating func family(_ name: String, _ type: String, _ help: String, _ samples: [Sample], _ common: [Label]) {
    guard !samples.isEmpty else { return }
    begin(name, type, help)
    for sample in samples { line(name, common + sample.labels, sample.value) }
  }

  private mutating func begin(_ name: String, _ type: String, _ help: String) {
    precondition(Self.isName(name) && names.insert(name).inserted, "metric \(name): no name for one, or said twice")
    text += "# HELP \(name) \(Self.escaped(help, quotes: false))\n# TYPE \(name) \(type)\n"
  }

  private mutating func line(_ name: String, _ labels: [Label], _ value: String) {
    text += name
    if !labels.isEmpty {
      text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }.joined(separator: ",") + "}"
    }
    text += " \(value)\n"
  }

  static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
    return value == value.rounded() && value.magnitude < 1e15 ? "\(Int64(value))" : "\(value)"
  }

  private static func escaped(_ text: String, quotes: Bool) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\"" where quotes: result += "\\\""
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func isName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return name.utf8.allSatisfy {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0 | 0x20) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
        || $0 == UInt8(ascii: "_")
    }
  }
}
