import Foundation
import Testing

/// The rooms' ranks (ARCHITECTURE.md, Package.swift): a lower one never imports a higher one, equal ones don't import each other.
private let ranks: [String: Int] = [
  "MillBase": 1, "MillFlow": 2, "MillLog": 2, "MillTestKit": 2, "MillCore": 3, "MillOperators": 3, "MillKafka": 4, "MillState": 4,
  "MillClickHouse": 4,
  "MillEngine": 5, "MillConfig": 5, "MillVerify": 5, "MillAdmin": 5, "MillSim": 6, "millrace": 7, "millrace-sim": 7,
]

private let sources = swiftFiles(in: "Sources")

@Test func `every room has a rank, and there are files to look at`() {
  #expect(sources.count > 40)
  for target in Set(sources.map(\.target)) { #expect(ranks[target] != nil, "\(target) has no rank in RankTests.swift") }
}

@Test func `a room imports only rooms of lower rank`() {
  for file in sources {
    for module in file.imports {
      guard let rank = ranks[module], let own = ranks[file.target] else { continue }
      #expect(rank < own, "\(file.path) (rank \(own)) imports \(module) (rank \(rank))")
    }
  }
}

@Test func `the test kit is never linked into what is shipped`() {
  for file in sources where !["MillTestKit", "MillSim", "millrace-sim"].contains(file.target) {
    #expect(!file.imports.contains("MillTestKit"), "\(file.path)")
    #expect(file.target == "MillSim" || !file.imports.contains("MillSim"), "\(file.path)")
  }
}

@Test func `each C library is imported by exactly one Swift file, or within a folder that is there for it alone`() {
  let folders = ["CRdKafka": "Sources/MillKafka/RdKafka/"]
  for library in ["CRdKafka", "CRocksDB", "CRocksShim", "CCurl", "CLZ4", "CYAML", "CCrypto", "CMicroHTTPD", "CRE2Shim"] {
    let importers = sources.filter { $0.imports.contains(library) }.map(\.path)
    if let folder = folders[library] {
      #expect(importers.count > 1 && importers.allSatisfy { $0.contains(folder) }, "\(library): \(importers)")
    } else {
      #expect(importers.count <= 1, "\(library): \(importers)")
    }
  }
}

@Test func `the core imports no Glibc, Dispatch or Foundation, and ranks 0 to 5 no Foundation`() {
  for file in sources {
    if file.target == "MillCore" { #expect(Set(file.imports).isDisjoint(with: ["Glibc", "Dispatch", "Foundation"]), "\(file.path)") }
    if (ranks[file.target] ?? 9) <= 5 {
      #expect(Set(file.imports).isDisjoint(with: ["Foundation", "FoundationEssentials", "Dispatch"]), "\(file.path)")
    }
  }
}

@Test func `ARCHITECTURE.md names every target`() throws {
  let text = try String(contentsOf: root.appendingPathComponent("ARCHITECTURE.md"), encoding: .utf8)
  let folders = try FileManager.default.contentsOfDirectory(atPath: root.appendingPathComponent("Sources").path)
  #expect(folders.count > 15)
  #expect(folders.filter { !$0.hasPrefix(".") && !text.contains($0) }.sorted() == [], "ARCHITECTURE.md has no word on these")
}
