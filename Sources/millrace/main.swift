internal import Glibc

// A reader of ours that goes away is an error of that write, not the end of the process.
signal(SIGPIPE, SIG_IGN)
exit(runCommand(Array(CommandLine.arguments.dropFirst())).rawValue)
