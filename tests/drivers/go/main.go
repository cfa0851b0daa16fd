// The story through Go's driver. See ../python/story.py for the rules: nothing that differs from
// run to run is printed.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const unicode = "Grüße, κόσμε, 世界, 🐬 \\ ' \" \x00 %"

type story struct {
	config *mysql.Config
	heavy  bool
	pool   *sql.DB
	// One connection of the pool, for what belongs to a session.
	own *sql.Conn
}

var background = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func show(step string, value interface{}) { fmt.Printf("%s: %v\n", step, value) }

func fail(err error) interface{} {
	if err == nil {
		return "no error"
	}
	if known, ok := err.(*mysql.MySQLError); ok {
		return fmt.Sprintf("%d %s", known.Number, known.Message)
	}
	return err
}

func plain(value interface{}) string {
	switch value := value.(type) {
	case []byte:
		if len(value) > 200 {
			return fmt.Sprintf("%d bytes %x", len(value), sha256.Sum256(value))
		}
		return fmt.Sprintf("bytes %q", value)
	case time.Time:
		return "time " + value.Format(time.RFC3339Nano)
	default:
		return fmt.Sprintf("%T %v", value, value)
	}
}

// Everything that a query returns: columns with their types, then the rows.
func all(rows *sql.Rows, err error) string {
	if err != nil {
		return fmt.Sprint(fail(err))
	}
	defer rows.Close()
	var told strings.Builder
	for {
		types, err := rows.ColumnTypes()
		must(err)
		for _, column := range types {
			nullable, _ := column.Nullable()
			fmt.Fprintf(&told, "%s %s %v|", column.Name(), column.DatabaseTypeName(), nullable)
		}
		values := make([]interface{}, len(types))
		places := make([]interface{}, len(types))
		for i := range values {
			places[i] = &values[i]
		}
		for rows.Next() {
			must(rows.Scan(places...))
			told.WriteString(" (")
			for _, value := range values {
				told.WriteString(plain(value) + ",")
			}
			told.WriteString(")")
		}
		if !rows.NextResultSet() {
			break
		}
		told.WriteString(" ; ")
	}
	if err := rows.Err(); err != nil {
		fmt.Fprint(&told, " ", fail(err))
	}
	return told.String()
}

func done(result sql.Result, err error) string {
	if err != nil {
		return fmt.Sprint(fail(err))
	}
	affected, _ := result.RowsAffected()
	id, _ := result.LastInsertId()
	return fmt.Sprintf("%d rows, id %d", affected, id)
}

func open(config *mysql.Config) *sql.DB {
	pool, err := sql.Open("mysql", config.FormatDSN())
	must(err)
	return pool
}

func (s *story) with(change func(*mysql.Config)) *sql.DB {
	config := s.config.Clone()
	change(config)
	return open(config)
}

func (s *story) query(text string, arguments ...interface{}) string {
	return all(s.own.QueryContext(background, text, arguments...))
}

func (s *story) run(text string, arguments ...interface{}) string {
	return done(s.own.ExecContext(background, text, arguments...))
}

func (s *story) greeting() {
	show("identity", s.query("SELECT CURRENT_USER(), DATABASE(), VERSION()"))
	show("session", s.query("SELECT @@autocommit, @@character_set_client, @@collation_connection, @@sql_mode"))
}

func (s *story) refusals() {
	for _, refusal := range []struct {
		name   string
		change func(*mysql.Config)
	}{
		{"wrong password", func(c *mysql.Config) { c.Passwd = "wrong" }},
		{"empty password", func(c *mysql.Config) { c.Passwd = "" }},
		{"unknown database", func(c *mysql.Config) { c.DBName = "app_nosuch" }},
		{"forbidden database", func(c *mysql.Config) { c.DBName = "mysql" }},
	} {
		pool := s.with(refusal.change)
		show(refusal.name, fail(pool.Ping()))
		pool.Close()
	}
}

