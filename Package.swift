// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target's settings; ARCHITECTURE.md says why each is there.
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  // Debug builds check each access to memory that is shared; the hot loops of release builds don't pay for it again.
  .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// Builds made for the thread sanitizer (`make tsan`) have of the tests only those of threads: the others have one, or C libraries that
/// aren't instrumented.
let isForThreads = Context.environment["MILLRACE_THREADS"] != nil

/// A C library of Debian, imported by exactly one target.
func library(_ name: String, _ pkgConfig: String, _ package: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: strict)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: strict)
}

let targets: [Target] = [
  // Rank 0
  library("CRdKafka", "rdkafka", "librdkafka-dev"),
  library("CRocksDB", "rocksdb", "librocksdb-dev"),
  library("CCurl", "libcurl", "libcurl4-openssl-dev"),
  library("CLZ4", "liblz4", "liblz4-dev"),
  library("CYAML", "yaml-0.1", "libyaml-dev"),
  library("CCrypto", "libcrypto", "libssl-dev"),
  library("CMicroHTTPD", "libmicrohttpd", "libmicrohttpd-dev"),
  .target(name: "CPlatform", cSettings: [.unsafeFlags(["-O2"])]),
  .target(name: "CRocksShim", dependencies: ["CRocksDB"], cxxSettings: [.unsafeFlags(["-O2"])]),
  .target(name: "CRE2Shim", cxxSettings: [.unsafeFlags(["-O2"])], linkerSettings: [.linkedLibrary("re2")]),
  // Rank 1
  room("MillBase", ["CPlatform", "CCrypto"]),
  // Rank 2
  room("MillFlow", ["MillBase", "CPlatform", "CRE2Shim"]),
  room("MillLog", ["MillBase"]),
  room("MillTestKit", ["MillBase"]),
  // Rank 3
  room("MillCore", ["MillBase", "MillLog"]),
  room("MillOperators", ["MillBase", "MillFlow"]),
  // Rank 4
  room("MillKafka", ["MillBase", "MillFlow", "CPlatform", "CRdKafka"]),
  room("MillState", ["MillBase", "MillFlow", "CPlatform", "CRocksShim"]),
  room("MillClickHouse", ["MillBase", "MillFlow", "MillLog", "MillCore", "CCurl", "CLZ4"]),
  // Rank 5
  room("MillEngine", ["MillBase", "MillFlow", "MillOperators", "MillLog", "MillCore", "MillState", "MillClickHouse"]),
  room("MillConfig", ["MillBase", "MillFlow", "MillOperators", "CYAML"]),
  room("MillAdmin", ["MillBase", "CMicroHTTPD"]),
  room("MillVerify", ["MillBase", "MillFlow", "MillLog", "MillClickHouse"]),
  // Rank 6
  room(
    "MillSim",
    [
      "MillBase", "MillFlow", "MillOperators", "MillLog", "MillTestKit", "MillCore", "MillState", "MillClickHouse", "MillEngine",
      "MillVerify",
    ]),
  // Rank 7
  .executableTarget(
    name: "millrace",
    dependencies: [
      "MillBase", "MillFlow", "MillOperators", "MillLog", "MillCore", "MillKafka", "MillState", "MillClickHouse", "MillEngine",
      "MillConfig", "MillAdmin", "MillVerify",
    ], swiftSettings: strict),
  .executableTarget(name: "millrace-sim", dependencies: ["MillBase", "MillSim"], swiftSettings: strict),
  // Tests
  tests("MillBaseTests", ["MillBase", "MillTestKit"]),
  /// The judge of what is JSON; for tests alone (Debian: libsimdjson-dev).
  .target(name: "CSimdjson", path: "Tests/CSimdjson", cxxSettings: [.unsafeFlags(["-O2"])], linkerSettings: [.linkedLibrary("simdjson")]),
  tests("MillFlowTests", ["MillBase", "MillFlow", "CSimdjson"]),
  tests("MillOperatorsTests", ["MillBase", "MillFlow", "MillOperators"]),
  tests("MillLogTests", ["MillBase", "MillLog", "MillTestKit"]),
  tests("MillCoreTests", ["MillBase", "MillLog", "MillCore"]),
  tests("MillKafkaTests", ["MillBase", "MillFlow", "MillKafka", "MillConfig"]),
  tests("MillStateTests", ["MillBase", "MillFlow", "MillState", "MillTestKit", "CPlatform"]),
  tests("MillClickHouseTests", ["MillBase", "MillFlow", "MillLog", "MillCore", "MillClickHouse"]),
  tests(
    "MillEngineTests",
    ["MillBase", "MillFlow", "MillOperators", "MillLog", "MillCore", "MillState", "MillClickHouse", "MillEngine", "MillTestKit", "MillSim"]
      + (isForThreads ? ["CThreadSanitizer"] : [])),
  tests("MillConfigTests", ["MillBase", "MillFlow", "MillOperators", "MillConfig"]),
  tests("MillVerifyTests", ["MillBase", "MillLog", "MillTestKit", "MillVerify"]),
  tests("MillAdminTests", ["MillBase", "MillAdmin"]),
  tests("MillSimTests", ["MillBase", "MillFlow", "MillLog", "MillTestKit", "MillState", "MillClickHouse", "MillSim"]),
  tests("MillraceTests", ["millrace", "MillConfig"]),
  tests("TidyTests", []),
]

