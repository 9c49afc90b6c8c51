import MillConfig

/// Most of these files have one.
extension Pipeline {
  var source: SourceSettings { sources[0] }
  var kafka: KafkaSettings { sources[0].kafka }
}