func (s *story) tables() {
	show("create", s.run("CREATE TABLE things (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY,"+
		" name VARCHAR(100) CHARACTER SET utf8mb4 UNIQUE, price DECIMAL(12,4), ratio DOUBLE, small TINYINT,"+
		" big BIGINT UNSIGNED, at DATETIME(6), span TIME, doc JSON, data LONGBLOB)"))
	// With arguments the driver prepares, runs and closes a statement.
	insert := "INSERT INTO things (name, price, ratio, small, big, at, span, doc, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
	at := time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	show("insert", s.run(insert, unicode, "1234.5678", 0.1, -128, ^uint64(0)>>1, at, "-30:01:00", `{"a": [1, null]}`, []byte{0, 1, 255}))
	show("nulls", s.run(insert, nil, nil, nil, nil, nil, nil, nil, nil, nil))
	show("last id", s.query("SELECT LAST_INSERT_ID()"))
	show("by text", s.query("SELECT * FROM things ORDER BY id"))
	show("prepared", s.query("SELECT * FROM things WHERE id < ? ORDER BY id", 10))
	show("none", s.query("SELECT * FROM things WHERE id = ?", 0))
	show("update", s.run("UPDATE things SET small = ? WHERE id = ?", 1, 1))
	show("update same", s.run("UPDATE things SET small = 1 WHERE id = 1"))
	show("duplicate", s.run("INSERT INTO things (name) VALUES (?)", unicode))
	show("syntax", s.query("SELEKT"))
	show("bad prepared", s.query("SELEKT ?", 1))
}

func (s *story) statements() {
	one, err := s.own.PrepareContext(background, "SELECT ?, ?")
	must(err)
	two, err := s.own.PrepareContext(background, "INSERT INTO things (big) VALUES (?)")
	must(err)
	for n := 0; n < 5; n++ {
		show("one", all(one.Query(n, "text")))
		show("two", done(two.Exec(n)))
	}
	must(one.Close())
	show("two after one is closed", done(two.Exec(9)))
	must(two.Close())
}

func (s *story) sizes() {
	sizes := []int{0, 250, 251, 65535, 65536, 1 << 20}
	if s.heavy {
		sizes = append(sizes, 1<<24-1, 17<<20)
	}
	for _, size := range sizes {
		data := []byte(strings.Repeat("abcdefghij", size/10+1))[:size]
		name := fmt.Sprintf("size %d", size)
		show(name, s.run("INSERT INTO things (name, data) VALUES (?, ?)", name, data)[:1])
		show(name, s.query("SELECT data, LENGTH(data) FROM things WHERE name = ?", name))
	}
}

