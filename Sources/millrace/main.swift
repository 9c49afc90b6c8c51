internal import Glibc

// A reader of ours that goes away is an error of that write, not the end of the process.
signal(SIGPIPE, SIG_IGN)
var code = runCommand(Array(CommandLine.arguments.dropFirst()))
if let reason = Output.lostResult {
  Output.errorLine("millrace: can't write to stdout: \(reason)")
  if code == .done { code = .failed }
}
exit(code.rawValue)
