import Glibc
import MillBase
import Testing

@Suite struct MetricsTests {
  @Test func `a page has HELP and TYPE once a family, then its samples with the common labels first`() {
    var page = MetricsText(common: ("pipeline", "p"))
    page.counter("a_total", "What a is.", .init(3, ("outcome", "late")), .init(UInt64.max, ("outcome", "emitted")))
    page.gauge("b", "B.", .init(0.25))
    page.gauge("c", "C.", .init(true))
    page.process("process_open_fds", "Files.", .init(7))
    #expect(
      page.text == """
        # HELP a_total What a is.
        # TYPE a_total counter
        a_total{pipeline="p",outcome="late"} 3
        a_total{pipeline="p",outcome="emitted"} 18446744073709551615
        # HELP b B.
        # TYPE b gauge
        b{pipeline="p"} 0.25
        # HELP c C.
        # TYPE c gauge
        c{pipeline="p"} 1
        # HELP process_open_fds Files.
        # TYPE process_open_fds gauge
        process_open_fds 7

        """)
  }

  @Test func `labels and help are escaped as the format asks for`() {
    var page = MetricsText()
    page.gauge("g", "a \"b\" \\ c\nd", .init(1, ("l", "a \"b\" \\ c\nd ü")))
    #expect(page.text == "# HELP g a \"b\" \\\\ c\\nd\n# TYPE g gauge\ng{l=\"a \\\"b\\\" \\\\ c\\nd ü\"} 1\n")
  }

  @Test(
    arguments: [
      (0.0, "0"), (-0.5, "-0.5"), (1e-05, "1e-05"), (1e20, "1e+20"), (123_456_789.0, "123456789"), (.infinity, "+Inf"),
      (-.infinity, "-Inf"),
      (.nan, "NaN"),
    ] as [(Double, String)])
  func `numbers are written as Prometheus reads them`(value: Double, text: String) {
    var page = MetricsText()
    page.gauge("g", "G.", .init(value))
    #expect(page.text.hasSuffix("g \(text)\n"))
  }

  @Test func `a family without samples is not said`() {
    var page = MetricsText()
    page.gauge("g", "G.", [])
    #expect(page.text.isEmpty)
  }

  @Test func `a histogram's buckets count all values up to their bound, the last one all there are`() {
    let histogram = Histogram([0.5, 1, 10])
    for value in [0.5, 0.7, 1, 3, 10, 10.5, 1000] { histogram.observe(value) }
    #expect(histogram.reading.counts == [1, 2, 2, 2])
    var page = MetricsText(common: ("pipeline", "p"))
    page.histogram("h", "H.", (histogram.reading, [("kind", "k")]))
    #expect(
      page.text == """
        # HELP h H.
        # TYPE h histogram
        h_bucket{pipeline="p",kind="k",le="0.5"} 1
        h_bucket{pipeline="p",kind="k",le="1"} 3
        h_bucket{pipeline="p",kind="k",le="10"} 5
        h_bucket{pipeline="p",kind="k",le="+Inf"} 7
        h_sum{pipeline="p",kind="k"} 1025.7
        h_count{pipeline="p",kind="k"} 7

        """)
  }

  @Test func `additions of many threads are all counted`() {
    let (counter, gauge, histogram) = (Counter(), Gauge(), Histogram([1, 2]))
    let threads = (0..<4).map { number in
      NamedThread("count-\(number)") {
        for _ in 0..<10_000 {
          counter.add(2)
          gauge.add(number % 2 == 0 ? 1 : -1)
          histogram.observe(Double(number))
        }
      }
    }
    for thread in threads { thread.join() }
    #expect(counter.value == 80_000 && gauge.value == 0)
    #expect(histogram.reading.counts == [20_000, 10_000, 10_000] && histogram.reading.sum == 60_000)
  }

  @Test func `a name that is none, said twice, or that lies about its kind ends the process`() async {
    await #expect(processExitsWith: .failure) {
      var page = MetricsText()
      page.gauge("a-b", "", .init(1))
    }
    await #expect(processExitsWith: .failure) {
      var page = MetricsText()
      page.gauge("a", "", .init(1))
      page.gauge("a", "", .init(1))
    }
    await #expect(processExitsWith: .failure) {
      var page = MetricsText()
      page.counter("a", "", .init(1))
    }
  }

  @Test func `the process knows its memory, threads and files, and the disk its room`() {
    let facts = ProcessFacts()
    #expect(facts.residentByteCount > 1 << 20 && facts.virtualByteCount >= facts.residentByteCount && facts.cpuSeconds > 0)
    #expect(facts.threadCount >= 1 && facts.openFileCount >= 3 && facts.openFileCountMax >= facts.openFileCount)
    #expect(freeDiskByteCount(at: "/")! >= 0 && freeDiskByteCount(at: "/no/such/place") == nil)
  }

  @Test func `each sync of the disk is measured`() throws {
    let times = Histogram([1000])
    let disk = RealDisk(syncs: times)
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    let path = "\(parent)/millrace-sync-\(systemRandomUInt64())"
    try disk.createDirectory(path)
    defer { try? disk.removeTree(path) }  // what stays behind there fails no test
    let file = try disk.open(path + "/f", create: true)
    try file.sync()
    try disk.syncFile(path + "/f")
    try disk.syncDirectory(path)
    file.close()
    #expect(times.reading.counts == [3, 0])
  }
}
