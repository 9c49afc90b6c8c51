// Feeds the manifest's reader whatever libFuzzer thinks of: it must end in a manifest or a named reason. What it accepts is written back
// as the same bytes, and names no file outside of its checkpoint.
internal import FuzzDriver
internal import MillBase
internal import MillLog
internal import MillTestKit

/// The first byte's lowest bit computes length and checksum anew, so that what is changed is seen behind them.
private func manifest(_ input: [UInt8]) -> [UInt8] {
  guard let control = input.first else { return [] }
  var bytes = Array(input.dropFirst())
  guard control & 1 != 0, bytes.count >= 20 else { return bytes }
  var length = ByteWriter()
  length.integer(UInt64(bytes.count - 20))
  bytes.replaceSubrange(8..<16, with: length.bytes)
  var checksum = ByteWriter()
  checksum.integer(crc32c(0, Array(bytes.dropLast(4))))
  bytes.replaceSubrange((bytes.count - 4)..., with: checksum.bytes)
  return bytes
}

private func check(_ bytes: [UInt8]) {
  let id: CheckpointID
  var wanted: ManifestFormat.Failure?
  do throws(ManifestFormat.Failure) {
    let manifest = try ManifestFormat.decode(bytes)
    demand(ManifestFormat.encode(manifest) == bytes, "a manifest that isn't written like this was read")
    for file in manifest.files {
      demand(!"/\(file.path)/".contains("/../") && !file.path.hasPrefix("/"), "\(file.path) leads out of the checkpoint")
    }
    id = CheckpointID(lineage: manifest.lineage, epoch: manifest.epoch)
  } catch {
    wanted = error
    id = CheckpointID(lineage: Lineage(1), epoch: 2)
  }
  do {
    try checkStore(id, bytes, wanted)
  } catch {
    fail("the store throws for a manifest: \(error)")
  }
}

/// The store says of a checkpoint with this manifest what the format says, and can remove it.
private func checkStore(_ id: CheckpointID, _ bytes: [UInt8], _ failure: ManifestFormat.Failure?) throws {
  let disk = SimDisk()
  let store = CheckpointStore(disk, directory: "checkpoints")
  try disk.createDirectory("checkpoints")
  try disk.createDirectory(store.path(of: id))
  try disk.writeDurably(bytes, to: "\(store.path(of: id))/\(CheckpointStore.manifestName)")
  try store.prepare()
  var known = KnownDigests()
  let found = try store.list(.full, known: &known)
  demand(found.map(\.id) == [id], "\(found.count) checkpoints were found")
  switch (failure, found[0].state) {
  case (nil, .valid(let manifest)): demand(manifest.files.isEmpty, "\(manifest.files.count) files aren't there")
  case (nil, .invalid): demand(found[0].manifest == nil, "an invalid checkpoint has a manifest")
  case (.malformed, .invalid): break
  case (.newerVersion(let version, _), .newerVersion(let told, _)): demand(version == told, "version \(version) is called \(told)")
  default: fail("\(found[0].state), but the format says \(String(describing: failure))")
  }
  try store.remove(id)
  let left = try store.list(.full, known: &known)
  demand(left.isEmpty, "the checkpoint is still there")
}

private func seeds() -> [[UInt8]] {
  let full = Manifest(
    pipeline: "orders", lineage: Lineage(1), hashSeed: Digest128(low: 2, high: 3), epoch: 4, clockMilliseconds: 5, watermark: -6,
    sources: [
      Manifest.SourceState(
        name: "s", clusterID: "c", topic: "t", topicID: "",
        partitions: [
          Manifest.PartitionState(nextOffset: 7, maxEventTime: 8, anchorOffset: 6, anchorTimestamp: 9, anchorChecksum: 10)
        ], watermark: -7)
    ], plan: PlanRecord(hash: 11, replayVersion: 1, text: "plan"), position: 12,
    unacked: [Manifest.UnackedBatch(destination: .deadLetters, number: 13, seal: 10, firstChunk: 9)], nextBatchNumbers: [14, 15],
    files: [Manifest.File(path: "shard-0/a.sst", byteCount: 16, sha256: [UInt8](repeating: 17, count: 32))], tableIdentities: ["uuid", ""])
  var bare = full
  bare.sources = []
  bare.unacked = []
  bare.files = []
  return [full, bare].map(ManifestFormat.encode).flatMap { [[0] + $0, [1] + $0] }
}

unsafe runFuzzer(seeds: seeds()) { data in check(manifest(unsafe Array(data))) }
