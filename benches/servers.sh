# Starts and stops throwaway databases for the demo and the benchmark. Sourced, after paths.sh.
# shellcheck shell=bash disable=SC2154

PATH=$PATH:/usr/sbin:/sbin
folder=$(mktemp -d "${TMPDIR:-/tmp}/millpond-XXXXXX")
pids=()

stop_all() {
  trap - EXIT INT TERM
  local pid
  for pid in "${pids[@]}"; do builtin kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do
    for _ in $(seq 100); do builtin kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    builtin kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# A port that nobody listens on now, below the range of outgoing connections.
free_port() {
  local port
  while :; do
    port=$((15000 + RANDOM % 17000))
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return 0; }
  done
}

# wait_for WHAT COMMAND...: until the command works, half a minute at the most.
wait_for() {
  local what=$1
  shift
  for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
  die "$what did not start; its log: $(tail -5 "$folder"/*.log)"
}

sql() { mariadb --no-defaults -uroot -S "$1" --batch --skip-column-names -e "$2"; }

# start_database KIND PORT MAX_CONNECTIONS: KIND is mariadb or mysql; sets $socket.
start_database() {
  local kind=$1 port=$2 most=$3 data=$folder/$1 program
  socket=$folder/$kind.sock
  {
    echo "[mysqld]"
    printf '%s\n' "datadir=$data" "socket=$socket" "port=$port" "bind-address=127.0.0.1" \
      "pid-file=$folder/$kind.pid" "log-error=$folder/$kind.log" "max_connections=$most" \
      "innodb_flush_log_at_trx_commit=0" "skip-log-bin" "skip-name-resolve"
    [ "$(id -u)" -ne 0 ] || echo "user=root"
    if [ "$kind" = mysql ]; then
      local root=$testbed/mysql/root/usr
      printf '%s\n' "basedir=$root" "lc-messages-dir=$root/share/mysql" \
        "character-sets-dir=$root/share/mysql/charsets" "plugin-dir=$root/lib/mysql/plugin" \
        "secure-file-priv=" "mysqlx=0"
    fi
  } >"$folder/$kind.cnf"
  if [ "$kind" = mysql ]; then
    program=$testbed/mysql/bin/mysqld
    "$program" --defaults-file="$folder/$kind.cnf" --initialize-insecure
  else
    program=mariadbd
    mariadb-install-db --defaults-file="$folder/$kind.cnf" --auth-root-authentication-method=normal \
      >"$folder/install.log" 2>&1
  fi
  "$program" --defaults-file="$folder/$kind.cnf" >>"$folder/$kind.out" 2>&1 &
  pids+=($!)
  wait_for "$kind" sql "$socket" "SELECT 1"
  sql "$socket" "CREATE DATABASE demo; CREATE USER app@'%' IDENTIFIED BY 'millpond';
    GRANT ALL ON demo.* TO app@'%'; USE demo;
    CREATE TABLE millpond_load (id INT PRIMARY KEY, c CHAR(120) NOT NULL);
    INSERT INTO millpond_load WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
      SELECT i, REPEAT('x', 120) FROM n;
    CREATE TABLE millpond_large (c TEXT);
    INSERT INTO millpond_large SELECT REPEAT('y', 1000) FROM millpond_load;" 2>/dev/null ||
    sql "$socket" "USE demo; SELECT COUNT(*) FROM millpond_large" >/dev/null
}

# start_millpond PORT ADMIN_PORT BACKEND_PORT BACKEND_TLS [PROGRAM]: with the checked-in proxy.toml.
start_millpond() {
  local program=${5:-target/release/millpond}
  MILLPOND__SERVICES__ORDERS__LISTEN=127.0.0.1:$1 \
  MILLPOND__ADMIN__LISTEN=127.0.0.1:$2 \
  MILLPOND__SERVICES__ORDERS__BACKEND__ENDPOINTS=127.0.0.1:$3 \
  MILLPOND__SERVICES__ORDERS__BACKEND__TLS__MODE=$4 \
    "$program" run --config proxy.toml >"$folder/millpond-$1.log" 2>&1 &
  millpond_pid=$!
  pids+=("$millpond_pid")
  wait_for Millpond "$program" health --admin "127.0.0.1:$2" --ready
}

# field NAME LINE: the value of one of the load's name=value pairs.
field() { tr ' ' '\n' <<<"$2" | sed -n "s/^$1=//p"; }
