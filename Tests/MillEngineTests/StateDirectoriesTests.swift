import Glibc
import MillBase
import MillEngine
import Testing

/// Which directories a start takes, and which it leaves as they are.
@Suite struct StateDirectoriesTests {
  private let disk = RealDisk()
  private let root: String

  init() throws {
    root = (unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp") + "/millrace-test-\(systemRandomUInt64().paddedHex)"
    try disk.createDirectory(root)
  }

  private func problem(checkpoints: String = "state/checkpoints", letters: String = "letters") throws -> String? {
    try StateDirectories(disk: disk, state: root + "/state", checkpoints: root + "/" + checkpoints, deadLetters: root + "/" + letters)
      .problem()
  }

  private func make(_ path: String, _ text: String = "", mode: mode_t = 0o600) throws {
    let whole = root + "/" + path
    try disk.createDirectory(parentDirectory(of: whole))
    let file = try disk.open(whole, create: true)
    defer { file.close() }
    try unsafe Array(text.utf8).withRawBytes { raw in try unsafe file.append(raw) }
    unsafe chmod(whole, mode)
  }

  private func check(_ body: () throws -> Void) throws {
    defer { try? disk.removeTree(root) }
    try body()
  }

  @Test func `an empty directory, one that isn't there, and one that a first start has left are taken`() throws {
    try check {
      #expect(try problem() == nil)
      try disk.createDirectory(root + "/state/lost+found")
      #expect(try problem() == nil)
      for path in ["LOCK", "log/spare", "log/spare.tmp", "log/00000000000000000000-00000000000000000001.seg.tmp"] {
        try make("state/" + path)
        #expect(try problem() == nil)
      }
      try disk.createDirectory(root + "/state/live/shard-0")
      try disk.createDirectory(root + "/state/checkpoints/0000000000000005-00000000000000000000/shard-0")
      #expect(try problem() == nil)
    }
  }

  @Test(arguments: [
    "notes.txt", "log/app.log.tmp", "log/1.seg", "live/shard-0/film.mp4", "live/other", "ledger/accounts", "checkpoints/thesis.tmp/chapter",
    "projects/notes.tmp",
  ])
  func `a first start refuses what it hasn't made, by name`(path: String) throws {
    try check {
      try make("state/" + path, "text")
      let text = try #require(try problem())
      #expect(text.contains("isn't empty") && text.contains(path.split(separator: "/")[0]), "\(text)")
      // With state of ours beside it, it is left alone.
      try make("state/LOCK", "pid 7, pipeline p, since then")
      #expect(try problem() == nil)
    }
  }

  @Test func `checkpoints aren't put among other things`() throws {
    try check {
      try make("shared/thesis.tmp", "text")
      #expect(try problem(checkpoints: "shared")?.contains("checkpoint.location") == true)
      try make("letters/other.jsonl", "text")
      #expect(try problem() == nil)
    }
  }

  @Test(arguments: ["state", "letters", "state/log", "state/checkpoints"], [0o777, 0o770, 0o702] as [mode_t])
  func `a directory that others may write is refused`(path: String, mode: mode_t) throws {
    try check {
      try make("state/LOCK", "pid 7")
      unsafe chmod(root + "/state", 0o755)
      for directory in ["letters", "state/log", "state/checkpoints"] { try disk.createDirectory(root + "/" + directory) }
      #expect(try problem() == nil)
      unsafe chmod(root + "/" + path, mode)
      let text = try #require(try problem())
      #expect(text.contains("chmod go-w \(root)/\(path)") && text.contains(String(mode, radix: 8)), "\(text)")
    }
  }

  @Test func `what lies in a directory that nobody else may enter may have any mode, as older releases left it`() throws {
    try check {
      try make("state/LOCK", "pid 7")
      try make("state/live/shard-0/store/CURRENT", mode: 0o666)
      try make("state/checkpoints/0000000000000005-00000000000000000000/shard-0/store/000010.sst", mode: 0o644)
      #expect(try problem() == nil)
      for path in ["state", "state/live", "state/live/shard-0", "state/live/shard-0/store"] { unsafe chmod(root + "/" + path, 0o755) }
      #expect(try problem()?.contains("CURRENT can be written by others") == true)
    }
  }

  @Test(arguments: ["log", "live", "ledger", "checkpoints", "LOCK"]) func `links within are refused`(name: String) throws {
    try check {
      try disk.createDirectory(root + "/state")
      try disk.createDirectory(root + "/elsewhere")
      unsafe symlink(root + "/elsewhere", root + "/state/" + name)
      let text = try problem()
      // The checkpoints' directory is one of those that a file names.
      #expect(name == "checkpoints" ? text == nil : text?.contains("symbolic link") == true, "\(text ?? "nothing")")
    }
  }

  @Test func `a state directory behind a link of one's own is taken`() throws {
    try check {
      try disk.createDirectory(root + "/private")
      unsafe symlink(root + "/private", root + "/state")
      #expect(try problem() == nil)
    }
  }

  @Test(.enabled(if: geteuid() == 0)) func `a directory of another user is refused`() throws {
    try check {
      for path in ["state", "letters", "state/log"] {
        try disk.createDirectory(root + "/state/log")
        try disk.createDirectory(root + "/letters")
        unsafe chown(root + "/" + path, 65534, 65534)
        #expect(try problem()?.contains("belongs to user id 65534") == true, "\(path)")
        unsafe chown(root + "/" + path, 0, 0)
        #expect(try problem() == nil)
      }
    }
  }

  @Test func `a lock with a second name is not written to`() throws {
    try check {
      try make("precious", "text")
      try disk.createDirectory(root + "/state")
      try disk.link(root + "/precious", to: root + "/state/LOCK")
      #expect(throws: DiskError.self) { try disk.lock(root + "/state/LOCK", holder: "pid 1") }
      #expect(try disk.read(root + "/precious") == Array("text".utf8))
    }
  }
}
