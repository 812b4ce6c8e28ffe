// Command backend is the app behind every proxy that bench/router measures:
// 1 KB at /, 100 MB at /big, a WebSocket that echoes at /ws, and at /address
// where it listens itself.
package main

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455, 1.3
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
)

func main() {
	port := os.Getenv("PORT")
	small := bytes.Repeat([]byte("x"), 1024)
	big := bytes.Repeat([]byte("y"), 1<<20)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Content-Length", strconv.Itoa(len(small)))
		_, _ = w.Write(small)
	})
	http.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(100*len(big)))
		for range 100 {
			if _, err := w.Write(big); err != nil {
				return
			}
		}
	})
	http.HandleFunc("/address", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(interface{ String() string }).String())
	})
	http.HandleFunc("/ws", echo)
	err := http.ListenAndServe(":"+port, nil) //nolint:gosec // it is measured, not exposed
	fmt.Fprintln(os.Stderr, "backend:", err)
	os.Exit(1)
}

// echo switches to WebSocket and sends back what comes, frame by frame as it is.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455, 1.3
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	_, _ = io.Copy(conn, rw)
}
