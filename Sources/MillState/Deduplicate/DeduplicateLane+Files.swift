package import MillBase

/// The filters in a checkpoint (state lane only).
extension DeduplicateLane {
  /// Writes the filters into a checkpoint's directory, which must exist; links the files that the checkpoint before has already.
  /// Not synced: the caller does that.
  /// - Returns: the names of the files in `directory`.
  package func writeFilters(into directory: String) throws(DiskError) -> [String] {
    var names: [String] = []
    var list = FilterList()
    for bucket in filters.buckets {
      guard let segments = bucket.segments else { continue }
      var written: [FilterList.Segment] = []
      for (index, segment) in segments.enumerated() {
        let files = try write(segment, of: bucket.bucket, index, into: directory)
        names += [files.base] + files.deltas
        written.append(files)
      }
      list.buckets.append(FilterList.Bucket(bucket: bucket.bucket, segments: written))
    }
    let name = FilterFormat.listName(state: options.stateNumber)
    try writeFile(FilterFormat.encode(list, state: options.stateNumber), to: directory + "/" + name)
    return names + [name]
  }

  private func write(
    _ segment: FilterSegment, of bucket: BucketID, _ index: Int, into directory: String
  ) throws(DiskError) -> FilterList.Segment {
    let base = FilterFormat.segmentName(bucket, index: index)
    var files = segment.files
    if let from = files.base {
      do throws(DiskError) {
        let next = files.nextDelta()
        try disk.link(from, to: directory + "/" + base)
        var names: [String] = []
        for delta in files.deltas {
          names.append(FilterFormat.deltaName(bucket, index: index, delta: names.count))
          try disk.link(delta.path, to: directory + "/" + names.last!)
        }
        files.moved(base: directory + "/" + base, deltas: names.map { directory + "/" + $0 })
        if let next {
          names.append(FilterFormat.deltaName(bucket, index: index, delta: names.count))
          let path = directory + "/" + names.last!
          try writeFile(FilterFormat.encodeDelta(files.sinceBase[next]), to: path)
          files.wrote(delta: path, keyCount: next.count)
        }
        segment.files = files
        return FilterList.Segment(base: base, deltas: names)
      } catch .notFound {
        // The older checkpoint went in between: written anew. What was linked until then has to go, or the older file would be appended to.
        let linked = [base] + files.deltas.indices.map { FilterFormat.deltaName(bucket, index: index, delta: $0) }
        for name in linked where disk.exists(directory + "/" + name) { try disk.remove(directory + "/" + name) }
      }
    }
    let file = try disk.open(directory + "/" + base, create: true)
    defer { file.close() }
    let header = FilterFormat.header(of: segment)
    try unsafe header.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
    try unsafe file.append(segment.raw)
    segment.files.wrote(base: directory + "/" + base)
    return FilterList.Segment(base: base, deltas: [])
  }

  private func writeFile(_ bytes: [UInt8], to path: String) throws(DiskError) {
    let file = try disk.open(path, create: true)
    defer { file.close() }
    try unsafe bytes.withRawBytes { (raw) throws(DiskError) in try unsafe file.append(raw) }
  }

  /// Reads the filters that ``writeFilters(into:)`` wrote for this store. Buckets without one are asked each time; their keys
  /// aren't scanned.
  package func restore(from directory: String) throws(StateError) {
    let path = directory + "/" + FilterFormat.listName(state: options.stateNumber)
    guard let list = FilterFormat.decodeList(try read(path), state: options.stateNumber) else {
      throw .corrupt(path: path, reason: "not a list of the filters of state \(options.stateNumber)")
    }
    var restored = BucketFilters()
    for known in filters.buckets { restored.update(BucketFilter(bucket: known.bucket, lastTime: known.lastTime, segments: nil)) }
    for bucket in list.buckets {
      guard restored.ids.contains(bucket.bucket) else {
        throw .corrupt(path: path, reason: "filters of bucket \(bucket.bucket.name), which the store doesn't have")
      }
      var segments: [FilterSegment] = []
      for names in bucket.segments { segments.append(try readSegment(names, in: directory)) }
      restored.update(BucketFilter(bucket: bucket.bucket, lastTime: window.lastTime(of: bucket.bucket), segments: segments))
    }
    restored.shrink(to: options.filterByteLimit)
    filters = restored
  }

  private func readSegment(_ names: FilterList.Segment, in directory: String) throws(StateError) -> FilterSegment {
    let path = directory + "/" + names.base
    let bytes = try read(path)
    guard let segment = FilterFormat.decodeSegment(bytes) else {
      throw .corrupt(path: path, reason: "\(bytes.count) bytes that aren't a filter, or whose checksum is wrong")
    }
    segment.files.wrote(base: path)
    for name in names.deltas {
      let path = directory + "/" + name
      let bytes = try read(path)
      guard let lows = FilterFormat.decodeDelta(bytes), segment.restore(lows) else {
        throw .corrupt(path: path, reason: "\(bytes.count) bytes that aren't keys of the filter, or whose checksum is wrong")
      }
      // With too many of them the segment is to be written whole next time.
      if segment.files.base != nil { segment.files.wrote(delta: path, keyCount: lows.count) }
    }
    return segment
  }

  private func read(_ path: String) throws(StateError) -> [UInt8] {
    do { return try disk.read(path) } catch { throw .disk(error) }
  }
}