/// libFuzzer's programs, by the folder below Tests/Fuzz; there only when asked for, since they need flags for the whole build.
func fuzzer(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: "fuzz-\(name)", dependencies: dependencies + ["FuzzDriver"], path: "Tests/Fuzz/\(name)", swiftSettings: strict)
}

let fuzzers: [Target] =
  Context.environment["MILLRACE_FUZZ"] == nil
  ? []
  : [
    .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
    .target(name: "FuzzDriver", dependencies: ["MillBase", "CFuzzer"], path: "Tests/Fuzz/FuzzDriver", swiftSettings: strict),
    fuzzer("answers", ["MillClickHouse", "MillCore"]),
    fuzzer("json", ["MillBase", "MillFlow"]),
    fuzzer("ledger", ["MillBase", "MillLog", "MillTestKit", "MillVerify"]),
    fuzzer("log", ["MillBase", "MillLog", "MillTestKit"]),
    fuzzer("manifest", ["MillBase", "MillLog", "MillTestKit"]),
    fuzzer("native", ["MillBase", "MillFlow", "MillClickHouse"]),
    fuzzer("pipeline", ["MillConfig"]),
  ]

/// What each part costs by itself; there only when `make bench` asks for it.
let benchmarks: [Target] =
  Context.environment["MILLRACE_BENCH"] == nil
  ? []
  : [
    .executableTarget(
      name: "millrace-parts",
      dependencies: ["MillBase", "MillFlow", "MillCore", "MillKafka", "MillLog", "MillState", "MillClickHouse", "MillConfig"],
      path: "Benchmarks/Parts", swiftSettings: strict),
    .executableTarget(
      name: "millrace-expressions", dependencies: ["MillBase", "MillFlow"], path: "Benchmarks/Expressions", swiftSettings: strict),
  ]

let built =
  isForThreads
  ? targets.filter { $0.type != .test || $0.name == "MillEngineTests" }
    + [.target(name: "CThreadSanitizer", path: "Tests/CThreadSanitizer", linkerSettings: [.linkedLibrary("dl")])]
  : targets

let package = Package(
  name: "millrace",
  products: [
    .executable(name: "millrace", targets: ["millrace"]),
    .executable(name: "millrace-sim", targets: ["millrace-sim"]),
  ],
  targets: built + fuzzers + benchmarks,
  cxxLanguageStandard: .cxx17
)
