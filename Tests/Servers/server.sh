# What the scripts of both ClickHouse servers share; sourced by them. A script sets `name`, `mark` (a whole argument of the server's
# command line that only the server of $dir has), and defines require, write_config HTTP_PORT NATIVE_PORT, and launch (exec the server).

fail() { echo "$name: $1" >&2; exit "${2:-1}"; }
usage() { sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//p}' "$0"; }

# A pid alone may have been given to another process since; only one whose command line holds this DIR counts.
ours() { [ -r "/proc/$1/cmdline" ] && tr '\0' '\n' <"/proc/$1/cmdline" | grep -qxF -- "$mark"; }
# An ending process loses its command line before it lets go of its files and ports, so its state is asked, not that; and it is a zombie
# as soon as its first thread is.
ended() {
  local state
  state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null) || true
  [ "${state:-Z}" = Z ] && [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -le 1 ]
}
running() { local pid; pid=$(cat "$dir/pid" 2>/dev/null) && [ -n "$pid" ] && ours "$pid" && echo "$pid"; }
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Below the ports that Linux gives to outgoing connections: a closed one holds its port for a minute, which port_taken can't see.
free_port() {
  local port
  for _ in $(seq 50); do
    port=$((20000 + RANDOM % 12000))
    port_taken "$port" || { echo "$port"; return; }
  done
  fail "no free port between 20000 and 31999"
}
# Whether process $1 itself listens on port $2: an answer may also come from an older server on the same data.
listens() {
  local inode
  inode=$(awk -v port="$(printf ':%04X' "$2")" '$4 == "0A" && index($2, port) { print $10; exit }' /proc/net/tcp)
  [ -n "$inode" ] && find "/proc/$1/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q .
}

start() {
  local port native_port pid
  require
  pid=$(running) && fail "already running in $dir, pid $pid"
  if [ ! -f "$dir/config.xml" ]; then
    mkdir -p "$dir/data" "$dir/scratch"
    port=${1:-$(free_port)}
    port_taken "$port" && fail "port $port is taken"
    native_port=$(free_port)
    while [ "$native_port" = "$port" ]; do native_port=$(free_port); done
    write_config "$port" "$native_port"
  fi
  port=$(sed -n 's:.*<http_port>\([0-9]*\)</http_port>.*:\1:p' "$dir/config.xml")
  (launch) >"$dir/stdout.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$dir/pid"
  for _ in $(seq 600); do
    ended "$pid" && { tail -n 20 "$dir/stdout.log" "$dir/server.err.log" >&2 || true; fail "pid $pid ended before it answered"; }
    if [ "$(curl -s --max-time 2 "http://127.0.0.1:$port/ping" || true)" = "Ok." ] && listens "$pid" "$port"; then
      echo "http://127.0.0.1:$port $pid"
      return
    fi
    sleep 0.1
  done
  kill -9 "$pid"
  fail "no answer from 127.0.0.1:$port within 60 s; see $dir/server.log"
}

end() {
  local pid
  pid=$(running) || fail "nothing runs in $dir"
  kill "-$1" "$pid"
  for _ in $(seq 300); do
    ended "$pid" && { rm -f "$dir/pid"; return; }
    sleep 0.1
  done
  fail "pid $pid did not end within 30 s"
}

main() {
  case "${1:-}" in
  start) start "${3:-}" ;;
  stop) end TERM ;;
  kill) end KILL ;;
  esac
}

case "${1:-}" in
start | stop | kill) [ -n "${2:-}" ] || { usage >&2; exit 2; } ;;
help | -h | --help) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac
dir=$(mkdir -p "$2" && cd "$2" && pwd)