func (s *story) transactions() {
	count := "SELECT COUNT(*) FROM things WHERE name LIKE 'trx%'"
	transaction, err := s.own.BeginTx(background, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	must(err)
	show("insert", done(transaction.Exec("INSERT INTO things (name) VALUES (?)", "trx 1")))
	show("inside", all(transaction.Query(count)))
	show("outside", all(s.pool.Query(count)))
	must(transaction.Rollback())
	show("rolled back", s.query(count))
	transaction, err = s.own.BeginTx(background, nil)
	must(err)
	show("insert", done(transaction.Exec("INSERT INTO things (name) VALUES ('trx 2')")))
	must(transaction.Commit())
	show("committed", all(s.pool.Query(count)))
	transaction, err = s.own.BeginTx(background, &sql.TxOptions{ReadOnly: true})
	must(err)
	show("read only", done(transaction.Exec("DELETE FROM things")))
	must(transaction.Rollback())
}

func (s *story) state() {
	show("set", s.run("SET @a = 5, time_zone = '+01:00'"))
	show("temporary", s.run("CREATE TEMPORARY TABLE scratch SELECT 1 AS x"))
	show("own", s.query("SELECT @a, @@time_zone, x FROM scratch"))
	other, err := s.pool.Conn(background)
	must(err)
	show("other", all(other.QueryContext(background, "SELECT @a, @@time_zone")))
	show("no table", all(other.QueryContext(background, "SELECT * FROM scratch")))
	// Back in the driver's pool, the connection is used again without a reset.
	must(other.Close())
	show("drop", s.run("DROP TEMPORARY TABLE scratch"))
	show("set", s.run("SET @a = NULL, time_zone = DEFAULT, sql_mode = ''"))
	show("warned", s.run("INSERT INTO things (small) VALUES (1000)"))
	show("warnings", s.query("SHOW WARNINGS"))
	show("set", s.run("SET sql_mode = DEFAULT"))
}

func (s *story) several() {
	multi := s.with(func(c *mysql.Config) { c.MultiStatements = true })
	multi.SetMaxOpenConns(1)
	show("several", all(multi.Query("SELECT 1 AS a; SELECT 2 AS b, 'c' AS d; SELECT 3 AS e")))
	// An error in a later statement is left to other drivers: this one's old versions wait for ever.
	show("after", all(multi.Query("SELECT 4 AS f")))
	multi.Close()
	show("not allowed", s.query("SELECT 1; SELECT 2"))
	show("procedure", s.run("CREATE PROCEDURE p (IN a INT) BEGIN SELECT a; SELECT a + 1 AS b; END"))
	show("call by text", s.query("CALL p(3)"))
	show("call prepared", s.query("CALL p(?)", 4))
	interpolated := s.with(func(c *mysql.Config) { c.InterpolateParams = true; c.ClientFoundRows = true })
	show("interpolated", all(interpolated.Query("SELECT ?, ?", "it's", nil)))
	show("found rows", done(interpolated.Exec("UPDATE things SET small = 1 WHERE id = ?", 1)))
	interpolated.Close()
}

func (s *story) load() {
	show("create", s.run("CREATE TABLE loaded (n INT, line VARCHAR(50))"))
	file, err := os.CreateTemp("", "millpond-*.tsv")
	must(err)
	defer os.Remove(file.Name())
	for n := 0; n < 20000; n++ {
		fmt.Fprintf(file, "%d\tline %d\n", n, n)
	}
	must(file.Close())
	mysql.RegisterLocalFile(file.Name())
	show("load", s.run("LOAD DATA LOCAL INFILE '"+file.Name()+"' INTO TABLE loaded"))
	show("loaded", s.query("SELECT COUNT(*), SUM(n) FROM loaded"))
	show("not registered", s.run("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE loaded"))
}

// Cancelling a query makes the driver close its connection.
func (s *story) cancels() {
	short, cancel := context.WithTimeout(background, 300*time.Millisecond)
	defer cancel()
	_, err := s.pool.ExecContext(short, "SELECT SLEEP(20)")
	show("cancelled", err)
	show("after", all(s.pool.Query("SELECT 1")))
	rows, err := s.pool.Query("SELECT * FROM loaded")
	must(err)
	show("first", rows.Next())
	must(rows.Close())
	show("left early", all(s.pool.Query("SELECT 2")))
}

func main() {
	arguments := os.Args[1:]
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", arguments[0]+":"+arguments[1]
	config.User, config.Passwd, config.DBName = arguments[2], arguments[3], arguments[4]
	config.ParseTime = true
	if arguments[5] == "on" {
		must(mysql.RegisterTLSConfig("any", &tls.Config{InsecureSkipVerify: true}))
		config.TLSConfig = "any"
	}
	s := &story{config: config, heavy: arguments[6] == "heavy", pool: open(config)}
	var err error
	s.own, err = s.pool.Conn(background)
	must(err)
	chapters := []struct {
		name string
		tell func()
	}{
		{"greeting", s.greeting}, {"refusals", s.refusals}, {"tables", s.tables}, {"statements", s.statements},
		{"sizes", s.sizes}, {"transactions", s.transactions}, {"state", s.state}, {"several", s.several},
		{"load", s.load}, {"cancels", s.cancels},
	}
	for _, chapter := range chapters {
		fmt.Println("#", chapter.name)
		chapter.tell()
	}
	must(s.own.Close())
	must(s.pool.Close())
	fmt.Println("# the end")
}
