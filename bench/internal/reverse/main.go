// Command reverse is net/http's own reverse proxy, tuned, as a peer in
// bench/router: reverse HTTP HTTPS CERTIFICATE KEY BACKEND.
package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"
)

func main() {
	plain, secure, cert, key := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	to := &url.URL{Scheme: "http", Host: os.Args[5]}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: time.Minute, DisableCompression: true},
	}
	server := func(address string) *http.Server {
		return &http.Server{Addr: address, Handler: proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	}
	go func() { end(server(plain).ListenAndServe()) }()
	end(server(secure).ListenAndServeTLS(cert, key))
}

func end(err error) {
	fmt.Fprintln(os.Stderr, "reverse:", err)
	os.Exit(1)
}
