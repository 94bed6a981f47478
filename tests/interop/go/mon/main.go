// The web interface of asynq, as its own package embeds it, on a free port.
//
//	mon ADDRESS-OF-REDIS
//
// Prints its URL, and ends when its standard input does.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/hibiken/asynqmon"

	"asyncq/tests/interop/go/where"
)

func main() {
	redis, err := where.Redis(os.Args[1])
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	handler := asynqmon.New(asynqmon.Options{RedisConnOpt: redis})
	go func() { check(http.Serve(listener, handler)) }()
	fmt.Printf("http://%s\n", listener.Addr())
	io.Copy(io.Discard, os.Stdin)
	check(handler.Close())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
