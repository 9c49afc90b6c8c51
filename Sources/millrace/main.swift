internal import Glibc
internal import MillBase

hideMemory()
// libcurl would write the keys of all connections there, from which what was sent can be read.
if unsafe getenv("SSLKEYLOGFILE") != nil {
  unsafe unsetenv("SSLKEYLOGFILE")
  Output.errorLine("millrace: SSLKEYLOGFILE is set, and not followed: it would write down the keys of connections")
}
// A reader of ours that goes away is an error of that write, not the end of the process.
signal(SIGPIPE, SIG_IGN)
var code = runCommand(Array(CommandLine.arguments.dropFirst()))
if let reason = Output.lostResult {
  Output.errorLine("millrace: can't write to stdout: \(reason)")
  if code == .done { code = .failed }
}
// Not exit(): what it would tidy up may be in use by threads of librdkafka that didn't end.
_exit(code.rawValue)
