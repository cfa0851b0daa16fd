// An ordinary application with Go's driver, which prepares each statement with values on the server.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync"

	"github.com/go-sql-driver/mysql"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	host, port, user, password, database := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	config := mysql.NewConfig()
	config.Net, config.Addr = "tcp", host+":"+port
	config.User, config.Passwd, config.DBName = user, password, database
	config.InterpolateParams = false
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	pool, err := sql.Open("mysql", config.FormatDSN())
	must(err)
	pool.SetMaxOpenConns(4)
	_, err = pool.Exec("CREATE TABLE jobs (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, n INT)")
	must(err)
	read, err := pool.Prepare("SELECT id, n FROM jobs WHERE name = ?")
	must(err)
	for round := 0; round < 15; round++ {
		var all sync.WaitGroup
		for worker := 0; worker < 4; worker++ {
			all.Add(1)
			go func(number int) {
				defer all.Done()
				name := fmt.Sprintf("jobb %d", number)
				made, err := pool.Exec("INSERT INTO jobs (name, n) VALUES (?, ?)", name, number)
				must(err)
				id, _ := made.LastInsertId()
				var seen, n int64
				must(read.QueryRow(name).Scan(&seen, &n))
				if seen != id || n != int64(number) {
					panic(fmt.Sprint(seen, id, n))
				}
				_, err = pool.Exec("INSERT INTO jobs (name) VALUES (?)", name)
				if known, is := err.(*mysql.MySQLError); !is || known.Number != 1062 {
					panic(err)
				}
			}(round*4 + worker)
		}
		all.Wait()
		options := &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: round%2 == 0}
		transaction, err := pool.BeginTx(context.Background(), options)
		must(err)
		var count int
		must(transaction.QueryRow("SELECT COUNT(*) FROM jobs WHERE n >= ?", 0).Scan(&count))
		if count != round*4+4 {
			panic(count)
		}
		must(transaction.Commit())
	}
	must(read.Close())
	_, err = pool.Exec("DROP TABLE jobs")
	must(err)
	must(pool.Close())
	fmt.Println("# the end")
}
