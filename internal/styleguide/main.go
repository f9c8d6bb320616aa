// Command styleguide serves the style guide on a free port of the loopback and
// prints its address: for those who design, and for tests/browser.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"vigie/web"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "styleguide:", err)
		os.Exit(1)
	}
}

func serve() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", web.Assets())
	mux.Handle("GET /styleguide", web.StyleGuide())
	fmt.Printf("http://%s/styleguide\n", listener.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.Serve(listener)
}
